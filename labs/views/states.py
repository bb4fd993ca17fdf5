"""Two kernels and the wire between them, step by step.  Built in chapter 24-tcp-connection.

The wire can hold frames and let them go one at a time; between two steps both kernels stand still and can be asked for the state
of their sockets.  States keeps what was seen as plain data, so a run can be kept, compared and drawn again.
"""

from . import escape
from .frame_words import describe
from .view import View, count

__all__ = ["States"]


class States(View):
    """Rows of (what happened, the frame, each host's states).  Two hosts: the first and the last that `add` names."""

    def __init__(self, title=None, origin=""):
        self.title, self.origin = title and escape.plain(title, 120), origin
        self.steps = []
        self._sides, self._rows = {}, {}

    def add(self, what, frame, states):
        """Note a step: what happened, the Frame that the wire carried, lost or holds (or None), {host: state}."""
        step = {"what": escape.plain(what, 120), "frame": None, "states": {}}
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
    def hosts(self):
        """The two hosts that are drawn: the first and the last named."""
        named = list(dict.fromkeys(host for step in self.steps for host in step["states"]))
        return (named[0], named[-1]) if len(named) > 1 else tuple(named)

    def to_record(self):
        """Everything as plain data for JSON; symbolic, so two runs that went the same way give the same record."""
        return {"title": self.title, "steps": [dict(step) for step in self.steps]}

    @classmethod
    def from_record(cls, record, origin="recorded"):
        """The States that `to_record` described."""
        if not isinstance(record, dict) or not isinstance(record.get("steps"), list):
            raise ValueError(f"expected a record as States.to_record() gives it, got {type(record).__name__}")
        states = cls(record.get("title"), origin)
        states.steps = [dict(step) for step in record["steps"]]
        return states

    def changed(self, at, host):
        """True if the host's state in step `at` differs from the one it had before."""
        before = next((s["states"][host] for s in reversed(self.steps[:at]) if host in s["states"]), None)
        return before is not None and self.steps[at]["states"].get(host, before) != before

    def summary(self):
        """How each host's state went from step to step."""
        if not self.steps:
            return "No steps were noted."
        told = []
        for host in self.hosts:
            seen = [step["states"][host] for step in self.steps if host in step["states"]]
            path = [state for at, state in enumerate(seen) if at == 0 or state != seen[at - 1]]
            told.append(f"{host}: {' → '.join(state or 'no socket' for state in path)}")
        frames = sum(step["frame"] is not None for step in self.steps)
        return f"{count(len(self.steps), 'step')}, {count(frames, 'frame')}; {'; '.join(told)}."

    @property
    def text(self):
        """A table: what happened, the left host's states, the frame with its direction, the right host's; "*" marks a change."""
        heading = [self.title, ""] if self.title else []
        if not self.steps:
            return "\n".join([*heading, "No steps were noted."])
        hosts = self.hosts
        left, right = (hosts[0] if hosts else ""), (hosts[1] if len(hosts) > 1 else "")
        rows = [("", left, "on the wire", right)]
        for at, step in enumerate(self.steps):
            cells = [step["states"].get(host, "") + (" *" if self.changed(at, host) else "") for host in (left, right)]
            rows.append((step["what"], cells[0], _frame_text(step["frame"], right), cells[1]))
        what, first, wire = (max(len(row[column]) for row in rows) for column in range(3))
        return "\n".join([*heading, *(f"{a:<{what}}  {b:<{first}}  {c:<{wire}}  {d}".rstrip() for a, b, c, d in rows)])

    def figure(self):
        """The steps as a matplotlib Figure."""
        from .states_figure import draw

        return draw(self)


def _frame_text(frame, right):
    if frame is None:
        return ""
    told = f"  [{'; '.join(frame['told'])}]" if frame["told"] else ""
    rest = f"  {frame['rest']}" if frame["rest"] else ""
    protocol = "" if frame["protocol"] == "TCP" else f"{frame['protocol']} "
    return f"{'←' if frame['sender'] == right else '→'} {protocol}{frame['head']}{rest}{told}"
