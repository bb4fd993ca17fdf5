"""Captures as files: pcapng, as Wireshark writes it (draft-ietf-opsawg-pcapng).

A section header, one interface per wire, one packet block per frame.  What the format has no field for (which host sent the
frame, where and when it came out, why it was lost) goes into comments, which Wireshark shows and load() reads back.
"""

import json
import os
import struct

from labs.captures.capture import Capture, CapturedFrame, names_of
from labs.captures.frame import Arrival
from labs.errors import LabError

__all__ = ["load", "save"]

SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, PACKET = 0x0A0D0D0A, 1, 2, 3, 6
ETHERNET = 1  # link type
COMMENT, NAME, RESOLUTION, APPLICATION = 1, 2, 9, 4  # option codes


def _option(code, value):
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _block(kind, body, *options):
    body += b"".join(options) + (_option(0, b"") if options else b"")
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def save(path: str | os.PathLike, capture: Capture) -> None:
    """Write a capture to `path`: first to a file beside it, then in its place, so that no half-written file is left."""
    about = {"hosts": capture.hosts, "cards": capture.cards, "missed": capture.missed}
    header = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    blocks = [_block(SECTION, header, _option(COMMENT, json.dumps(about).encode()), _option(APPLICATION, b"labs"))]
    wires = 1 + max([card[1] for card in capture.cards] + [frame.wire for frame in capture], default=0)
    for wire in range(wires):
        name = f"wire {wire}".encode()
        blocks.append(_block(INTERFACE, struct.pack("<HHI", 1, 0, 0), _option(NAME, name), _option(RESOLUTION, b"\x09")))
    for frame in capture:
        body = struct.pack("<IIIII", frame.wire, frame.time >> 32, frame.time & 0xFFFFFFFF, len(frame.raw), len(frame.raw))
        body += frame.raw + b"\0" * (-len(frame.raw) % 4)
        fate = {
            "sender": frame.sender,
            "arrivals": [[a.time - frame.time, a.receiver, a.raw and a.raw.hex()] for a in frame.arrivals],
        }
        if frame.lost:
            fate["lost"] = frame.lost
        plain = [(0, name, None) for name in _receivers(frame, capture.cards)]
        as_usual = frame.sender == capture.names.get(frame.src_mac or "") and not frame.lost
        as_usual &= [(a.time - frame.time, a.receiver, a.raw or None) for a in frame.arrivals] == plain
        blocks.append(_block(PACKET, body, *([] if as_usual else [_option(COMMENT, json.dumps(fate).encode())])))
    draft = f"{path}.part"
    try:
        with open(draft, "wb") as file:
            file.write(b"".join(blocks))
        os.replace(draft, path)
    except BaseException:
        if os.path.exists(draft):
            os.remove(draft)
        raise


def _receivers(frame, cards):
    """Who gets a frame on an undisturbed wire: the owner of its destination address, or all others."""
    others = [(host, mac) for host, wire, mac, _ in cards if wire == frame.wire and mac != frame.src_mac]
    return [host for host, mac in others if mac == frame.dst_mac] or [host for host, _ in others]


