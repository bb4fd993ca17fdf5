"""What graders share: trying a learner's function, with a limit and with the learner's own line where it fails.

    got = call(put_in_order, frames, on="a shuffled capture", returns=bytes)

What goes wrong is raised as a Verdict, which Exercise.feedback() turns into what the learner reads: a grader goes straight on.
"""

import contextlib
import ctypes
import linecache
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from labs.lessons.exercise import Verdict, close, missing, with_article

__all__ = ["Running", "call", "raised", "time_limit", "times"]

SECONDS = 5.0  # that one call of a learner's function may take


class OutOfTime(BaseException):
    """Raised in the middle of what takes too long.  No Exception: a learner's `except Exception` must not swallow it."""


def times(count: int) -> str:
    """ "once", "3 times"."""
    return "once" if count == 1 else f"{count} times"


def call(
    function: Callable, *arguments: Any, on: str = "", returns: type | tuple[type, ...] = object, seconds: float = SECONDS
) -> Any:
    """function(*arguments), if it returns in time, and one of the types `returns`.  Else a Verdict that says what happened.

    on: what the function was tried on, in words for the learner.
    """
    name, where = function_name(function), f" on {on}" if on else ""
    try:
        with time_limit(seconds):
            got = function(*arguments)
    except OutOfTime:
        raise Verdict(close(f"{name}{where} did not come back within {seconds:g} s")) from None
    except Verdict:
        raise
    except Exception as error:
        raise Verdict(close(f"{name}{where} raised {raised(error, function)}")) from None
    kinds = returns if isinstance(returns, tuple) else (returns,)
    if got is None and object not in kinds and type(None) not in kinds:
        raise Verdict(missing(f"{name} returned nothing{where or ' yet'}"))
    if not isinstance(got, kinds) or (isinstance(got, bool) and bool not in kinds and object not in kinds):
        wanted = " or ".join("None" if kind is type(None) else with_article(kind.__name__) for kind in kinds)
        raise Verdict(missing(f"{name} should return {wanted}, it returned {with_article(type(got).__name__)}{where}"))
    return got


def function_name(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)


def raised(error: BaseException, function: Callable) -> str:
    """ "ZeroDivisionError: division by zero (line 3: return 1 / 0)": an exception, and the learner's line that it passed last."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    text = linecache.getline(file, lines[-1]).strip() if lines else ""
    return f"{said} (line {lines[-1]}: {text})" if text else said


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the middle of the `with`, and again until it ends: setitimer(2).

    Signals come to the main thread, where cells run; in another thread, and on Windows, there is no limit.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Running:
    """A learner's server in a thread, for the time of a `with`: function(*arguments).  Then its sockets are taken from it.

    sockets: those that it waits at; they are closed at the end.  problem: "" while it runs, else why it has ended.
    """

    def __init__(self, function: Callable, *arguments: Any, sockets: Sequence[socket.socket]):
        self.function, self.arguments, self.sockets, self.problem = function, arguments, sockets, ""
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            self.function(*self.arguments)
            self.problem = "it returned"
        except SystemExit:  # ours, below
            self.problem = "it was stopped"
        except Exception as error:
            self.problem = raised(error, self.function)

    def why(self, what: str) -> str:
        """`what` went wrong, and that the server has ended, if it has."""
        return f"{what} ({function_name(self.function)} has ended: {self.problem})" if self.problem else what

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept(), recv() or select()
        self.thread.join(0.3)
        if self.thread.is_alive():
            # A loop that ignores errors would go on for ever.  Python has no other way to end a thread from outside.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread.ident), ctypes.py_object(SystemExit))
        for sock in self.sockets:
            sock.close()
