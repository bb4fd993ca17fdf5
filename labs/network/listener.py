"""A listening socket, and the cell that made it: run again, a cell may listen where it listened before."""

import socket
import sys
from types import CodeType, FrameType

__all__ = ["TIMEOUT", "Listener", "calling_cell", "same_cell"]

TIMEOUT = 10.0  # seconds that sockets made here wait before TimeoutError, so that no cell hangs for ever


class Listener(socket.socket):
    """A socket whose accept() gives sockets that wait no longer than those of Host.connect: Python's own would wait for ever."""

    def accept(self) -> tuple[socket.socket, tuple]:
        made, peer = super().accept()
        made.settimeout(TIMEOUT)
        return made, peer


def calling_cell() -> tuple[CodeType, int] | None:
    """The code of the cell, or of the module, that is running in this thread, and how far it is; None in a thread of its own."""
    frame: FrameType | None = sys._getframe(1)
    while frame and not frame.f_code.co_name.startswith(("<module", "<cell line")):  # so do IPython's versions name a cell
        frame = frame.f_back
    return (frame.f_code, frame.f_lasti) if frame else None


def same_cell(before: tuple[CodeType, int] | None, now: tuple[CodeType, int] | None) -> bool:
    """True if one place in one cell was run twice.

    A cell is compiled each time it is run, into code that is equal and another object; ipykernel names its file by a hash of the
    text.  The very same code object is a loop, which may not take from itself what it has just opened.
    """
    if before is None or now is None or before[0] is now[0]:
        return False
    return before == now and before[0].co_filename.rpartition("-")[2] == now[0].co_filename.rpartition("-")[2]
