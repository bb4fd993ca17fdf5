"""A frame on the wire: its bytes, when it entered the cable, where it came out, and the header values inside it."""

from dataclasses import dataclass

from labs.decode.headers import Headers, flag_names

__all__ = ["Arrival", "Frame"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One copy of a frame leaving the cable."""

    time: int  # nanoseconds, same clock as Frame.time
    receiver: str  # the host it was handed to
    raw: bytes | None = None  # the bytes, if the wire rewrote them; None: as they were sent


class Frame(Headers):
    """One frame as it entered the cable.  Built in chapter 09-osi-model.

    `number` counts frames of a capture from 1; `time` is in nanoseconds since 1970 (monotonic inside one network); `sender`
    is the host whose card sent it (the physical truth, whatever the addresses say); `wire` is the index of the cable;
    `arrivals` is empty when the wire lost the frame (then `lost` says why) or still holds it.
    """

    __slots__ = ("number", "time", "sender", "wire", "arrivals", "lost")

    def __init__(self, raw: bytes, *, number: int = 0, time: int = 0, sender: str = "", wire: int = 0):
        super().__init__(raw)
        self.number, self.time, self.sender, self.wire = number, time, sender, wire
        self.arrivals, self.lost = [], ""

    def __repr__(self):
        what = f"frame {self.number} from {self.sender}: {self.protocol} {flag_names(self.flags)}"
        return f"{what.rstrip()}, {len(self.raw)} bytes"

    def __len__(self):
        return len(self.raw)
