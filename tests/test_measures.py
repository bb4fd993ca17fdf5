"""Bars and Dots: measured numbers as pictures."""

import pytest
from test_views import picture

from labs.views import Bars, Dots

HOSTILE = "\x1b[31m<b>\u202e" + "x" * 300


def bars(**how):
    made = Bars("Who got them?", "connections", **how)
    return (
        made.bar("accept()", "worker 1", 5, "a", "p99 2 ms").bar("accept()", "worker 2", 1234.4, "a").bar("epoll", "worker 1", 0)
    )


def test_bars_tell_their_names_and_only_on_demand_their_numbers():
    assert bars().text == "Who got them?\n\naccept(): worker 1, worker 2\nepoll: worker 1"
    assert bars().numbers() == bars(tell="values").text
    assert bars(tell="values").text.splitlines()[2:4] == ["accept()", "  worker 1          5"]
    assert "1,234" in bars().numbers() and bars().of("accept()") == {"worker 1": 5, "worker 2": 1234.4}
    assert bars().sentence == "Each of the 3 bars in 2 groups is a number measured here: connections."
    assert Bars().text == "Nothing was measured." == Bars().sentence


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "3", True, None])
def test_a_bar_is_a_number(value):
    with pytest.raises(ValueError, match="expected a number of at least 0"):
        Bars().bar("", "x", value)


def dots():
    return Dots("A stop", "s", "ms").add("closed", [0, 0.1], [1, 300], "p99 1 ms").add("open", [0, 0.3, 0.2], [1, 2, 3])


def test_dots():
    assert dots().text == "A stop\n\nclosed\nopen"
    assert dots().numbers().splitlines()[0] == "closed: 2 dots, 1 to 300 ms, p99 1 ms"
    assert dots().sentence == "2 panels on one scale; each dot is one measurement. Across: s; up: ms."
    with pytest.raises(ValueError, match="expected as many xs as ys for 'x', got 1 and 2"):
        Dots().add("x", [1], [1, 2])
    with pytest.raises(ValueError):
        Bars(tell="all")


@pytest.mark.parametrize("view", [bars(), dots(), Bars(), Dots()], ids=["bars", "dots", "no bars", "no dots"])
def test_pictures(view):
    picture(view)


def test_hostile_words_and_flat_data():
    for view in (
        Bars(HOSTILE, HOSTILE).bar(HOSTILE, HOSTILE, 0, HOSTILE, HOSTILE),
        Dots(HOSTILE, HOSTILE, HOSTILE).add(HOSTILE, [1.0], [0.0], HOSTILE),
        Dots().add("none", [], []),
        Dots().add("far", [1e9, 1e9 + 1], [1e-9, 1e9]),
    ):
        assert "\x1b" not in view.text + view.sentence and picture(view)
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            Dots().add("strange", [1.0], [value])


def test_kinds_have_their_colours_in_the_order_given():
    """A host's bars have the colour that the host has in a ladder, even if the first host has no bar."""
    import io

    import matplotlib.image

    from labs.views import palette

    def colours(view):
        pixels = (matplotlib.image.imread(io.BytesIO(view.png()))[..., :3] * 255).round().astype(int)
        return {"#%02X%02X%02X" % tuple(pixel) for pixel in pixels.reshape(-1, 3)[::7].tolist()}

    second = Bars(kinds=["client", "server"]).bar("", "server", 5, "server")
    assert palette.HOSTS[1] in colours(second) and palette.HOSTS[0] not in colours(second)
    assert palette.HOSTS[0] in colours(Bars().bar("", "server", 5, "server"))
