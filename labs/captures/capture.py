"""A capture: the frames that crossed the wires between two moments, whole and in order.

    with net.capture() as cap:
        …
    cap.ladder()

It is a slice of the log that the cable itself writes (labs.captures.log), so nothing that passed can be missing from it, short
of what `missed` counts.  Chapter 00-start-here meets it; 09-osi-model looks into its frames.
"""

import os
import time
from functools import partial

from labs.captures import log
from labs.captures.frame import Frame
from labs.errors import LabError
from labs.rooms import above

__all__ = ["Capture", "CapturedFrame"]

SETTLED = 13.0  # seconds; the longest delay of a wire is 10, of a rule 2


class CapturedFrame(Frame):
    """A frame of a capture: it can also show itself.  `names` maps addresses to host names."""

    __slots__ = ("names", "origin")

    def layers(self, extra=()):
        """The frame peeled, layer by layer, down to every field.  `extra` layers lie over its payload (decrypted TLS, say)."""
        return above("Layers")(self, extra=extra)

    def bytes(self, extra=()):
        """The frame's bytes, each with the field that it belongs to."""
        return above("ByteMap")(self, extra=extra)

    def __repr__(self):
        return above("one_line")(self)


class Capture:
    """Frames in the order in which they entered the wires; behaves like a list of CapturedFrame.

    hosts: names in the order of the network; names: MAC or IP address → host name; origin: what it shows ("live, tap",
    "recorded", "file"); missed: frames that the link or the log could not keep.
    """

    def __init__(self, frames, hosts, names, origin, missed=0, cards=()):
        self._frames, self.hosts, self.names, self.origin, self.missed = frames, tuple(hosts), dict(names), origin, missed
        self.cards = tuple(cards)  # (host, wire, MAC, addresses)
        self._live = self._on_loopback = None

    @classmethod
    def of(cls, network):
        """A capture of a network that begins with the `with` statement."""
        cards = [(host.name, card.wire, card.mac, card.addresses) for host in network.hosts for card in host.cards]
        relayed = network.link in ("relay", "loopback")
        origin = "layers 5 to 7 live, below redrawn" if relayed else f"live, {network.link}"
        made = cls([], [host.name for host in network.hosts], names_of(cards), origin, 0, cards)
        make = partial(_frame, made.names, made.origin)
        made._live = network._lab.watch(make) if relayed else _Live(network, cards, make)
        return made

    def __enter__(self):
        if self._live is None:
            raise LabError("this capture is complete; begin another with net.capture()")
        self._live.begin()
        return self

    def __exit__(self, kind, *_):
        try:
            self._frames, self.missed = self._live.end()
            self._on_loopback = self._live.on_loopback()
        finally:
            self._live = None

    @property
    def frames(self):
        """The frames, as a list.  While the capture runs: those up to now."""
        if self._live is not None:
            frames, self.missed = self._live.so_far()
            return frames
        return self._frames

    def __len__(self):
        return len(self.frames)

    def __iter__(self):
        return iter(self.frames)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._with(self.frames[index])
        frames = self.frames
        try:
            return frames[index]
        except IndexError:
            if not frames:
                raise IndexError(f"expected a frame at {index}, got none: the capture is empty") from None
            raise IndexError(
                f"expected an index from 0 to {len(frames) - 1}, got {index}: the capture has {len(frames)} frames"
            ) from None

    def __repr__(self):
        lost = f", {self.missed} missed" if self.missed else ""
        return f"capture of {len(self.frames)} frames{lost}"

    def _with(self, frames):
        return Capture(frames, self.hosts, self.names, self.origin, self.missed, self.cards)

    def wait(self, match, timeout=5.0):
        """While the capture runs: wait for a frame for which match(frame) is true, and return it; LabError after `timeout` s."""
        if self._live is None:
            raise LabError("this capture is complete, nothing more will come; use where(…) to look for a frame")
        return self._live.wait(match, timeout)

    def where(self, predicate):
        """The frames for which predicate(frame) is true, as a Capture: cap.where(lambda f: f.syn)."""
        return self._with([frame for frame in self.frames if predicate(frame)])

    @property
    def on_loopback(self):
        """What the machine's `lo` carried meanwhile, as a Capture: on the link "loopback" alone, see labs.network.loopback."""
        if self._on_loopback is None:
            raise LabError('only a capture that was made on the link "loopback", and has ended, has frames of lo')
        return self._on_loopback

    @property
    def packets(self):
        """The same frames as scapy packets, for all that scapy can do."""
        from scapy.layers.inet import IP  # noqa: F401  (teaches Ether what it may carry)
        from scapy.layers.inet6 import IPv6  # noqa: F401
        from scapy.layers.l2 import Ether
        from scapy.plist import PacketList

        packets = []
        for frame in self.frames:
            packet = Ether(frame.raw)
            packet.time = frame.time / 1e9
            packets.append(packet)
        return PacketList(packets, "capture")

    def ladder(self, **how):
        """The capture as a ladder: hosts are the posts, frames the rungs.  A picture and the same as text (labs.views.Ladder)."""
        return above("Ladder")(self, **how)

    def save(self, path):
        """Write it as pcapng, which Wireshark and tshark open; labs.Capture.load reads all of it back."""
        from labs.captures import pcapng

        pcapng.save(path, self)

    @classmethod
    def load(cls, path, partial=False):
        """Read a pcapng file.  One that is cut off is an error, unless partial=True asks for what is whole."""
        from labs.captures import pcapng

        return pcapng.load(path, partial)


