"""The one choke point for text that came off the wire.

A host name, a header or a payload may hold anything: line breaks that forge a row, terminal controls, right-to-left overrides,
markup, formulas.  Views pass such text through `plain`; what goes into markdown passes through `markdown`.
"""

import re

__all__ = ["plain", "markdown", "ascii_of"]

_SAFE = re.compile(r"[\x20-\x7e]*")
_BYTES = bytes(byte if 32 <= byte < 127 else 0xB7 for byte in range(256)).decode("latin-1")

# Markdown's own characters become character references: a reference can never open markup (CommonMark §2.5).  "$" and "\" could
# still start a formula after the page has resolved references (MathJax reads the finished page), so they become look-alikes.
_MARKUP = {ord(c): f"&#{ord(c)};" for c in "&<>\"'*_`[]{}#|~!@^"} | {ord("$"): "＄", ord("\\"): "＼"}


def plain(text: object, limit: int = 200) -> str:
    """One line of printable text: controls, line breaks, direction marks and lone surrogates become "\\x..", long text is cut."""
    text = text if isinstance(text, str) else str(text)
    if not _SAFE.fullmatch(text):
        text = "".join(c if c.isprintable() else _code(ord(c)) for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _code(number):
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def markdown(text: object, limit: int = 2000) -> str:
    """The text so that every front end's markdown shows just these characters: no markup, link, image, list or formula."""
    text = plain(text, limit).translate(_MARKUP).replace("://", "&#58;//").replace("www.", "www&#46;")
    return re.sub(r"^(\s*)([-+=]|\d+(?=[.)]))", lambda m: "".join(f"&#{ord(c)};" for c in m[0]), text)


def ascii_of(data: bytes) -> str:
    """Bytes as the right column of a hex dump shows them: printable ASCII as it is, everything else "·"."""
    return data.decode("latin-1").translate(_BYTES)
