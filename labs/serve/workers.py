"""Worker processes behind one port: labs.workers("my_worker:serve", on=server, port=80, count=2, how="accept").

    how="accept"      one listening socket that all inherit, each calls accept(2): one queue, whoever is free takes the next
    how="reuseport"   a listening socket for each on the same port (SO_REUSEPORT, socket(7)): a queue each, the kernel deals

A worker is a process of its own inside the host, with an interpreter of its own: it knows nothing of the notebook's functions.
What it runs is a function in a module, in a file ("worker.py:serve"), or in source text that it is sent (code=…), called with
the listening socket and the worker's name.
Chapter 22-single-listener-multiple-workers.
"""

import os
import re
import select
import signal as signals
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labs.errors import LabError

if TYPE_CHECKING:
    from labs.network.host import Host

__all__ = ["Worker", "Workers", "main", "workers"]

ROOT = str(Path(__file__).resolve().parents[2])
BOOT = "import sys; sys.path.append(sys.argv[1]); from labs.serve.workers import main; main(*sys.argv[2:])"
START_WITHIN = 15.0  # seconds
MOST_CODE = 40_000  # bytes; it travels in one message to the lab process, and in one argument of a program


def workers(
    function: str, on: "Host", port: int = 80, count: int = 2, how: str = "accept", backlog: int = 128, code: str | None = None
) -> "Workers":
    """Start `count` workers that serve a port of the host `on`: Workers, all of them ready.

    function: "module:function" or "file.py:function"; with code=source text, the name of a function in it.  It gets (listening
    socket, name), and serves until it is killed.  Raises LabError with what a worker said if one did not start.
    """
    module, colon, name = function.rpartition(":") if isinstance(function, str) else ("", "", "")
    if bool(colon) == (code is not None) or not re.fullmatch(r"[A-Za-z_]\w*", name):
        such = 'such as "worker.py:serve" or "package.module:serve", or with code=… just its name, "serve"'
        raise ValueError(f"expected a function that a new process can import, {such}; got {function!r}")
    if code is not None and (not isinstance(code, str) or len(code.encode()) > MOST_CODE):
        raise ValueError(f"expected code to be Python source text of at most {MOST_CODE:,} bytes, got {type(code).__name__}")
    if module.endswith(".py") and not os.path.isfile(module):
        raise ValueError(f"expected a file that exists, got {module!r}; this notebook runs in {os.getcwd()!r}")
    if how not in ("accept", "reuseport"):
        raise ValueError(f'expected how to be "accept" or "reuseport", got {how!r}')
    if not isinstance(count, int) or not 1 <= count <= 64:
        raise ValueError(f"expected 1 to 64 workers, got {count!r}")
    listening, group = [], Workers()
    try:
        if how == "accept":
            listening = [on.listen(port, backlog)] * count
        for index in range(count):
            if how == "reuseport":  # all from here, so that the first one's port 0 is the others' port, too
                listening.append(_reuseport(on, listening[0].getsockname()[1] if listening else port, backlog))
            where = os.path.abspath(module) if module.endswith(".py") else module
            group.append(Worker(on, f"worker {index + 1}", where, name, listening[index], code or ""))
        group.port = listening[0].getsockname()[1]
        deadline = time.monotonic() + START_WITHIN
        for worker in group:
            worker.wait_until_ready(deadline)
    except BaseException:
        group.close()
        raise
    finally:
        for one in {id(one): one for one in listening}.values():  # only workers hold it now: a queue ends with the last that does
            one.close()
    return group


def _reuseport(host, port, backlog):
    made = host.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("0.0.0.0", port))
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    return made


class Worker:
    """A worker process.  name; pid, as the machine counts; kill(), wait(), output(), alive, cpu_time."""

    def __init__(self, host, name, module, function, listening, code=""):
        self.name = name
        self._ready, theirs = os.pipe()  # it writes a byte when it can serve; when it ends, the pipe ends
        try:
            command = [sys.executable, "-c", BOOT, ROOT, module, function, name, code]
            self._program = host.run(command, sockets=[listening, theirs])
        except BaseException:
            os.close(self._ready)
            raise
        finally:
            os.close(theirs)
        self.pid = self._program.pid

    def wait_until_ready(self, deadline: float) -> None:
        poll = select.poll()
        poll.register(self._ready, select.POLLIN)
        came = poll.poll(max(0, deadline - time.monotonic()) * 1e3)
        said = os.read(self._ready, 1) if came else b""
        os.close(self._ready)
        self._ready = -1
        if not said:
            how = "ended before it could serve" if came else f"was not ready within {START_WITHIN:g} s"
            raise LabError(f"{self.name} {how}: {self.output().strip()[-800:] or 'it said nothing'}")

    @property
    def alive(self) -> bool:
        try:
            return self._program.running
        except LabError:  # its network is closed, and took it along
            return False

    @property
    def cpu_time(self) -> float:
        """Seconds for which it has had a CPU, all its threads together, by its own clock (clock_getcpuclockid(3))."""
        try:
            return time.clock_gettime(~self.pid << 3 | 2)  # the number of that clock: make_process_cpuclock() in Linux
        except OSError:
            raise LabError(f"{self.name} has ended; read its cpu_time while it runs") from None

    def kill(self, signal: int = signals.SIGKILL, timeout: float = 5.0) -> None:
        """Send it a signal; of SIGKILL, wait until it is gone."""
        self._program.kill(signal)
        if signal == signals.SIGKILL:
            self._program.wait(timeout)

    def wait(self, timeout: float = 5.0) -> int:
        """Wait until it has ended, by whatever cause; returns its exit status, negative: the signal.  TimeoutError."""
        return self._program.wait(timeout)

    def output(self) -> str:
        """What it has written so far."""
        return self._program.output()

    def __repr__(self):
        return f"{self.name}{'' if self.alive else ', ended'}"

    def _forget(self):
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1
        try:
            self.kill()
        except LabError:
            pass  # the network is closed


class Workers(list):
    """Workers of one port.  Ends with `with`, close(), or the network."""

    port = None

    def close(self) -> None:
        """Kill those that still run.  Doing it twice is fine."""
        for worker in self:
            worker._forget()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main(module: str, function: str, name: str, code: str) -> None:
    """What a worker process runs: descriptor 3 is its listening socket, 4 the pipe on which it says that it is ready."""
    import importlib.util
    import linecache
    import types

    if code:
        loaded = types.ModuleType("worker")
        linecache.cache["worker.py"] = len(code), None, code.splitlines(True), "worker.py"  # tracebacks show lines from there
        exec(compile(code, "worker.py", "exec"), loaded.__dict__)
    elif module.endswith(".py"):
        found = importlib.util.spec_from_file_location(Path(module).stem, module)
        assert found and found.loader, "its name ends with .py"
        sys.path.insert(0, os.path.dirname(module))
        loaded = importlib.util.module_from_spec(found)
        found.loader.exec_module(loaded)
    else:
        sys.path.insert(0, os.getcwd())
        loaded = importlib.import_module(module)
    serve, listening = getattr(loaded, function), socket.socket(fileno=3)
    listening.setblocking(True)
    os.write(4, b"+")
    os.close(4)
    try:
        serve(listening, name)
    except Exception:
        import traceback  # which reads linecache; before 3.13 the interpreter's own report does not

        sys.exit(traceback.format_exc())
