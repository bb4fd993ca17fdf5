"""The one table of the package: columns stand under each other, whatever is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.tables import columns, count, duration, number

CELLS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=12)


def test_columns():
    rows = [("", "who", "bytes", "what"), (1, "client", 7, "GET /"), (10, "a", 1234, "")]
    assert columns(rows, "><>") == ["    who     bytes  what", " 1  client      7  GET /", "10  a        1234"]
    assert columns([("a", "b"), ("cc", "d")], gap=" → ") == ["a  → b", "cc → d"]
    assert columns([("a", "b", "c"), ("dd", "ee", "f")], ">", ["  ", " → "]) == [" a  b  → c", "dd  ee → f"]
    assert columns([]) == [] and columns([("", ""), ("", "x")]) == ["", "  x"]
    with pytest.raises(ValueError):
        columns([("a",), ("a", "b")])


@given(st.integers(1, 5).flatmap(lambda wide: st.lists(st.lists(CELLS, min_size=wide, max_size=wide), min_size=1)))
def test_every_cell_stands_at_its_column(rows):
    lines, left = columns(rows), 0
    for column in zip(*rows):
        wide = max(map(len, column))
        assert [line[left : left + wide].rstrip() for line in lines] == list(column)
        left += wide + 2


@pytest.mark.parametrize("value, words", [(0, "0"), (3, "3"), (0.04, "0.04"), (1.54, "1.5"), (20.46, "20.5"), (4175.7, "4,176")])
def test_number(value, words):
    assert number(value) == words


def test_duration_and_count():
    assert [duration(time) for time in (0, 7, 136_900, -1_100_000, 2_004_000_000)] == [
        "0",
        "7 ns",
        "137 µs",
        "−1.10 ms",
        "2.004 s",
    ]
    assert [count(1, "frame"), count(0, "frame"), count(1200, "entry", "entries")] == ["1 frame", "0 frames", "1,200 entries"]
