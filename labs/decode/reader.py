"""A cursor that reads the presentation language of TLS (RFC 8446 §3) and writes down a Field for everything it passes.

The language has two ideas: numbers of one to four bytes, and *vectors*, which are a length and then that many bytes.  Every
message of TLS is made of them, so its decoder can read like the standard's own definition:

    r.number("Legacy Version", 2, VERSIONS)
    r.data("Random", 32, varies=True)
    r.vector("Session ID", 1)
"""

from collections.abc import Callable

from labs.decode.fields import Field
from labs.decode.reading import need, preview
from labs.decode.tls_names import called

__all__ = ["Reader"]


class Reader:
    """Reads raw[at:end]; `fields` grows.  Raises DecodeError where a length does not fit."""

    def __init__(self, raw: bytes, at: int, end: int, see: str):
        self.raw, self.at, self.end, self.see, self.fields = raw, at, end, see, []

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return self.end - self.at

    def peek(self, size: int) -> bytes:
        """The next bytes, unread."""
        return self.raw[self.at : min(self.at + size, self.end)]

    def number(self, name: str, size: int, names: dict | None = None, meaning: str = "", varies: bool = False) -> int:
        """A number; `names` translates it."""
        need(self.at, self.end, size, name)
        value = int.from_bytes(self.raw[self.at : self.at + size], "big")
        text = f"0x{value:0{2 * size}x}" if names is not None and size > 1 else str(value)
        if names is not None:
            meaning = called(value, names, size) if not meaning else meaning
        self._add(name, value, text, meaning, size, varies)
        return value

    def bits(self, size: int, *parts: tuple[str, int, str | dict | Callable[[int], str]]) -> list[int]:
        """`size` bytes cut into fields of some bits each, as in the figures of the RFCs: (name, bits, meaning), …; the numbers.

        A meaning is a text, or a function or a dict that gives it for the value.
        """
        need(self.at, self.end, size, parts[0][0])
        word, first, values = int.from_bytes(self.raw[self.at : self.at + size], "big"), 0, []
        for name, wide, meaning in parts:
            value = word >> (8 * size - first - wide) & (1 << wide) - 1
            meaning = meaning.get(value, "") if isinstance(meaning, dict) else meaning(value) if callable(meaning) else meaning
            at, bit = self.at + first // 8, first % 8
            self.fields.append(Field(name, value, str(value), meaning, at, (bit + wide + 7) // 8, self.see, bits=(bit, wide)))
            values.append(value)
            first += wide
        self.at += size
        return values

    def data(
        self, name: str, size: int, text: str | None = None, meaning: str = "", varies: bool = False, value: object = None
    ) -> bytes:
        """`size` bytes as they are; none make no field."""
        need(self.at, self.end, size, name)
        data = self.raw[self.at : self.at + size]
        if size:
            self._add(name, data if value is None else value, preview(data, 16) if text is None else text, meaning, size, varies)
        return data

    def vector(self, name: str, size: int, text: str | None = None, meaning: str = "", varies: bool = False) -> bytes:
        """A length of `size` bytes, then so many bytes."""
        length = self.number(f"{name} Length", size)
        return self.data(name, length, text, meaning, varies)

    def list(self, name: str, size: int, each: int, names: dict) -> None:
        """A vector of numbers of `each` bytes: a field with all of them, the value a tuple."""
        length = self.number(f"{name} Length", size)
        self.items(name, length, each, names)

    def items(self, name: str, length: int, each: int, names: dict) -> None:
        """Numbers of `each` bytes that fill `length` bytes."""
        need(self.at, self.end, length, name)
        raw = self.raw[self.at : self.at + length]
        values = tuple(int.from_bytes(raw[i : i + each], "big") for i in range(0, len(raw), each))
        if values:
            self._add(name, values, ", ".join(called(value, names, each) for value in values), "", length, False)

    def inside(self, size: int) -> "Reader":
        """A Reader for the next `size` bytes that shares this one's fields; this one goes on behind them."""
        need(self.at, self.end, size, "what its length announces")
        inner = Reader(self.raw, self.at, self.at + size, self.see)
        inner.fields = self.fields
        self.at += size
        return inner

    def rest(self, name: str, text: str | None = None, meaning: str = "", varies: bool = False) -> bytes:
        """All that is left."""
        return self.data(name, self.left, text, meaning, varies)

    def _add(self, name, value, text, meaning, size, varies):
        self.fields.append(Field(name, value, text, meaning, self.at, size, self.see, varies=varies))
        self.at += size
