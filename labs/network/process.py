"""The lab process: one child that owns the hosts' namespaces, the cables and the programs that run inside.

It exists so that a notebook whose interpreter is busy does not stop the traffic, and so that nothing outlives the notebook: when
its first channel closes, it ends, and as process 1 of its own PID namespace it takes every program and namespace with it
(pid_namespaces(7), user_namespaces(7), network_namespaces(7)).
It imports as little as it can, and talks in marshal, which is built in: it must be up in a blink.
"""

import marshal
import os
import signal
import socket
import sys

from labs.network.frame_log import FrameLog
from labs.network.heartbeat import Heartbeat
from labs.network.hosts import Hosts, libc
from labs.network.loop import Loop
from labs.network.messages import MESSAGE
from labs.network.netlink import NEWNET, checked
from labs.network.programs import Programs
from labs.network.requests import Requests
from labs.network.traffic import Traffic
from labs.network.wires import Wires

__all__ = ["Lab", "main"]

NEWUSER, NEWPID = 0x10000000, 0x20000000  # sched.h


def isolate(uid: int, gid: int) -> None:
    """Leave the machine's namespaces: a user namespace makes this process the root of its own network (user_namespaces(7))."""
    try:
        checked(libc.unshare(NEWUSER | NEWNET | NEWPID))
    except OSError:
        if uid != 0:
            raise
        checked(libc.unshare(NEWNET | NEWPID))  # real root without user namespaces
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


class Lab:
    """What the lab process runs: hosts, the traffic between them, programs in them, and answers to the notebook."""

    def __init__(self, plan: dict, log: int, lifeline: socket.socket) -> None:
        """Builds the network of a plan (labs.network.topology); raises OSError as the kernel said it."""
        self.loop = Loop()
        self.hosts = Hosts(plan)
        self.log = FrameLog(log, plan["log_limit"])
        self.heartbeat = Heartbeat(self.loop)
        self.traffic = Traffic(self.loop, self.hosts, self.log, plan["wire"])
        self.programs = Programs(self.loop, self.hosts)
        self.wires = Wires(self.traffic, self.hosts)
        self.requests = Requests(self.loop, lifeline, (self.hosts, self.wires, self.programs, self.heartbeat))

    def main(self) -> None:
        """Run until the notebook lets the lab go."""
        self.loop.run()
        self.log.write()


def main(fd: int) -> None:
    lifeline = socket.socket(fileno=fd)
    message, (log, *_), _, _ = socket.recv_fds(lifeline, MESSAGE, 2)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # it ends with its notebook, and only then
        signal.signal(number, lambda *_: None)  # a handler, not SIG_IGN, which programs would inherit
    try:
        isolate(os.getuid(), os.getgid())
        child = os.fork()  # the first process in the new PID namespace is its init: when it ends, all in it end
        if child:
            lifeline.close()
            os.close(log)
            _, status = os.waitpid(child, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        lab = Lab(marshal.loads(message), log, lifeline)
    except OSError as e:
        lifeline.send(marshal.dumps({"errno": e.errno, "error": f"{e.strerror}" + (f": {e.filename}" if e.filename else "")}))
        os._exit(1)
    lifeline.send(marshal.dumps({}))
    lab.main()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[-1]))
