"""A capture as a ladder: hosts side by side, time downwards, an arrow for every frame.  Built in chapter 09-osi-model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from labs.captures.frame import Frame
from labs.decode.reading import EPHEMERAL
from labs.tables import columns

from . import escape
from .draw import Figure
from .frame_words import Row, describe
from .ladder_sentence import tell, tell_messages
from .names import Names
from .view import View, count

__all__ = ["Ladder", "one_line"]


class Ladder(View):
    """The frames of `cap` as a ladder.

    title   a line above the picture and the text
    limit   rows to show; a longer capture shows its beginning and its end.  None: all of them in the text
    window  True adds each TCP segment's receive window
    times   False leaves the time column out of the picture (the text never has one)
    say     a function of a frame that returns (protocol, words) to stand in its row, or None to leave the frame out: a ladder of
            messages instead of segments; labs.captures.said(cap) is one
    """

    def __init__(
        self, cap: Iterable[Frame], title: str | None = None, limit: int | None = 40, window: bool = False,
        times: bool = True, say: Callable[[Frame], tuple[str, str] | None] | None = None,
    ):  # fmt: skip
        if limit is not None and limit < 2:
            raise ValueError(f"limit has to be 2 or more rows, or None for all; it is {limit!r}")
        self.rows = describe(list(cap), window)
        if say is not None:
            self.rows = [row for row in self.rows if _reworded(row, say(row.frame))]
        self.frames, self._messages = [row.frame for row in self.rows], say is not None
        self.hosts = tuple(getattr(cap, "hosts", ()) or dict.fromkeys(frame.sender for frame in self.frames))
        super().__init__(title, getattr(cap, "origin", ""))
        self.limit, self.times, self.missed = limit, times, getattr(cap, "missed", 0)
        self.names = Names(cap)
        self._ends = [(self.names.source(frame), self.names.target(frame)) for frame in self.frames]
        self._hops = len({frame.wire for frame in self.frames}) > 1

    def summary(self) -> str:
        """The story of the capture in one sentence."""
        return tell_messages(self.rows, self.hosts) if self._messages else tell(self.rows, self.hosts)

    def number(self, at: int) -> str:
        """What row `at` is called: the frame's number, or the message's."""
        return str(at + 1 if self._messages else self.frames[at].number)

    @property
    def unit(self) -> str:
        return "message" if self._messages else "frame"

    def told(self, row: Row) -> list[str]:
        """What stands out about a row: the sender has no card here, TCP repeats itself, the wire did something."""
        injected = [] if row.frame.sender in self.hosts else ["put on the wire by hand"]
        return [*injected, *row.marks, *row.fate()]

    def shown(self, limit: int | None) -> list[int | None]:
        """Indices of the rows to show; None stands for the gap."""
        total = len(self.rows)
        if limit is None or total <= limit:
            return list(range(total))
        return [*range((limit + 1) // 2), None, *range(total - limit // 2, total)]

    @property
    def text(self) -> str:
        """One line a frame: number, the hop if there are several wires, who to whom, protocol, label, [what stands out]."""
        if not self.rows:
            return self.page(["No frames were captured."])
        shown = self.shown(self.limit)
        lines = []
        for at in (at for at in shown if at is not None):
            row = self.rows[at]
            told = self.told(row)
            words = row.label + (f"  [{'; '.join(told)}]" if told else "")
            hop = [_hop(row.frame)] if self._hops else []
            lines.append((self.number(at), *hop, *self._ends[at], row.protocol, words))
        out = columns(lines, ">", ["  ", *["   "] * self._hops, " → ", "  ", "  "])
        if None in shown:
            number = max(len(line[0]) for line in lines)
            out.insert(shown.index(None), f"{'…':>{number}}  {count(len(self.rows) - len(shown) + 1, self.unit)} not shown …")
        return self.page(out)

    def figure(self) -> Figure:
        """The ladder as a matplotlib Figure."""
        from .ladder_figure import draw

        return draw(self)


def _reworded(row, said):
    """Put the protocol and the words of a `say` function into a row; False where it has none."""
    if said is None:
        return False
    protocol, words = said
    row.protocol = escape.plain(protocol, 8)
    row.head, _, row.rest = escape.plain(words, 80).partition("  ")
    row.marks = ()
    return True


def _hop(frame):
    receivers = dict.fromkeys(arrival.receiver for arrival in frame.arrivals)
    return f"{escape.plain(frame.sender or '?', 40)} → {escape.plain(', '.join(receivers), 80) or '…'}"


def one_line(frame: Frame) -> str:
    """A single frame in one line.  Without the frames before it nothing can be counted from: no letters, no relative numbers."""
    names = Names(getattr(frame, "names", None) or {})
    row = describe([frame])[0]
    ends = [names.host(address) for address in (frame.src_mac, frame.dst_mac)]
    if frame.protocol != "ARP" and frame.src is not None:
        ends = [names.host(frame.src) + _port(frame.sport), names.host(frame.dst) + _port(frame.dport)]
    words = row.rest.split("  ") if row.rest else []
    if row.connection:
        words = [word for word in words if not word.startswith(("seq ", "ack ", "SACK "))]
    told = f"  [{'; '.join(row.fate())}]" if row.fate() else ""
    return "  ".join([f"{frame.number}  {ends[0]} → {ends[1]}", row.protocol, row.head, *words]) + told


def _port(port):
    return "" if port is None else ":·" if port in EPHEMERAL else f":{port}"
