"""The lab process's end of the frame log (labs.captures.log): records go in while a capture runs, up to a limit."""

import os

from labs.captures.log import record

__all__ = ["FrameLog"]

TOGETHER = 64  # records


class FrameLog:
    """Writes the log.  `dropped` counts the records that it could not keep."""

    def __init__(self, fd: int, limit: int) -> None:
        self.fd, self.limit = fd, limit  # bytes
        self.captures = 0  # how many read it
        self.length = 0  # bytes, with those in `unwritten`
        self.unwritten: list[bytes] = []  # records that the file has not got yet
        self.dropped = 0

    def add(self, time: int, number: int, source: int, target: int, kind: int, data: bytes = b"") -> None:
        if not self.captures:
            return
        if self.length + len(data) > self.limit:
            self.dropped += 1
            return
        self.unwritten.append(record(time, number, source, target, kind, data))
        self.length += len(self.unwritten[-1])
        if len(self.unwritten) == TOGETHER:
            self.write()

    def write(self) -> None:
        """Records are written many at a time, so that a capture slows traffic little; and whenever somebody wants to read."""
        if not self.unwritten:
            return
        count, entries, self.unwritten = len(self.unwritten), b"".join(self.unwritten), []
        begin = self.length - len(entries)
        try:
            whole = os.pwrite(self.fd, entries, begin) == len(entries)
        except OSError:  # no memory left
            whole = False
        if not whole:
            self.length = begin
            self.dropped += count

    def captured(self, change: int) -> None:
        """One capture more (1) or fewer (-1).  When nobody reads it any more, the memory is given back."""
        self.captures += change
        if not self.captures and self.length:
            os.ftruncate(self.fd, 0)
            self.length = 0
