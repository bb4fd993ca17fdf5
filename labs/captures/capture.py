"""A capture: the frames that crossed the wires between two moments, whole and in order.

    with net.capture() as cap:
        …
    cap.ladder()

It is a slice of the log that the cable itself writes (labs.captures.log), so nothing that passed can be missing from it, short
of what `missed` counts; labs.captures.running reads it while it grows.  Chapter 00-start-here meets it; 09-osi-model looks into
its frames.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from labs.captures.frame import Frame
from labs.errors import LabError
from labs.rooms import above

if TYPE_CHECKING:
    from scapy.plist import PacketList

    from labs.decode.fields import Layer

__all__ = ["Capture", "CapturedFrame"]


class CapturedFrame(Frame):
    """A frame of a capture: it can also show itself.  `names` maps addresses to host names."""

    __slots__ = ("names", "origin")

    def layers(self, extra: Sequence["Layer"] = ()) -> Any:
        """The frame peeled, layer by layer, down to every field.  `extra` layers lie over its payload (decrypted TLS, say)."""
        return above("Layers")(self, extra=extra)

    def bytes(self, extra: Sequence["Layer"] = ()) -> Any:
        """The frame's bytes, each with the field that it belongs to."""
        return above("ByteMap")(self, extra=extra)

    def __repr__(self):
        return above("one_line")(self)


class Capture:
    """Frames in the order in which they entered the wires; behaves like a list of CapturedFrame.

    hosts: names in the order of the network; names: MAC or IP address → host name; origin: what it shows ("live, tap",
    "recorded", "file"); missed: frames that the link or the log could not keep.
    """

    def __init__(
        self, frames: list[CapturedFrame], hosts: Iterable[str], names: dict[str, str], origin: str, missed: int = 0,
        cards: Iterable[tuple] = (),
    ):  # fmt: skip
        self._frames, self.hosts, self.names, self.origin, self.missed = frames, tuple(hosts), dict(names), origin, missed
        self.cards = tuple(cards)  # (host, wire, MAC, addresses)
        self._live = None  # a labs.captures.running.Running, as long as it runs

    @classmethod
    def of(cls, network: Any) -> "Capture":
        """A capture of a network that begins with the `with` statement."""
        cards = [(host.name, card.wire, card.mac, card.addresses) for host in network.hosts for card in host.cards]
        made = cls([], [host.name for host in network.hosts], names_of(cards), network.origin, 0, cards)
        made._live = network._lab.running([card[:2] for card in cards], partial(_frame, made.names, made.origin))
        return made

    def __enter__(self):
        if self._live is None:
            raise LabError("this capture is complete; begin another with net.capture()")
        self._live.begin()
        return self

    def __exit__(self, kind, *_):
        live, self._live = self._live, None
        try:
            live.end()
        except LabError:  # the lab process is gone; what it had written down stays
            if kind is None:
                raise
        finally:
            self._frames, self.missed = live.frames, live.missed

    @property
    def frames(self) -> list[CapturedFrame]:
        """The frames, as a list.  While the capture runs: those up to now."""
        if self._live is not None:
            frames, self.missed = self._live.so_far()
            return frames
        return self._frames

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[CapturedFrame]:
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
            has = f"the capture has {len(frames)} frames"
            raise IndexError(f"expected an index from 0 to {len(frames) - 1}, got {index}: {has}") from None

    def __repr__(self):
        lost = f", {self.missed} missed" if self.missed else ""
        return f"capture of {len(self.frames)} frames{lost}"

    def _with(self, frames):
        return Capture(frames, self.hosts, self.names, self.origin, self.missed, self.cards)

    def wait(
        self, match: Callable[[CapturedFrame], object], timeout: float = 5.0, after: CapturedFrame | None = None
    ) -> CapturedFrame:
        """While the capture runs: the first frame for which match(frame) is true; LabError if none comes within `timeout` s.

        It may have come before.  after=frame (that an earlier wait returned, say): only frames behind that one count.
        """
        if self._live is None:
            raise LabError("this capture is complete, nothing more will come; use where(…) to look for a frame")
        return self._live.wait(match, timeout, after)

    def where(self, predicate: Callable[[CapturedFrame], object]) -> "Capture":
        """The frames for which predicate(frame) is true, as a Capture: cap.where(lambda f: f.syn)."""
        return self._with([frame for frame in self.frames if predicate(frame)])

    @property
    def packets(self) -> "PacketList":
        """The same frames as scapy packets, for all that scapy can do."""
        from scapy.layers.inet import IP  # noqa: F401  (teaches Ether what it may carry)
        from scapy.layers.inet6 import IPv6  # noqa: F401
        from scapy.layers.l2 import Ether
        from scapy.packet import Packet
        from scapy.plist import PacketList

        packets: list[Packet] = []
        for frame in self.frames:
            packet = Ether(frame.raw)
            packet.time = frame.time / 1e9
            packets.append(packet)
        return PacketList(packets, "capture")

    def ladder(self, **how: Any) -> Any:
        """The capture as a ladder: hosts are the posts, frames the rungs.  A picture and the same as text (labs.views.Ladder)."""
        return above("Ladder")(self, **how)

    def save(self, path: str | os.PathLike) -> None:
        """Write it as pcapng, which Wireshark and tshark open; labs.Capture.load reads all of it back."""
        from labs.captures import pcapng

        pcapng.save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike, partial: bool = False) -> "Capture":
        """Read a pcapng file.  One that is cut off is an error, unless partial=True asks for what is whole."""
        from labs.captures import pcapng

        return pcapng.load(path, partial)


def names_of(cards: Iterable[tuple]) -> dict[str, str]:
    """Addresses → host names, from (host, wire, MAC, addresses)."""
    return {address: host for host, _, mac, addresses in cards for address in (mac, *addresses)}


def _frame(names, origin, data, **where):
    frame = CapturedFrame(data, **where)
    frame.names, frame.origin = names, origin
    return frame
