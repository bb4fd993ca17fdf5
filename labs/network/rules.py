"""Rules: what the notebook says about single frames while they are on the wire.

While a wire has rules, each of its frames makes a detour through a thread of the notebook that asks them in turn.
That is slower than the cable (about 0.1 ms a frame) and waits while the notebook's interpreter is busy; without rules, nothing does.
"""

import socket
import struct
import threading

from labs.network.channel import LabError
from labs.network.frame import Frame

__all__ = ["Rule", "Rules"]

_QUESTION, _VERDICT = struct.Struct("<IH"), struct.Struct("<I?dHH")  # as in labs.network.process


class Rule:
    """A rule of a wire: which frames, what to do, how often it did (`hits`).  Ends with remove() or at the end of a `with`."""

    def __init__(self, rules, match, drop, delay, duplicate, rewrite, reorder, times):
        if not callable(match):
            raise TypeError(f"expected a function of a frame, such as lambda f: f.syn, got {match!r}")
        if not (drop or delay or duplicate or rewrite or reorder):
            raise ValueError("expected something to do: drop=True, delay=0.1, duplicate=1, rewrite=function or reorder=1")
        if not 0 <= delay <= 2:
            raise ValueError(f"expected a delay from 0 to 2 seconds, got {delay!r}")
        self._rules, self.match, self.rewrite = rules, match, rewrite
        self.drop, self.delay, self.duplicate, self.reorder, self.times = bool(drop), float(delay), int(duplicate), int(reorder), times
        self.hits, self.error = 0, None

    def remove(self):
        """Take the rule away; if it failed on a frame, say so now."""
        self._rules.remove(self)
        if self.error:
            error, self.error = self.error, None
            raise LabError(f"the rule failed on a frame and was not applied any more: {error!r}") from error

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.remove()
        else:
            self._rules.remove(self)


class Rules:
    """The rules of one wire, and the thread that applies them while there are any."""

    def __init__(self, lab, wire, senders):
        self._lab, self._wire, self._senders = lab, wire, senders
        self._rules, self._socket, self._thread, self._lock = [], None, None, threading.Lock()

    def add(self, rule):
        with self._lock:
            self._rules.append(rule)
            if self._socket is None:
                _, (fd,) = self._lab.ask("judge", wire=self._wire)
                self._socket = socket.socket(fileno=fd)
                self._thread = threading.Thread(target=self._judge, args=(self._socket,), name="wire rules", daemon=True)
                self._thread.start()

    def remove(self, rule=None):
        """Remove one rule, or all."""
        with self._lock:
            self._rules = [r for r in self._rules if rule is not None and r is not rule]
            if not self._rules and self._socket:
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread; the lab decides what is still open without us
                if self._thread is not threading.current_thread():
                    self._thread.join(2)
                self._socket.close()
                self._socket = None

    def _judge(self, frames):
        while True:
            try:
                message = frames.recv(1 << 17)
            except OSError:
                return
            if not message:
                return
            number, source = _QUESTION.unpack_from(message)
            raw = message[_QUESTION.size :]
            verdict, changed = self._verdict(Frame(raw, sender=self._senders.get(source, "wire"), wire=self._wire))
            try:
                frames.send(_VERDICT.pack(number, *verdict) + changed)
            except OSError:
                return

    def _verdict(self, frame):
        for rule in list(self._rules):
            if rule.error or rule.times is not None and rule.hits >= rule.times:
                continue
            try:
                if not rule.match(frame):
                    continue
                changed = bytes(rule.rewrite(frame)) if rule.rewrite else b""
            except Exception as e:  # a mistake in the learner's function: shown when the rule is removed
                rule.error = e
                continue
            rule.hits += 1
            return (rule.drop, rule.delay, rule.duplicate, rule.reorder), changed if changed != frame.raw else b""
        return (False, 0.0, 0, 0), b""
