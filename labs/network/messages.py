"""The messages between the notebook and the lab process: sizes and layouts that both ends must agree on."""

import struct

__all__ = ["FRAME", "MESSAGE", "QUESTION", "VERDICT"]

MESSAGE = 1 << 17  # bytes of the longest request or answer
FRAME = 1 << 17  # bytes of the longest message with a frame in it
QUESTION = struct.Struct("<IH")  # to the rules, before a frame: its number, the card it came from
VERDICT = struct.Struct("<I?dHH")  # from them, before changed bytes: number, drop, extra delay (s), copies, let so many pass
