"""Interrupts, held back where half a job would be worse than a late answer.

Stop in JupyterLab and Ctrl-C in a terminal send SIGINT, which Python turns into KeyboardInterrupt between any two steps of the
main thread (https://docs.python.org/3/library/signal.html).  An import that ends so leaves modules that are half there until the
restart.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uninterrupted"]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """`with uninterrupted():` a SIGINT that comes inside takes effect at the end of the block."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual is None:  # None: a handler that is not Python's
        yield
        return
    came = []
    try:
        signal.signal(signal.SIGINT, lambda *_: came.append(True))
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if came:
            signal.raise_signal(signal.SIGINT)
