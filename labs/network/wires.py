"""What the notebook asks of the wires: settings, holding and stepping, captures, rules and packet sockets."""

from collections.abc import Callable

from labs.network.hosts import Hosts
from labs.network.onlookers import Judge, Onlooker
from labs.network.requests import Later
from labs.network.traffic import Traffic

__all__ = ["Wires"]


class Wires:
    """Answers for the cables.  Every answer stands for all that the hosts had sent when it was asked: so they drain first."""

    def __init__(self, traffic: Traffic, hosts: Hosts) -> None:
        self.traffic, self.hosts, self.cables = traffic, hosts, traffic.cables

    def do_capture(self, change: int) -> dict:
        """A capture begins (1) or ends (-1): where the log is now."""
        self.traffic.drain()
        position = self.traffic.position()
        self.traffic.log.captured(change)
        return position

    def when(self, reached: Callable[[], bool], timeout: float) -> Later:
        """Answer where the log is when reached() is true, and after `timeout` seconds in any case."""
        position = self.traffic.position
        return Later(lambda: position() if reached() else None, timeout, position)

    def do_settle(self, timeout: float) -> Later:
        self.traffic.drain()
        number = self.traffic.number
        return self.when(lambda: self.traffic.settled(number), timeout)

    def do_more(self, at: int, timeout: float) -> Later:
        """Answer when the log is longer than `at` bytes: a frame has entered a wire, has arrived, or is lost."""
        return self.when(lambda: self.traffic.log.length > at, timeout)

    def do_judged(self, wire: int, timeout: float) -> Later:
        """Answer when the rules of a wire have said what they have to say of all that was sent so far."""
        self.traffic.drain()
        judge, number = self.cables[wire].judge, self.traffic.number
        return self.when(lambda: not (judge and judge.waits_for(number)), timeout)

    def do_wire(self, wire: int, settings: dict) -> dict:
        self.traffic.drain()  # what was sent before the change crosses as before it
        cable = self.cables[wire]
        cable.set(settings)
        if cable.cut:
            self.traffic.cut(cable)
        self.hold_clocks()
        return {}

    def hold_clocks(self) -> None:
        self.hosts.hold_clocks(any(cable.holding for cable in self.cables))

    def do_held(self, wire: int) -> dict:
        self.traffic.drain()
        return {"count": len(self.cables[wire].held)}

    def do_step(self, wire: int, timeout: float) -> Later:
        """Carry the oldest held frame; wait for one, if there is none."""
        self.traffic.drain()
        cable, traffic, host_of = self.cables[wire], self.traffic, self.hosts.host_of

        def stepped() -> dict | None:
            if not cable.held:
                return None
            number, raw, source, receivers = cable.step()
            traffic.drain()  # what the frame's arrival made the kernels send is now held, too
            sender = host_of[source] if source < len(host_of) else "wire"
            return {"number": number, "raw": raw, "sender": sender, "receivers": [host_of[card] for card in receivers]}

        return Later(stepped, timeout, lambda: {"none": True})

    def do_release(self, wire: int) -> dict:
        self.traffic.drain()
        count = self.cables[wire].release()
        self.hold_clocks()
        return {"count": count}

    def do_fates(self, wire: int) -> dict:
        """What keeps frames from arriving: how many are held, is the cable cut, reason → frames lost since the network began."""
        self.traffic.drain()
        cable = self.cables[wire]
        return {"held": len(cable.held), "cut": cable.cut, "lost": dict(cable.lost)}

    def do_judge(self, wire: int) -> tuple:
        self.traffic.drain()
        cable = self.cables[wire]
        if cable.judge:  # its end is on its way to us, later than this request
            cable.judge.close()
        return {}, [Judge(self.traffic.loop, cable).theirs.detach()]

    def do_listen(self, wire: int) -> tuple:
        return {}, [Onlooker(self.traffic, self.cables[wire]).theirs.detach()]
