"""Run a function and note what it does: which line it is at, and which calls it makes into the kernel.  Chapter 18 uses it.

Python tells a thread's tracer about every line (sys.settrace) and a profiler about every call of a C function (sys.setprofile).
The methods of a socket are such functions, one system call each; so is time.sleep().  It works on the thread that calls it, and
on what the function does itself: functions that it calls are one line to it.
"""

import linecache
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lanes import Lanes

__all__ = ["follow"]

_ON_SOCKETS = {
    "bind": "bind", "listen": "listen", "_accept": "accept", "connect": "connect", "connect_ex": "connect",
    "recv": "recv", "recv_into": "recv", "recvfrom": "recvfrom", "send": "send", "sendall": "send", "sendto": "sendto",
    "shutdown": "shutdown", "close": "close",
}  # fmt: skip
_ON_EPOLL = {"poll": "epoll_wait", "register": "epoll_ctl", "modify": "epoll_ctl", "unregister": "epoll_ctl"}


def follow(lanes: "Lanes", function: Callable, args: tuple, line: str, call: str) -> object:
    """function(*args) with its lines as spans of the track `line`, and its system calls as spans of the track `call`."""
    code, current, calling = function.__code__, [], []

    def finish(now):
        if current:
            words, start = current.pop()
            lanes.span(line, words, start, now, ends=False)

    def local(frame, event, arg):
        if event in ("line", "return"):
            now = time.time_ns()
            finish(now)
            if event == "line":
                current.append((linecache.getline(code.co_filename, frame.f_lineno).strip().partition("  #")[0], now))
        return local

    def trace(frame, event, arg):
        return local if frame.f_code is code else None

    def own(frame):
        """Is it the function itself that calls, directly or through Python's socket module?"""
        while frame is not None and frame.f_globals.get("__name__") == "socket":
            frame = frame.f_back
        return frame is not None and frame.f_code is code

    def profile(frame, event, arg):
        if event in ("c_call", "c_return", "c_exception") and (name := _system_call(arg)) and own(frame):
            if event == "c_call":
                calling.append((name, time.time_ns()))
            elif calling:
                name, start = calling.pop()
                lanes.span(call, f"{name}()", start, time.time_ns())
                lanes.look()  # it may have changed what is being watched

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        return function(*args)
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
        finish(time.time_ns())


def _system_call(function):
    """The name of the system call that this C function makes, or None."""
    on, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if isinstance(on, socket.socket):
        return _ON_SOCKETS.get(name) if on.family in (socket.AF_INET, socket.AF_INET6) else None
    if isinstance(on, getattr(select, "epoll", ())):
        return _ON_EPOLL.get(name)
    return "clock_nanosleep" if function is time.sleep else None
