"""Values written down: what a recording keeps of a live cell's results, as JSON, and back.

Plain values stay plain; what JSON has no word for is an object with one key that names its kind: {"bytes": "00ff"}.
Captures become pcapng files beside the JSON.  Everything else (a socket, a thread, a host) is Unrecordable, on purpose:
a list of allowed kinds that is short enough to read is also what makes a recording safe to load.
"""

import importlib
import re
from itertools import count
from pathlib import Path
from typing import Any

__all__ = ["OBJECTS", "Files", "Unrecordable", "decode", "encode", "fingerprint", "is_capture"]

# Classes with to_record() -> value and from_record(value), as "module:class".  Only these are ever imported by `decode`.
OBJECTS = {
    "labs.network.kernel:SocketRow",
    "labs.network.kernel:SocketTable",
    "labs.serve.load:Load",
    "labs.views.gauge:Gauge",
    "labs.views.lanes:Lanes",
    "labs.views.states:States",
}
CAPTURE = "labs.captures.capture:Capture"
FRAMES = {"labs.captures.capture:CapturedFrame", "labs.captures.frame:Frame"}


# Kinds that JSON has no word for: {kind: (what JSON can hold of it, the way back)}.
BUILT_IN: dict[type, tuple[Any, Any]] = {
    bytes: (bytes.hex, bytes.fromhex),
    bytearray: (bytearray.hex, bytearray.fromhex),
    tuple: (list, tuple),
    set: (lambda items: sorted(items, key=repr), set),
    frozenset: (lambda items: sorted(items, key=repr), frozenset),
    dict: (lambda items: [[*pair] for pair in items.items()], dict),
}
BACK = {kind.__name__: back for kind, (_, back) in BUILT_IN.items()}


class Unrecordable(TypeError):
    """The value cannot be written down; the message names its kind."""


def encode(value: Any, files: Any, name: str = "capture") -> Any:
    """`value` as what json can hold; captures are saved through `files`, called `name`.  Raises Unrecordable."""
    kind = type(value)  # exact types: a subclass may hold more than its base shows
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [encode(item, files, name) for item in value]
    if kind in BUILT_IN:
        return {kind.__name__: encode(BUILT_IN[kind][0](value), files, name)}
    key = _key(kind)
    if key == CAPTURE:
        if getattr(value, "_live", None) is not None:
            raise Unrecordable("a capture that still runs cannot be written down")
        return {"capture": files.save(value, name), **_numbers(value)}
    if key in FRAMES:
        return {"frame": {"class": key, **_frame_record(value)}}
    if key in OBJECTS:
        return {"object": key, "record": encode(value.to_record(), files, name)}
    raise Unrecordable(f"a {kind.__qualname__} cannot be written down")


def decode(record: Any, files: "Files") -> Any:
    """The value that `encode` wrote.  Raises ValueError where the record is not of its making."""
    if isinstance(record, list):
        return [decode(item, files) for item in record]
    if not isinstance(record, dict):
        return record
    match record:
        case {"capture": file}:
            return files.load(file, record.get("numbers"))
        case {"frame": {"class": key, **fields}} if key in FRAMES:
            return _frame(_class(key), fields)
        case {"object": key, "record": inner} if key in OBJECTS:
            return _class(key).from_record(decode(inner, files))
    for kind in record:
        if kind in BACK:
            return BACK[kind](decode(record[kind], files))
    raise ValueError(f"a recording holds a kind of value that this version of labs does not know: {sorted(record)}")


def is_capture(value: Any) -> bool:
    """Without loading the module of captures: where it is not loaded, nothing is one."""
    return _key(type(value)) == CAPTURE


def fingerprint(value: Any) -> str | None:
    """Something that is equal as long as a recordable value has not changed; None for what cannot be recorded."""
    try:
        return repr(encode(value, _Sizes()))
    except (Unrecordable, RecursionError, RuntimeError):  # RuntimeError: a thread is changing it right now
        return None


class _Sizes:
    """Stands in for Files where a capture need not be saved, only told from what it was before."""

    def save(self, capture, name):
        return f"{id(capture)}: {len(capture.frames)} frames"


class Files:
    """The pcapng files of one chapter's recording, in one folder."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        # file → (capture, frames it had); holding the capture keeps its identity from being reused
        self._saved: dict[str, tuple[Any, int]] = {}
        self._loaded: dict[str, Any] = {}  # file → Capture

    def save(self, capture: Any, name: str) -> str:
        """The file that holds `capture`: NAME.pcapng, or NAME-2.pcapng where another one has that name already."""
        for file, (known, size) in self._saved.items():
            if known is capture and size == len(capture.frames):
                return file
        stem = re.sub(r"[^A-Za-z0-9_-]", "-", name)
        names = (f"{stem}{f'-{number}' * (number > 1)}.pcapng" for number in count(1))
        file = next(name for name in names if name not in self._saved)
        self.folder.mkdir(parents=True, exist_ok=True)
        capture.save(str(self.folder / file))
        _compare(capture, _class(CAPTURE).load(str(self.folder / file)), file)
        self._saved[file] = capture, len(capture.frames)
        return file

    def load(self, file: str, numbers: list[int] | None = None) -> Any:
        """The capture in `file`, marked as recorded.  The same object each time: captures do not change."""
        if file not in self._loaded:
            if Path(file).name != file:
                raise ValueError(f"expected the name of a file beside the recording, got {file!r}")
            capture = _class(CAPTURE).load(str(self.folder / file))
            capture.origin = "recorded"
            for index, frame in enumerate(capture.frames):
                frame.origin = "recorded"
                if numbers:
                    frame.number = numbers[index]
            self._loaded[file] = capture
        return self._loaded[file]


def _numbers(capture):
    """The frames' numbers where they are not 1, 2, 3 …: a part of a capture keeps its numbers, a pcapng file has none."""
    numbers = [frame.number for frame in capture.frames]
    return {} if numbers == list(range(1, len(numbers) + 1)) else {"numbers": numbers}


def _compare(capture, again, file):
    """A capture file that does not give back what was saved would make the recording differ from the live run."""
    for was, got in zip(capture.frames, again.frames):
        got.number = was.number  # kept beside the file
    was, got = map(_facts, (capture, again))
    for what in was:
        if was[what] != got.get(what):
            why = f"it was {was[what]}, and is read back as {got.get(what)}"
            raise ValueError(f"{file} does not keep the capture's {what}: {why}")


def _facts(capture):
    facts = {"hosts": capture.hosts, "names": capture.names, "missed": capture.missed, "length": len(capture.frames)}
    return facts | {f"frame {frame.number}": _frame_record(frame) for frame in capture.frames}


def _frame_record(frame):
    return {
        "raw": bytes(frame.raw).hex(),
        "where": [frame.number, frame.time, frame.sender, frame.wire, frame.lost],
        "arrivals": [[one.time, one.receiver, None if one.raw is None else bytes(one.raw).hex()] for one in frame.arrivals],
        "names": dict(getattr(frame, "names", {})),
    }


def _frame(cls, fields):
    from labs.captures.frame import Arrival  # late: few chapters keep a frame on its own

    frame = cls(bytes.fromhex(fields["raw"]))
    frame.number, frame.time, frame.sender, frame.wire, frame.lost = fields["where"]
    frame.arrivals = [Arrival(time, who, None if raw is None else bytes.fromhex(raw)) for time, who, raw in fields["arrivals"]]
    if hasattr(cls, "names"):
        frame.names, frame.origin = fields["names"], "recorded"
    return frame


def _key(kind):
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(key):
    module, name = key.split(":")
    return getattr(importlib.import_module(module), name)
