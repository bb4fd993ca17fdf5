"""The lab itself: its parts, and what each of them needs of the others."""

import socket

from labs.network.frame_log import FrameLog
from labs.network.heartbeat import Heartbeat
from labs.network.hosts import Hosts
from labs.network.loop import Loop
from labs.network.programs import Programs
from labs.network.requests import Requests
from labs.network.traffic import Traffic
from labs.network.wires import Wires

__all__ = ["Lab"]


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
