"""A capture as a ladder: hosts side by side, time downwards, an arrow for every frame.  Built in chapter 09-osi-model."""

from . import escape
from .flow import describe
from .names import Names
from .story import tell
from .view import View

__all__ = ["Ladder"]



class Ladder(View):
    """The frames of `cap` as a ladder.

    title   a line above the picture and the text
    limit   rows to show; a longer capture shows its beginning and its end, and says how many lie between.  None: all of them in the text
    window  True adds each TCP segment's receive window
    times   False leaves the time column out of the picture (the text never has one)
    """

    def __init__(self, cap, title=None, limit=40, window=False, times=True):
        if limit is not None and limit < 2:
            raise ValueError(f"limit has to be 2 or more rows, or None for all; it is {limit!r}")
        self.frames = list(cap)
        self.hosts = tuple(getattr(cap, "hosts", ()) or dict.fromkeys(frame.sender for frame in self.frames))
        self.title, self.limit, self.times = title and escape.plain(title, 120), limit, times
        self.origin, self.missed = getattr(cap, "origin", ""), getattr(cap, "missed", 0)
        self.names = Names(cap)
        self.rows = describe(self.frames, window)
        self._ends = [(self.names.source(frame), self.names.target(frame)) for frame in self.frames]
        self._hops = len({frame.wire for frame in self.frames}) > 1

    def summary(self):
        """The story of the capture in one sentence."""
        return tell(self.rows, self.hosts)

    def shown(self, limit):
        """Indices of the rows to show; None stands for the gap."""
        total = len(self.rows)
        if limit is None or total <= limit:
            return list(range(total))
        return [*range((limit + 1) // 2), None, *range(total - limit // 2, total)]

    @property
    def text(self):
        """One line a frame: number, the hop if there are several wires, who to whom, protocol, what it says, [what stands out]."""
        heading = [self.title, ""] if self.title else []
        if not self.rows:
            return "\n".join([*heading, "No frames were captured."])
        shown = self.shown(self.limit)
        lines = []
        for at in shown:
            if at is None:
                continue
            row = self.rows[at]
            frame, (source, target) = row.frame, self._ends[at]
            hop = _hop(frame) if self._hops else ""
            told = [*row.marks, *row.fate()]
            lines.append((str(frame.number), hop, source, target, frame.protocol, row.label + (f"  [{'; '.join(told)}]" if told else "")))
        number, hop, source, target, protocol = (max(map(len, column)) for column in list(zip(*lines))[:5])
        hop = f"{{1:<{hop}}}   " if self._hops else ""
        form = f"{{0:>{number}}}  {hop}{{2:<{source}}} → {{3:<{target}}}  {{4:<{protocol}}}  {{5}}".format
        out = [form(*line) for line in lines]
        if None in shown:
            gap = len(self.rows) - self.limit
            out.insert(shown.index(None), f"{'…':>{number}}  {gap:,} frame{'s' * (gap != 1)} not shown …")
        return "\n".join([*heading, *out])

    def figure(self):
        """The ladder as a matplotlib Figure."""
        from .ladder_figure import draw

        return draw(self)


def _hop(frame):
    receivers = dict.fromkeys(arrival.receiver for arrival in frame.arrivals)
    return f"{escape.plain(frame.sender or '?', 40)} → {escape.plain(', '.join(receivers), 80) or '…'}"
