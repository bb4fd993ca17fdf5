"""The wire as the notebook holds it: settings, rules, and the debugger that carries one frame at a time."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from labs.captures.frame import Arrival, Frame
from labs.errors import LabError
from labs.network.rules import Rule, Rules

if TYPE_CHECKING:
    from labs.network.scapysocket import WireSocket

__all__ = ["Wire"]


class Wire:
    """One cable (or switch) of a network.  Chapters 00-start-here and 24-tcp-connection use it step by step."""

    def __init__(self, lab, index, hosts, settings):
        self._lab, self.index = lab, index
        self._settings = dict(settings, queue=100, cut=False, holding=False)
        self.hosts = tuple(host.name for host in hosts if any(card.wire == index for card in host.cards))
        number, senders = 0, {}
        for host in hosts:
            for _ in host.cards:
                senders[number], number = host.name, number + 1
        self._rules = Rules(lab, index, senders)

    def __repr__(self):
        rules = "".join(f"\n  {rule!r}" for rule in self.rules)
        return f"wire {self.index}: {' – '.join(self.hosts)}{rules}"

    def __setattr__(self, name, value):
        if not name.startswith("_") and name not in ("index", "hosts") and not hasattr(Wire, name):
            raise AttributeError(f"a wire has no setting {name!r}; it has delay, loss, rate and queue")
        super().__setattr__(name, value)

    def _set(self, name, value):
        self._lab.ask("wire", wire=self.index, settings={name: value})
        self._settings[name] = value

    @property
    def delay(self) -> float:
        """Seconds that a frame takes from one end to the other."""
        return self._settings["delay"]

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._set("delay", checked_settings(delay=seconds)["delay"])

    @property
    def loss(self) -> float:
        """The share of frames, from 0 to 1, that the wire loses by chance (the same ones each time: the seed is fixed)."""
        return self._settings["loss"]

    @loss.setter
    def loss(self, share: float) -> None:
        self._set("loss", checked_settings(loss=share)["loss"])

    @property
    def rate(self) -> float | None:
        """Bits a second in each direction, or None for as fast as it goes."""
        return self._settings["rate"]

    @rate.setter
    def rate(self, bits_a_second: float | None) -> None:
        self._set("rate", checked_settings(rate=bits_a_second)["rate"])

    @property
    def queue(self) -> int:
        """How many frames may wait, in each direction, while the wire is busy at its rate; the next ones are lost."""
        return self._settings["queue"]

    @queue.setter
    def queue(self, frames: int) -> None:
        if not isinstance(frames, int) or frames < 1:
            raise ValueError(f"expected a queue of 1 frame or more, got {frames!r}")
        self._set("queue", frames)

    def cut(self) -> None:
        """Cut the wire: from now on every frame is lost, and nobody is told."""
        self._set("cut", True)

    def mend(self) -> None:
        """Mend a cut wire."""
        self._set("cut", False)

    # -- one frame at a time ---------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Hold every frame that enters the wire until step() or release().  What is on its way arrives first."""
        self.settle()
        self._set("holding", True)

    def settle(self, timeout: float = 5.0) -> None:
        """Wait until nothing is on its way: neither the frames that are now, nor what the hosts answer at once.

        Held frames are not on their way.  After `timeout` seconds of uninterrupted traffic it gives up quietly.
        """
        give_up, before = time.monotonic() + timeout, -1
        while time.monotonic() < give_up:
            reply, _ = self._lab.ask("settle", timeout=max(0.0, give_up - time.monotonic()))
            if reply["number"] == before:
                return
            before = reply["number"]

    @property
    def held(self) -> int:
        """How many frames the wire holds now."""
        return self._lab.ask("held", wire=self.index)[0]["count"]

    def step(self, timeout: float = 2.0) -> Frame:
        """Carry the oldest held frame to its receiver and return it; wait at most `timeout` seconds for one to come."""
        if not self._settings["holding"]:
            raise LabError("expected a wire that holds its frames; call wire.hold() first, then step()")
        reply, _ = self._lab.ask("step", wire=self.index, timeout=timeout)
        if "raw" not in reply:
            none = f"no frame came within {timeout:g} s, nothing to carry"
            raise LabError(f"nothing on the wire: {none}; let a host send something first")
        frame = Frame(reply["raw"], number=reply["number"], time=time.time_ns(), sender=reply["sender"], wire=self.index)
        frame.arrivals = [Arrival(frame.time, host) for host in reply["receivers"]]
        return frame

    def release(self) -> int:
        """Carry all held frames and hold no more; how many there were."""
        reply, _ = self._lab.ask("release", wire=self.index)
        self._settings["holding"] = False
        return reply["count"]

    # -- rules and packet sockets ----------------------------------------------------------------------------------------

    def rule(
        self, match: Callable[[Frame], object], *, drop: bool = False, delay: float = 0.0, duplicate: int = 0,
        rewrite: Callable[[Frame], bytes] | None = None, reorder: int = 0, times: int | None = None,
    ) -> Rule:  # fmt: skip
        """Do something to the frames for which match(frame) is true; the first rule that matches decides.

        drop=True loses them; delay adds seconds; duplicate=n sends n more copies; rewrite(frame) returns the bytes to
        deliver instead; reorder=n lets the next n frames of the same sender pass first; times=n is for the first n matches only.
        """
        made = Rule(self._rules, match, drop, delay, duplicate, rewrite, reorder, times)
        self._rules.add(made)
        return made

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that stand now."""
        return self._rules.standing

    @property
    def may_lose(self) -> bool:
        """Whether it has a loss, a rate or rules, or is cut."""
        return bool(self.loss or self.rate or self._settings["cut"] or self.rules)

    def fates(self) -> dict:
        """What became of frames: {"held": how many wait, "cut": bool, "lost": {reason: how many since the network began}}."""
        return self._lab.ask("fates", wire=self.index)[0]

    def socket(self) -> "WireSocket":
        """A scapy socket on this wire: sniff(opened_socket=…), sock.sr1(…), sock.send(…).  Close it, or use `with`."""
        from labs.network.scapysocket import WireSocket

        _, (fd,) = self._lab.ask("listen", wire=self.index)
        return WireSocket(fd)

    def close(self) -> None:
        self._rules.remove()


def checked_settings(delay: float = 0.0, loss: float = 0.0, rate: float | None = None) -> dict:
    """The wire's settings, or a ValueError that says what they must be."""
    if not isinstance(delay, (int, float)) or not 0 <= delay <= 10:
        raise ValueError(f"expected a delay from 0 to 10 seconds one way, got {delay!r}")
    if not isinstance(loss, (int, float)) or not 0 <= loss <= 1:
        raise ValueError(f"expected a loss from 0 (none) to 1 (every frame), got {loss!r}")
    if rate is not None and (not isinstance(rate, (int, float)) or rate < 1000):
        raise ValueError(f"expected a rate of 1000 bits a second or more, or None, got {rate!r}")
    return {"delay": float(delay), "loss": float(loss), "rate": rate}
