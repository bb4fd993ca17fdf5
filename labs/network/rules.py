"""Rules: what the notebook says about single frames while they are on the wire.

While a wire has rules, each of its frames makes a detour through a thread of the notebook that asks them in turn.
That is slower than the cable (about 0.1 ms a frame) and waits while the notebook is busy; without rules, nothing does.
"""

import socket
import threading
import weakref

from labs.captures.frame import Frame
from labs.errors import LabError
from labs.network.messages import FRAME, QUESTION, VERDICT

__all__ = ["Rule", "Rules"]

LONGEST = 65_535  # bytes of a frame that a rule may make


class Rule:
    """A rule of a wire: which frames, what to do, how often it did (`hits`).  Ends with remove() or at the end of a `with`."""

    def __init__(self, rules, match, drop, delay, duplicate, rewrite, reorder, times):
        if not callable(match):
            raise TypeError(f"expected a function of a frame, such as lambda f: f.syn, got {match!r}")
        if not (drop or delay or duplicate or rewrite or reorder):
            raise ValueError("expected something to do: drop=True, delay=0.1, duplicate=1, rewrite=function or reorder=1")
        if not isinstance(delay, (int, float)) or not 0 <= delay <= 2:
            raise ValueError(f"expected a delay from 0 to 2 seconds, got {delay!r}")
        for name, count in (("duplicate", duplicate), ("reorder", reorder)):
            if not isinstance(count, int) or not 0 <= count <= 1000:
                raise ValueError(f"expected {name} from 0 to 1000 frames, got {count!r}")
        if rewrite is not None and not callable(rewrite):
            raise TypeError(f"expected rewrite to be a function from a frame to bytes, got {rewrite!r}")
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError(f"expected times to be 1 or more, or None for always, got {times!r}")
        self._rules, self.match, self.rewrite = rules, match, rewrite
        self.drop, self.delay, self.duplicate, self.reorder, self.times = bool(drop), float(delay), duplicate, reorder, times
        self.hits, self.error = 0, None

    def remove(self) -> None:
        """Take the rule away, once it has judged all that was sent so far; if it failed on a frame, say so now."""
        self._rules.remove(self)
        if self.error:
            error, self.error = self.error, None
            raise LabError(f"the rule failed on a frame and was not applied any more: {error!r}") from error

    def __repr__(self):
        does = [words for said, words in (
            (self.drop, "drops them"), (self.delay, f"delays them {self.delay:g} s"),
            (self.duplicate, f"sends {self.duplicate} more of each"), (self.rewrite, "rewrites them"),
            (self.reorder, f"lets {self.reorder} pass each"),
        ) if said]  # fmt: skip
        which, code = getattr(self.match, "__name__", "its function"), getattr(self.match, "__code__", None)
        which += f" (line {code.co_firstlineno})" if code else ""
        times = "" if self.times is None else f" of {self.times}"
        ends = f"failed on a frame: {self.error!r}" if self.error else "ends with remove() or its `with`"
        if self not in self._rules.standing:
            ends = "has ended"
        return f"rule for frames of which {which} is true: {', '.join(does)}; {self.hits}{times} so far; {ends}"

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if kind is None:
            return self.remove()
        self._rules.remove(self)
        if self.error:
            error.add_note(f"besides, the rule failed on a frame and was not applied any more: {self.error!r}")


class Rules:
    """The rules of one wire, and the thread that applies them while there are any."""

    def __init__(self, lab, wire, senders):
        self._lab, self._wire, self._senders = lab, wire, senders
        self._rules, self._socket, self._thread, self._lock = [], None, None, threading.Lock()

    @property
    def standing(self) -> tuple[Rule, ...]:
        return tuple(self._rules)

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._catch_up()
            if self._socket is None:
                _, (fd,) = self._lab.ask("judge", wire=self._wire)
                self._socket = socket.socket(fileno=fd)
                self._thread = threading.Thread(
                    target=_judge, args=(self._socket, weakref.ref(self)), name="wire rules", daemon=True
                )
                self._thread.start()
            self._rules = [*self._rules, rule]

    def remove(self, rule: Rule | None = None) -> None:
        """Remove one rule, or all."""
        with self._lock:
            try:
                if rule in self._rules:
                    self._catch_up()
            finally:
                self._rules = [r for r in self._rules if rule is not None and r is not rule]
                if not self._rules and self._socket:
                    ended, self._socket = self._socket, None
                    with ended:
                        ended.shutdown(socket.SHUT_RDWR)  # wakes the thread; the lab decides what is still open without us
                        if self._thread is not threading.current_thread():
                            self._thread.join(2)

    def _catch_up(self):
        """Wait until the rules have judged what was sent so far: a rule is for what is sent while it stands, no more, no less."""
        if self._socket and not self._lab.closed and self._thread is not threading.current_thread():
            try:
                self._lab.ask("judged", wire=self._wire, timeout=2.0)
            except LabError:
                pass  # the lab process has ended: nothing is left to judge

    def verdict(self, raw: bytes, source: int) -> tuple[tuple[bool, float, int, int], bytes]:
        """What the first rule that matches says of a frame: (drop, delay, copies, frames to let pass), and its new bytes."""
        frame = Frame(raw, sender=self._senders.get(source, "wire"), wire=self._wire)
        for rule in list(self._rules):
            if rule.error or rule.times is not None and rule.hits >= rule.times:
                continue
            try:
                if not rule.match(frame):
                    continue
                changed = _rewritten(rule, frame) if rule.rewrite else b""
            except BaseException as e:  # a mistake in the learner's function: shown when the rule is removed
                rule.error = e
                continue
            rule.hits += 1
            return (rule.drop, rule.delay, rule.duplicate, rule.reorder), changed if changed != frame.raw else b""
        return (False, 0.0, 0, 0), b""


def _rewritten(rule, frame):
    changed = rule.rewrite(frame)
    if isinstance(changed, int) or changed is None:  # bytes(5) would be five zeros
        raise TypeError(f"expected rewrite to return the bytes of a frame, got {changed!r}")
    changed = bytes(changed)
    if not 14 <= len(changed) <= LONGEST:
        raise ValueError(f"expected rewrite to return a frame of 14 to {LONGEST} bytes, got {len(changed)}")
    return changed


def _judge(frames, rules):
    """What the thread does.  It holds no more than a weak reference: a network that nobody refers to must close, rules or not."""
    with frames:  # whatever ends this loop, the lab sees the socket close, and no frame waits for ever
        while True:
            try:
                message = frames.recv(FRAME)
                known = rules()
                if not message or known is None:
                    return
                number, source = QUESTION.unpack_from(message)
                verdict, changed = known.verdict(message[QUESTION.size :], source)
                del known
                frames.send(VERDICT.pack(number, *verdict) + changed)
            except OSError:
                return
