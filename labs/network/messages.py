"""The messages between the notebook and the lab process: sizes and layouts that both ends must agree on."""

import struct

__all__ = ["FRAME", "KEPT", "MESSAGE", "QUESTION", "VERDICT", "WRITTEN"]

MESSAGE = 1 << 17  # bytes of the longest request or answer
FRAME = 1 << 17  # bytes of the longest message with a frame in it
QUESTION = struct.Struct("<IH")  # to the rules, before a frame: its number, the card it came from
VERDICT = struct.Struct("<I?dHH")  # from them, before changed bytes: number, drop, extra delay (s), copies, let so many pass

# A program's output is kept in a memfd: how many bytes it wrote, the first KEPT of them, and the last KEPT, round and round.
WRITTEN = struct.Struct("<Q")
KEPT = 32 << 20  # bytes
