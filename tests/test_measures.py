"""Bars and Dots: measured numbers as pictures."""

import itertools

import pytest
from conftest import STACKS
from test_views import picture

from labs.views import Bars, Dots, Gauge, Lanes, Tradeoff

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
    assert "1,234" in bars().numbers()
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


CHARTS = [
    bars(),
    dots(),
    Gauge("A queue", 2, "connections").level("queue", 0, 0).level("queue", 3, 10**7),
    Tradeoff("Costs", "bytes", "ms").point("a", 1, [2, 3]).point("b", 30, 4),
    Lanes().level("queue", 0, 0).level("queue", 3, 10**7),
]


@pytest.mark.parametrize("view", CHARTS, ids=lambda view: type(view).__name__)
@pytest.mark.parametrize("style", ["dark_background", "ggplot", "fivethirtyeight"])
def test_a_learners_own_style_leaves_charts_alone(view, style):
    import matplotlib.style

    expected = view.png()
    with matplotlib.style.context(style):
        assert view.png() == expected


def ticks(view):
    """[(box of a number at an axis, the axis)] in pixels, as matplotlib itself places them."""
    figure = view.figure()
    figure.draw_without_rendering()
    for axes in figure.axes[1:]:  # the first is the sheet
        for axis, extent in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for place, label in zip(axis.get_majorticklocs(), axis.get_ticklabels()):
                if extent[0] <= place <= extent[1]:
                    yield label.get_window_extent(), axis


MAGNITUDES = [1e-6, 0.02, 1, 7, 65_535, 1e6, 3e9]


@pytest.mark.parametrize(
    "wide, most",
    list(itertools.product(MAGNITUDES, repeat=2)) if STACKS else list(zip(MAGNITUDES, MAGNITUDES[3:] + MAGNITUDES[:3])),
)
def test_numbers_at_axes_are_whole_and_apart(wide, most):
    charts = [
        Dots().add("one", [0, wide / 3, wide], [most / 9, most, 0]),
        Gauge(capacity=most).level("a", most / 2, 0).level("a", 0, int(wide * 1000)),
        Tradeoff("", "", "").point("a", wide, most).point("b", wide * 30, most * 1.2),
        Tradeoff("", "", "").point("a", 1, 1).point("b", wide * 2, most * 2),
    ]
    for chart in charts:
        found = list(ticks(chart))
        assert {axis.axis_name for _, axis in found} == {"x", "y"}
        for at, (box, axis) in enumerate(found):
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1100, f"{box} is cut"
            assert not any(box.overlaps(other) for other, same in found[:at] if same is axis), "numbers overlap"
