"""What both sides of a stream say, in whatever protocols they speak: one begins, and may hand over to another.

    for unit in conversation(up, down):
        unit.side, unit.protocol, unit.words

HTTP/1.1 hands over to WebSocket when a server answers 101; TLS hands over to HTTP/2 when both agree on it (ALPN).
"""

from collections.abc import Iterable
from dataclasses import replace

from labs.decode import protocols  # noqa: F401  (makes them known)
from labs.decode.protocol import PROTOCOLS, Protocol, Unit, carried
from labs.decode.reading import amount

__all__ = ["conversation"]


def conversation(
    up: bytes, down: bytes, ended: bool = True, ports: Iterable[int] = (), handed_over_by: tuple[str, str] = ("", "")
) -> list[Unit]:
    """The Units in `up`, what the client sent, and `down`, what the server sent; the order between the sides is not known here.

    ended: the server ended its stream (a response without a length goes on until then); ports: what they are a sign of;
    handed_over_by: what was agreed on before the first byte.  Never raises; bytes that nobody knows are one Unit of each side.
    """
    found, at, ports = [], {"client": 0, "server": 0}, tuple(ports)
    while at["client"] < len(up) or at["server"] < len(down):
        left = up[at["client"] :], down[at["server"] :]
        protocol = _next(handed_over_by, left, ports)
        said, handed_over_by, *moved = protocol.units(*left, ended) if protocol and protocol.units else ([], ("", ""), 0, 0)
        found += [replace(unit, offset=unit.offset + at[unit.side]) for unit in said]
        at = {side: at[side] + moved[place] for place, side in enumerate(at)}
        if not handed_over_by[0] or moved == [0, 0]:
            break
    rest = {side: len(data) - at[side] for side, data in (("client", up), ("server", down))}
    return found + [Unit("Data", side, at[side], size, amount(size)) for side, size in rest.items() if size]


def _next(handed_over_by: tuple[str, str], left: tuple[bytes, bytes], ports: tuple[int, ...]) -> Protocol | None:
    if handed_over_by[0]:
        agreed = next((one for one in PROTOCOLS.values() if one.handed_over_by == handed_over_by), None)
        if agreed:
            return agreed
    looks = [carried(data, 0, len(data), ports) for data in left]
    return next((one for one in looks if one and one.units), None)
