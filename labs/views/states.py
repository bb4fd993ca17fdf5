"""Two kernels and the wire between them, step by step.  Built in chapter 24-tcp-connection.

The wire can hold frames and let them go one at a time; between two steps both kernels stand still and can be asked for the state
of their sockets.  States keeps what was seen as plain data, so a run can be kept, compared and drawn again.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from labs.tables import columns, count

from . import escape, palette
from .draw import WIDTH, Figure, Sheet
from .frame_words import describe
from .view import Noted

if TYPE_CHECKING:
    from labs.captures.frame import Frame

__all__ = ["States"]

ROW, BOTTOM = 54, 40  # pixels
WHAT, LANES, PILLS = 16, (432, 792), (308, 916)  # x of what happened, of the lanes, and of the states' centres
MIDDLE = sum(LANES) / 2


class States(Noted):
    """Rows of (what happened, the frame, each host's states).  Two hosts: the first and the last that `add` names."""

    kept = ("title", "steps")
    empty = "No steps were noted."

    def __init__(self, title: str | None = None, origin: str = ""):
        super().__init__(title, origin)
        self.steps = []
        self._sides, self._rows = {}, {}

    def add(self, what: str, frame: "Frame | None", states: Mapping[str, str | Iterable[str]]) -> Self:
        """Note a step: what happened, the Frame that the wire carried, lost or holds (or None), {host: state}."""
        step: dict[str, Any] = {"what": escape.plain(what, 120), "frame": None, "states": {}}
        for host, state in states.items():
            state = state if isinstance(state, str) else ", ".join(map(str, state))
            step["states"][escape.plain(host, 40)] = escape.plain(state, 60)
        if frame is not None:
            row = self._described(frame)
            step["frame"] = {
                "sender": escape.plain(frame.sender, 40), "receivers": [escape.plain(a.receiver, 40) for a in frame.arrivals],
                "protocol": frame.protocol, "head": row.head, "rest": row.rest, "told": [*row.marks, *row.fate()],
                "lost": escape.plain(frame.lost, 60), "bytes": frame.payload_length, "reset": frame.rst,
            }  # fmt: skip
        self.steps.append(step)
        return self

    def _described(self, frame):
        """The frame in words; one that is noted again (first held, then carried) is the same frame, not a retransmission."""
        key = frame.number, frame.sender, frame.wire, frame.raw
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = describe([frame], sides=self._sides)[0]
        row.frame = frame
        return row

    @property
    def hosts(self) -> tuple[str, ...]:
        """The two hosts that are drawn: the first and the last named."""
        named = list(dict.fromkeys(host for step in self.steps for host in step["states"]))
        return (named[0], named[-1]) if len(named) > 1 else tuple(named)

    def changed(self, at: int, host: str) -> bool:
        """True if the host's state in step `at` differs from the one it had before."""
        before = next((s["states"][host] for s in reversed(self.steps[:at]) if host in s["states"]), None)
        return before is not None and self.steps[at]["states"].get(host, before) != before

    def summary(self) -> str:
        """How each host's state went from step to step."""
        if not self.steps:
            return self.empty
        told = []
        for host in self.hosts:
            seen = [step["states"][host] for step in self.steps if host in step["states"]]
            path = [state for at, state in enumerate(seen) if at == 0 or state != seen[at - 1]]
            told.append(f"{host}: {' → '.join(state or 'no socket' for state in path)}")
        frames = sum(step["frame"] is not None for step in self.steps)
        return f"{count(len(self.steps), 'step')}, {count(frames, 'frame')}; {'; '.join(told)}."

    @property
    def text(self) -> str:
        """A table: what happened, the left host's states, the frame with its direction, the right host's; "*" marks a change."""
        if not self.steps:
            return self.page([self.empty])
        left, right = (*self.hosts, "", "")[:2]
        rows = [("", left, "on the wire", right)]
        for at, step in enumerate(self.steps):
            cells = [step["states"].get(host, "") + " *" * self.changed(at, host) for host in (left, right)]
            rows.append((step["what"], cells[0], _frame_text(step["frame"], right), cells[1]))
        return self.page(columns(rows))

    def figure(self) -> Figure:
        """A ladder in the middle, each kernel's states at its side."""
        top = 92 if self.title else 62
        height = top + max(len(self.steps), 1) * ROW + BOTTOM
        sheet = Sheet(height, origin=self.origin, title=self.title)
        if not self.steps:
            return sheet.nothing(self.empty)
        for index, host in enumerate(self.hosts):
            x = LANES[index]
            sheet.line((x, x), (top - 14, height - BOTTOM), palette.FAINT, 1.6, order=1)
            sheet.pill(x, top - 26, host, palette.host_colour(index), 11, room=200)
            sheet.text(PILLS[index], top - 21, "kernel's state", 9, palette.SOFT, "center")
        for at, step in enumerate(self.steps):
            self._draw(sheet, at, step, top + at * ROW + ROW / 2)
        return sheet.figure

    def _draw(self, sheet, at, step, middle):
        if at % 2:
            sheet.box(0, middle - ROW / 2, WIDTH, ROW, fill=palette.QUIET, order=0.4)
        lines = sheet.wrap(step["what"], 176, 10, rows=2)
        for line, words in enumerate(lines):
            sheet.text(WHAT, middle + 5 + (line - (len(lines) - 1) / 2) * 17, words)
        for index, host in enumerate(self.hosts):
            if host in step["states"]:
                changed = self.changed(at, host)
                look = (palette.host_colour(index), 9.5, True) if changed else (palette.PAPER, 9.5, False)
                edge = "none" if changed else palette.FAINT
                sheet.pill(PILLS[index], middle, step["states"][host] or "no socket", *look, edge=edge, room=212)
        if step["frame"]:
            _arrow(sheet, self.hosts, step["frame"], middle + 8)


def _frame_text(frame, right):
    if frame is None:
        return ""
    told = f"  [{'; '.join(frame['told'])}]" if frame["told"] else ""
    rest = f"  {frame['rest']}" if frame["rest"] else ""
    protocol = "" if frame["protocol"] == "TCP" else f"{frame['protocol']} "
    return f"{'←' if frame['sender'] == right else '→'} {protocol}{frame['head']}{rest}{told}"


def _arrow(sheet, hosts, frame, y):
    """The frame of a step; a record has words only, no bytes."""
    index = hosts.index(frame["sender"]) if frame["sender"] in hosts else 0
    tail, aim = LANES[index], LANES[1 - index]
    colour = palette.host_colour(index)
    side = 1 if aim > tail else -1
    width = 2.6 if frame["bytes"] else 1.4
    words = "; ".join(frame["told"])
    if frame["lost"]:
        sheet.line((tail, MIDDLE), (y, y), colour, width)
        sheet.cross(MIDDLE, y)
    elif frame["receivers"]:
        sheet.arrow(tail, y, aim, y, colour, width)
    else:
        end = tail + side * 100
        sheet.arrow(tail, y, end, y, colour, width, dash=(3, 2))
        sheet.line((end, aim), (y, y), palette.FAINT, 1.2, (2, 4), order=1.6)
    head, rest = frame["head"], frame["rest"].replace("  ", "   ")
    if frame["protocol"] != "TCP":
        head = f"{frame['protocol']} {head}"
    head = sheet.fit(head, 330, 10, bold=True)
    bold, gap = sheet.measure(head, 10, bold=True), 12 if rest else 0
    rest = sheet.fit(rest, max(330 - bold - gap, 0), 10) if rest else ""
    x = MIDDLE - (bold + gap + sheet.measure(rest, 10)) / 2
    sheet.text(x, y - 9, head, 10, palette.ALARM if frame["reset"] else palette.INK, bold=True)
    sheet.text(x + bold + gap, y - 9, rest, 10)
    if words:
        sheet.text(MIDDLE, y + 16, sheet.fit(words, 330, 9), 9, palette.ALARM if frame["lost"] else palette.SOFT, "center")
