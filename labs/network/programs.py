"""The lab process's programs: started inside a host, watched through a descriptor of their own, buried when they end.

A pidfd (pidfd_open(2)) becomes readable when its process ends, so the loop that carries frames can wait for programs, too.
"""

import fcntl
import os
from time import monotonic_ns as now

__all__ = ["Programs"]


class Programs:
    """The part of the lab that runs programs inside its hosts."""

    def do_run(self, channel, fds, made, host, argv, environment, folder):
        import subprocess  # here: most networks run no program, and the lab must be up in a blink

        self.enter(host)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in fds]  # above the numbers that they shall have in the program
        output, given = high[0], range(3, 2 + len(high))

        def place():
            for number, fd in zip(given, high[1:]):
                os.dup2(fd, number)

        try:
            program = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=folder, start_new_session=True,
                pass_fds=given, preexec_fn=place if given else None,
            )  # fmt: skip
        finally:
            for fd in high:
                os.close(fd)
        program.returncode = 0  # we reap it ourselves
        pidfd = os.pidfd_open(program.pid)
        self.programs[program.pid] = [pidfd, None]
        with open(f"/proc/self/fdinfo/{pidfd}") as info:  # /proc is still the machine's, and counts as it does
            outside = next(int(line.split()[1]) for line in info if line.startswith("Pid:"))
        return {"pid": program.pid, "outside": outside}

    def do_wait(self, channel, fds, made, pid, timeout):
        if self.programs[pid][1] is not None:
            return {"status": self.programs[pid][1]}
        self.waiting.append((channel, "exit", pid, now() + int(timeout * 1e9)))

    def do_kill(self, channel, fds, made, pid, signal_number):
        if self.programs[pid][1] is None:
            os.killpg(pid, signal_number)
        return {}

    def reap(self, pidfd):
        pid = next(p for p, (fd, _) in self.programs.items() if fd == pidfd)
        _, status = os.waitpid(pid, 0)
        os.close(pidfd)
        self.programs[pid] = [-1, os.waitstatus_to_exitcode(status)]
        for wait in [w for w in self.waiting if w[1] == "exit" and w[2] == pid]:
            self.waiting.remove(wait)
            self.answer(wait[0], {"status": self.programs[pid][1]})
