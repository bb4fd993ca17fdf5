"""The lab process's programs: started inside a host, heard, watched through a descriptor of their own, buried when they end.

A pidfd (pidfd_open(2)) becomes readable when its process ends, so the loop that carries frames can wait for programs, too.
"""

import fcntl
import os
import resource
import signal
from functools import partial

from labs.network.hosts import Hosts
from labs.network.loop import Loop
from labs.network.messages import KEPT, WRITTEN
from labs.network.requests import Later

__all__ = ["Programs"]


class Output:
    """What a program writes: it comes through a pipe and goes into a memfd of the notebook, which keeps beginning and end.

    A pipe, so that the memory has a limit whatever the program writes: it waits while the pipe is full (pipe(7)).  No byte passes
    through this interpreter (splice(2)).  Layout: labs.network.messages.
    """

    def __init__(self, loop: Loop, memory: int) -> None:
        self.loop, self.memory, self.written = loop, fcntl.fcntl(memory, fcntl.F_DUPFD_CLOEXEC, 0), 0
        try:
            self.pipe, self.theirs = os.pipe2(os.O_CLOEXEC)
        except OSError:
            os.close(self.memory)
            raise
        loop.watch(self.pipe, self.read)

    def read(self) -> bool:
        """Take what there is, one pipe full at most; False if there is nothing."""
        if self.pipe < 0:
            return False
        at = self.written if self.written < KEPT else KEPT + self.written % KEPT
        try:
            count = os.splice(self.pipe, self.memory, KEPT - at % KEPT, offset_dst=WRITTEN.size + at, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return False
        except OSError:  # no memory left
            count = 0
        if not count:  # it has ended, and all that it started and that could write here
            self.close()
            return False
        self.written += count
        os.pwrite(self.memory, WRITTEN.pack(self.written), 0)
        return True

    def close(self) -> None:
        self.loop.forget(self.pipe)
        os.close(self.pipe)
        os.close(self.memory)
        self.pipe = -1


class Started:
    """A program that was started: its process group, what it writes, and its exit status when it has ended."""

    def __init__(self, pid: int, pidfd: int, output: Output) -> None:
        self.pid, self.pidfd, self.output = pid, pidfd, output
        self.status: int | None = None
        self.group = True  # there is still a process in its group


class Programs:
    """Runs programs inside the hosts."""

    def __init__(self, loop: Loop, hosts: Hosts) -> None:
        self.loop, self.hosts = loop, hosts
        self.started: dict[int, Started] = {}  # by pid, as the lab's own PID namespace counts
        limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.limits = limit, most
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for us: a thread of the notebook, a program costs descriptors

    def do_run(self, host: str, argv: list, environment: dict, folder: str, fds: list[int]) -> dict:
        """Start a program; fds: the memfd for its output, then its descriptors 3, 4, 5."""
        import subprocess  # here: most networks run no program, and the lab must be up in a blink

        self.hosts.enter(host)
        output = Output(self.loop, fds[0])
        given, high = range(3, 2 + len(fds)), list[int]()

        def place() -> None:
            for number, fd in zip(given, high):
                os.dup2(fd, number)
            resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)

        try:
            for fd in fds[1:]:
                high.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16))  # above the numbers that they shall have in the program
            program = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output.theirs, stderr=output.theirs, env=environment, cwd=folder,
                start_new_session=True, pass_fds=given, preexec_fn=place,
            )  # fmt: skip
            program.returncode = 0  # we reap it ourselves
        except BaseException:
            output.close()
            raise
        finally:
            for fd in (output.theirs, *high):
                os.close(fd)
        pidfd = -1
        try:
            pidfd = os.pidfd_open(program.pid)
            with open(f"/proc/self/fdinfo/{pidfd}") as info:  # /proc is still the machine's, and counts as it does
                outside = next(int(line.split()[1]) for line in info if line.startswith("Pid:"))
        except OSError:  # no descriptor left
            os.killpg(program.pid, signal.SIGKILL)
            os.waitpid(program.pid, 0)
            if pidfd >= 0:
                os.close(pidfd)
            raise
        started = self.started[program.pid] = Started(program.pid, pidfd, output)
        self.loop.watch(pidfd, partial(self.bury, started))
        return {"pid": program.pid, "outside": outside}

    def do_wait(self, pid: int, timeout: float) -> Later:
        started = self.started[pid]
        status = lambda: None if started.status is None else {"status": started.status}
        return Later(status, timeout, lambda: {"none": True})

    def do_heard(self, pid: int) -> dict:
        """Make sure that what the program has written by now is in its memfd."""
        output, most = self.started[pid].output, 1 << 20
        before = output.written
        while output.written - before < most and output.read():
            pass
        return {}

    def do_kill(self, pid: int, signal_number: int) -> dict:
        """Send a signal to the program's process group: also when it has ended itself, and left others of it behind."""
        started = self.started[pid]
        if started.group:
            try:
                os.killpg(pid, signal_number)
            except ProcessLookupError:
                started.group = False
        return {}

    def bury(self, started: Started) -> None:
        """A program has ended."""
        _, status = os.waitpid(started.pid, 0)
        self.loop.forget(started.pidfd)
        os.close(started.pidfd)
        started.status = os.waitstatus_to_exitcode(status)
        try:
            os.killpg(started.pid, 0)
        except ProcessLookupError:
            started.group = False  # nobody is left, and the number may be given to others
        except PermissionError:
            pass  # who is left belongs to another user
