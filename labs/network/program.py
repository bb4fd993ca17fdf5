"""A real program inside a host: started there, heard here, ended with it."""

import errno
import os
import shutil
import signal as signals
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from labs.errors import LabError
from labs.network.messages import KEPT, WRITTEN

if TYPE_CHECKING:
    from labs.network.channel import LabProcess

__all__ = ["Program"]

LOOK = 0.01  # seconds between two looks at what a program does


def _found(name: str, environment: dict) -> bool:
    """Whether PATH leads to it: execvp(3) says EACCES, too, where one of its folders cannot be read."""
    return "/" in name or shutil.which(name, path=environment.get("PATH", os.defpath)) is not None


class Program:
    """A running (or ended) program.  Its output is kept in memory, up to a limit: read it at any time with output()."""

    def __init__(
        self, lab: "LabProcess", host: str, argv: list, environment: dict | None, folder: str | None, sockets: Iterable = ()
    ) -> None:
        if isinstance(argv, str) or not argv:
            raise TypeError(f"expected a list such as ['ping', '-c1', '10.0.0.2'], got {argv!r}")
        self.argv, self._lab = [str(word) for word in argv], lab
        self._output = os.fdopen(os.memfd_create("output", os.MFD_CLOEXEC), "rb", buffering=0)
        environment = dict(os.environ) if environment is None else environment
        fds = [self._output.fileno(), *(one if isinstance(one, int) else one.fileno() for one in sockets)]
        if len(fds) > 4:
            raise ValueError(f"expected 3 sockets at most for {self.argv[0]!r}, got {len(fds) - 1}")
        folder = str(folder or os.getcwd())
        try:
            reply, _ = lab.ask("run", fds=fds, host=host, argv=self.argv, environment=environment, folder=folder)
        except OSError as e:
            if not os.path.isdir(folder):
                raise LabError(f"expected a folder to start {self.argv[0]!r} in, got {folder!r}: there is none") from None
            if isinstance(e, FileNotFoundError) or (isinstance(e, PermissionError) and not _found(self.argv[0], environment)):
                raise LabError(f"expected a program that is installed here, got {self.argv[0]!r}: it was not found") from None
            if e.errno == errno.EMFILE:
                raise
            raise LabError(f"expected a program that can be started, got {self.argv[0]!r}: {e.strerror}") from None
        self._inner, self.pid = reply["pid"], reply["outside"]  # as the lab's own PID namespace counts, and as the machine does

    def wait(self, timeout: float = 10.0) -> int:
        """Wait until it ends and return its exit status (negative: the signal that ended it).  TimeoutError after `timeout` s."""
        reply, _ = self._lab.ask("wait", pid=self._inner, timeout=timeout)
        if "status" not in reply:
            raise TimeoutError(f"{self.argv[0]} still runs after {timeout:g} s; its output so far: {self.output()[-500:]!r}")
        return reply["status"]

    @property
    def running(self) -> bool:
        """True until it has ended."""
        reply, _ = self._lab.ask("wait", pid=self._inner, timeout=0)
        return "status" not in reply

    def until(self, ready: Callable[[], object], timeout: float = 10.0) -> object:
        """Wait until ready() is true and return what it gave.  LabError with its last words if the program ends before that."""
        give_up = time.monotonic() + timeout
        while not (found := ready()):
            try:
                status = self.wait(LOOK)
            except TimeoutError:
                if time.monotonic() < give_up:
                    continue
                raise LabError(f"{self._name} was not ready within {timeout:g} s; it said: {self._last_words()}") from None
            raise LabError(f"{self._name} ended with status {status} before it was ready; it said: {self._last_words()}")
        return found

    @property
    def _name(self):
        return os.path.basename(self.argv[0])

    def _last_words(self):
        return " ".join(self.output().split())[-500:] or "nothing"

    def output(self) -> str:
        """What it has written so far (standard output and error), as text; of more than 64 MB a line says what is missing."""
        if not self._lab.closed:
            self._lab.ask("heard", pid=self._inner)
        memory = self._output.fileno()
        written = self._written()
        kept = os.pread(memory, min(written, KEPT), WRITTEN.size).decode(errors="replace")
        if written <= KEPT:
            return kept
        end, place = os.pread(memory, KEPT, WRITTEN.size + KEPT), written % KEPT
        if written >= 2 * KEPT:
            end = end[place:] + end[:place]  # it was written round and round
        overwritten = max(0, self._written() - max(written, 2 * KEPT))  # meanwhile, by a program that goes on
        end, dropped = end[overwritten:], max(0, written - 2 * KEPT) + overwritten
        note = f"\n… {dropped:,} bytes dropped …\n" if dropped else ""
        return kept + note + end.decode(errors="replace")

    def _written(self) -> int:
        return WRITTEN.unpack(os.pread(self._output.fileno(), WRITTEN.size, 0).ljust(WRITTEN.size, b"\0"))[0]

    def kill(self, signal: int = signals.SIGKILL) -> None:
        """Send a signal to it and to what it started, unless that began a session of its own; also when it has ended itself."""
        self._lab.ask("kill", pid=self._inner, signal_number=int(signal))
