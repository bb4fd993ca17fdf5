"""The messages between the notebook and the lab process: sizes and layouts that both ends must agree on."""

import socket
import struct
from array import array

__all__ = ["FRAME", "KEPT", "MESSAGE", "QUESTION", "VERDICT", "WRITTEN", "receive"]

MESSAGE = 1 << 17  # bytes of the longest request or answer
TRUNCATED = 0x8  # MSG_CTRUNC of Linux; socket has an enum, a microsecond each time
FRAME = 66_000  # bytes of the longest message with a frame in it; a frame has 65,535 at most
QUESTION = struct.Struct("<IH")  # to the rules, before a frame: its number, the card it came from
VERDICT = struct.Struct("<I?dHH")  # from them, before changed bytes: number, drop, extra delay (s), copies, let so many pass

# A program's output is kept in a memfd: how many bytes it wrote, the first KEPT of them, and the last KEPT, round and round.
WRITTEN = struct.Struct("<Q")
KEPT = 32 << 20  # bytes


def receive(channel: socket.socket, buffer: bytearray) -> tuple[bytearray, list[int], bool]:
    """(message, empty at the end; up to 4 descriptors that came with it; whether others found no room, unix(7)).

    Into a buffer of MESSAGE bytes that stays: malloc(3) would ask the kernel for so many, page by page, each time anew (10 µs).
    """
    size, given, flags, _ = channel.recvmsg_into([buffer], socket.CMSG_LEN(4 * 4))
    fds = array("i")
    for _, _, data in given:  # SCM_RIGHTS: nothing else is asked for
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return buffer[:size], list(fds), bool(flags & TRUNCATED)