def names_of(cards):
    """Addresses → host names, from (host, wire, MAC, addresses)."""
    return {address: host for host, _, mac, addresses in cards for address in (mac, *addresses)}


def _frame(names, origin, data, **where):
    frame = CapturedFrame(data, **where)
    frame.names, frame.origin = names, origin
    return frame


class _Live:
    """A capture that is still running: where it began in the log, and how to read on from there."""

    def __init__(self, network, cards, make):
        self.network, self.cards, self.make, self.fd = network, [card[:2] for card in cards], make, None

    def begin(self):
        if self.fd is not None:
            raise LabError("this capture runs already")
        lab = self.network._lab
        if lab.closed:
            raise LabError("this network is closed: there is no wire to capture; make another one with labs.network(…)")
        self.epoch = log.epoch()
        reply, _ = lab.ask("capture", change=1)
        self.fd = os.dup(lab.log)  # our own: what was captured stays readable if the network is closed meanwhile
        self.start, self.missed = reply["at"], reply["missed"]

    def so_far(self):
        if self.fd is None:
            raise LabError("this capture has not begun; use it as `with net.capture() as cap:`")
        lab, missed = self.network._lab, 0
        if lab.closed:
            end = os.fstat(self.fd).st_size
        else:
            reply, _ = lab.ask("settle", timeout=SETTLED)  # what is on its way belongs to it
            end, missed, self.number = reply["at"], reply["missed"] - self.missed, reply["number"]
        raw = bytearray()
        while len(raw) < end - self.start and (part := os.pread(self.fd, end - self.start - len(raw), self.start + len(raw))):
            raw += part
        return log.read(bytes(raw), self.cards, self.epoch, self.make), missed

    def wait(self, match, timeout):
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            frames, _ = self.so_far()
            if found := next(filter(match, frames), None):
                return found
            self.network._lab.ask("more", number=self.number, timeout=left)
        raise LabError(f"no frame came within {timeout:g} s for which {getattr(match, '__name__', 'the function')} is true")

    def on_loopback(self):
        return None

    def end(self):
        try:
            try:
                return self.so_far()
            finally:
                if not self.network._lab.closed:
                    self.network._lab.ask("capture", change=-1)
        finally:
            os.close(self.fd)