def load(path: str | os.PathLike, partial: bool = False) -> Capture:
    """A Capture from a pcapng file of ours or of any other tool."""
    with open(path, "rb") as file:
        raw = file.read()
    if raw[:4] in (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d"):
        raise LabError(
            f"expected a pcapng file, got the older pcap format: {path}; convert it with: editcap -F pcapng {path} new.pcapng"
        )
    if raw[:4] != struct.pack("<I", SECTION):
        raise LabError(f"expected a pcapng file, got one that begins with {raw[:4].hex() or 'nothing'}: {path}")
    packets, about, resolutions, order = [], {}, [], "<"
    at = 0
    while at < len(raw):
        block, at, problem = _next_block(raw, at, order)
        if problem:
            if partial:
                break
            raise LabError(
                f"expected a whole pcapng file, got one that {problem} at byte {at}: {path}; "
                f"the {len(packets)} frames before are whole: load it with partial=True to have them"
            )
        kind, body, order = block
        if kind == SECTION:
            about, resolutions = _comment(_options(body[16:], order)), []
        elif kind == INTERFACE:
            if (link := struct.unpack_from(order + "H", body)[0]) != ETHERNET:
                raise LabError(f"expected Ethernet (link type 1), got link type {link}: {path}; capture on a card, not on 'any'")
            resolutions.append((_options(body[8:], order).get(RESOLUTION) or b"\x06")[0])
        elif kind in (OLD_PACKET, SIMPLE_PACKET):
            raise LabError(
                f"expected packet blocks of type 6, got {kind}: {path}; convert it with: editcap -F pcapng {path} new.pcapng"
            )
        elif kind == PACKET:
            wire, high, low, length = struct.unpack_from(order + "IIII", body)
            if wire >= len(resolutions):
                raise LabError(f"expected one of {len(resolutions)} interfaces, got number {wire}: {path}; the file is damaged")
            unit = resolutions[wire]
            ticks = high << 32 | low
            time = ticks * 10**9 >> (unit & 127) if unit & 128 else ticks * 10 ** max(9 - unit, 0) // 10 ** max(unit - 9, 0)
            if time >> 64:
                raise LabError(f"expected a time before the year 2554, got {time} ns: {path}; the file is damaged")
            options = _options(body[20 + length + -length % 4 :], order)
            packets.append((wire, time, body[20 : 20 + length], _comment(options)))
    return _capture(packets, about)


def _next_block(raw, at, order):
    if at + 12 > len(raw):
        return None, at, "ends inside a block"
    if raw[at : at + 4] == struct.pack("<I", SECTION):
        order = "<" if raw[at + 8 : at + 12] == struct.pack("<I", 0x1A2B3C4D) else ">"
    kind, length = struct.unpack_from(order + "II", raw, at)
    if length < 12 or length % 4:
        return None, at, "holds a block of an impossible length"
    if at + length > len(raw):
        return None, at, "ends inside a block"
    if raw[at + 4 : at + 8] != raw[at + length - 4 : at + length]:
        return None, at, "holds a block that does not end as it begins"
    if length < 12 + {SECTION: 16, INTERFACE: 8, PACKET: 20}.get(kind, 0):
        return None, at, "holds a block that is too short"
    if kind == PACKET and 32 + struct.unpack_from(order + "I", raw, at + 20)[0] > length:
        return None, at, "holds a packet longer than its block"
    return (kind, raw[at + 8 : at + length - 4], order), at + length, ""


def _options(raw, order):
    found, at = {}, 0
    while at + 4 <= len(raw):
        code, length = struct.unpack_from(order + "HH", raw, at)
        if code == 0:
            break
        found.setdefault(code, raw[at + 4 : at + 4 + length])
        at += 4 + length + -length % 4
    return found


def _comment(options):
    try:
        found = json.loads(options.get(COMMENT, b""))
    except (ValueError, RecursionError):
        return {}  # somebody else's comment
    return found if isinstance(found, dict) else {}


def _capture(packets, about):
    try:
        return _frames(packets, about)
    except (TypeError, ValueError, OverflowError):  # somebody else's comments, which only look like ours
        return _frames([(wire, time, data, {}) for wire, time, data, _ in packets], {})


def _frames(packets, about):
    cards = [
        (str(host), int(wire), str(mac), tuple(map(str, addresses))) for host, wire, mac, addresses in about.get("cards", [])
    ]
    if any(not 0 <= wire <= 0xFFFF for _, wire, _, _ in cards):
        raise ValueError("not a wire of ours")
    names = names_of(cards)
    frames = []
    for wire, time, data, fate in packets:
        frame = CapturedFrame(data, number=len(frames) + 1, time=time, wire=wire)
        frame.names, frame.origin = names, "file"
        frame.sender = str(fate.get("sender") or "") or names.get(frame.src_mac) or frame.src_mac or "unknown"
        frame.lost = str(fate.get("lost", ""))
        if "arrivals" in fate:
            frame.arrivals = [
                Arrival(time + int(late), str(who), bytes.fromhex(new) if new else None) for late, who, new in fate["arrivals"]
            ]
        elif cards:
            frame.arrivals = [Arrival(time, host) for host in _receivers(frame, cards)]
        else:
            frame.arrivals = [Arrival(time, names.get(frame.dst_mac) or frame.dst_mac or "unknown")]
        frames.append(frame)
    hosts = about.get("hosts") or list(
        dict.fromkeys(name for f in frames for name in (f.sender, *(a.receiver for a in f.arrivals)))
    )
    return Capture(frames, map(str, hosts), names, "file", int(about.get("missed", 0)), cards)
