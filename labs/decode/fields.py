"""The vocabulary of decoding: a field, a layer, and what to say when bytes do not fit.

A decoder turns bytes into fields that know where they stand in the frame.  That is what lets a picture colour the very
bytes that a sentence talks about.  Nothing in this room opens a socket or draws; it only reads bytes.
"""

from dataclasses import dataclass
from typing import Any

__all__ = ["DecodeError", "Field", "Layer"]


class DecodeError(ValueError):
    """The bytes are not what the protocol's standard allows; the message says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a header, with its place in the frame."""

    name: str  # as the standard names it: "Time to Live"
    value: Any  # int, str or bytes
    text: str  # the value as people write it: "64", "10.0.0.1", "SYN, ACK"
    meaning: str  # one short clause, or ""
    offset: int  # first byte, counted from the start of the frame
    length: int  # bytes that it touches
    see: str  # where it is defined: "RFC 791 §3.1"
    bits: tuple[int, int] | None = None  # (first bit, bits), from the most significant bit of byte `offset`; None: whole bytes
    varies: bool = False  # chosen at random, by the clock or from such values: another run shows another value


@dataclass(frozen=True, slots=True)
class Layer:
    """One header (and what it carries) as a span of the frame's bytes."""

    name: str  # "Ethernet", "ARP", "IPv4", "TCP", …
    number: int  # OSI layer, 2 to 7
    fields: tuple[Field, ...]
    offset: int  # first byte of the header in the frame
    header: int  # bytes of the header
    length: int  # bytes of header and all that this layer carries; trailing padding is not counted
    error: str = ""  # what was wrong with the bytes, if anything

    def __getitem__(self, name: str) -> Any:
        """The value of the field called `name`."""
        for field in self.fields:
            if field.name == name:
                return field.value
        raise KeyError(f"{self.name} has no field {name!r}; it has {', '.join(f.name for f in self.fields)}")
