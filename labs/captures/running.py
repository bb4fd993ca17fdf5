"""A capture that is running: it goes on from where it was, each time somebody reads it or waits for a frame.

What every link shares is in Running.  Where frames come from is the link's own: FromLog reads the log of a lab process.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from labs.captures import log
from labs.captures.frame import Frame
from labs.errors import LabError

__all__ = ["FromLog", "Running"]

SETTLED = 13.0  # seconds; the longest delay of a wire is 10, of a rule 2
PART = 1 << 20  # bytes of the log that are read at a time


class Running:
    """A capture between its begin() and its end().  A link's own kind has start(), catch_up(), more() and stop().

    frames: in the order in which they entered the wires; touched: the same frames as something was learnt of them, so one is in
    it again when its fate changed (it arrived, it was lost); missed: frames that could not be kept.  Several threads may read:
    whoever appends to the two lists holds `lock`.  make(bytes, number=, time=, sender=, wire=) makes a frame.
    """

    def __init__(self, make: Callable[..., Frame]):
        self.frames: list[Frame] = []
        self.touched: list[Frame] = []
        self.make, self.missed, self.begun, self.lock = make, 0, False, threading.Lock()

    def start(self) -> None:
        """Note where the capture begins; LabError if there is no wire any more."""
        raise NotImplementedError

    def catch_up(self, timeout: float) -> int:
        """Let what is on its way arrive, for `timeout` s at most, and take what came since the last time; how far that is."""
        raise NotImplementedError

    def more(self, reached: int, timeout: float) -> None:
        """Return when something has come after what catch_up() called `reached`, or after `timeout` s.  It must not poll."""
        raise NotImplementedError

    def stop(self) -> None:
        """The capture has ended: let go of what it needed.  Called once, whatever went wrong."""

    def begin(self) -> None:
        if self.begun:
            raise LabError("this capture runs already")
        self.start()
        self.begun = True

    def so_far(self) -> tuple[list[Frame], int]:
        """(The frames up to now, how many were missed.)"""
        self._must_run()
        self.catch_up(SETTLED)
        return list(self.frames), self.missed

    def _must_run(self):
        if not self.begun:
            raise LabError("this capture has not begun; use it as `with net.capture() as cap:`")

    def wait(self, match: Callable[[Frame], object], timeout: float, after: Frame | None = None) -> Frame:
        """The first frame (behind `after`) for which match(frame) is true: one that is there, or comes within `timeout` s.

        match is asked once about each frame, and again when its fate has changed.
        """
        self._must_run()
        give_up, behind, seen = time.monotonic() + timeout, after.number if after else 0, None
        while True:
            reached = self.catch_up(min(SETTLED, max(0.0, give_up - time.monotonic())))
            with self.lock:
                look = self.frames[behind:] if seen is None else [f for f in self.touched[seen:] if f.number > behind]
                seen = len(self.touched)
            if (found := next(filter(match, look), None)) is not None:
                return found
            if (left := give_up - time.monotonic()) <= 0:
                name = getattr(match, "__name__", "the function")
                raise LabError(f"no frame came within {timeout:g} s for which {name} is true")
            self.more(reached, left)

    def end(self) -> None:
        """Take what is still on its way; `frames` and `missed` stay as they are then."""
        try:
            self.so_far()
        finally:
            self.stop()


class FromLog(Running):
    """A capture of what a lab process writes into its log.  lab: it; cards: (host name, wire index) by card number."""

    def __init__(self, lab: Any, cards: Sequence[tuple[str, int]], make: Callable[..., Frame]):
        super().__init__(make)
        self.lab, self.cards, self.fd = lab, cards, -1

    def start(self) -> None:
        epoch = log.epoch()
        reply, _ = self.lab.ask("capture", change=1)
        self.fd = os.dup(self.lab.log)  # our own: what was captured stays readable if the network is closed meanwhile
        self.at, self.missed_before = reply["at"], reply["missed"]
        self.reader = log.Reader(self.cards, epoch, self.make)
        self.frames, self.touched = self.reader.frames, self.reader.touched

    def catch_up(self, timeout: float) -> int:
        if self.lab.closed and not self.lab.died:
            return self._read(os.fstat(self.fd).st_size)
        try:
            reply, _ = self.lab.ask("settle", timeout=timeout)  # what is on its way belongs to it
        except LabError:  # it is gone: what it had written is there
            self._read(os.fstat(self.fd).st_size)
            raise
        self.missed = reply["missed"] - self.missed_before
        return self._read(reply["at"])

    def _read(self, end):
        with self.lock:
            while self.at < end and (part := os.pread(self.fd, min(PART, end - self.at), self.at)):
                self.at += len(part)
                self.reader.feed(part)
        return end

    def more(self, reached: int, timeout: float) -> None:
        self.lab.ask("more", at=reached, timeout=timeout)

    def stop(self) -> None:
        try:
            if not self.lab.closed:
                self.lab.ask("capture", change=-1)
        finally:
            os.close(self.fd)
