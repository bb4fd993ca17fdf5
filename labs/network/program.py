"""A real program inside a host: started there, heard here, ended with it."""

import os
import signal as signals
import time

from labs.errors import LabError

__all__ = ["Program"]

LOOK = 0.01  # seconds between two looks at what a program does


class Program:
    """A running (or ended) program.  Its output goes to a file in memory: read it at any time with output()."""

    def __init__(self, lab, host, argv, environment, folder, sockets=()):
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
            if isinstance(e, FileNotFoundError):
                raise LabError(f"expected a program that is installed here, got {self.argv[0]!r}: it was not found") from None
            raise LabError(f"expected a program that can be started, got {self.argv[0]!r}: {e.strerror}") from None
        self._inner, self.pid = reply["pid"], reply["outside"]  # as the lab's own PID namespace counts, and as the machine does

    def wait(self, timeout=10.0):
        """Wait until it ends and return its exit status (negative: the signal that ended it).  TimeoutError after `timeout` s."""
        reply, _ = self._lab.ask("wait", pid=self._inner, timeout=timeout)
        if "status" not in reply:
            raise TimeoutError(f"{self.argv[0]} still runs after {timeout:g} s; its output so far: {self.output()[-500:]!r}")
        return reply["status"]

    @property
    def running(self):
        """True until it has ended."""
        reply, _ = self._lab.ask("wait", pid=self._inner, timeout=0)
        return "status" not in reply

    def until(self, ready, timeout=10.0):
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

    def output(self):
        """All that it has written so far (standard output and error), as text."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def kill(self, signal=signals.SIGKILL):
        """Send a signal to it and to what it started."""
        self._lab.ask("kill", pid=self._inner, signal_number=int(signal))
