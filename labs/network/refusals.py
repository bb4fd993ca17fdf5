"""Why a connection did not come about, as far as the lab knows: wires, their rules, the sockets of the host that was asked."""

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labs.network.kernel import SocketRow
from labs.tables import count

if TYPE_CHECKING:
    from labs.network.wire import Wire

__all__ = ["UNKNOWN", "Watch", "in_use", "no_way", "overflowed", "refused"]

UNKNOWN = "the lab knows no reason, no frame is held and none was lost"


def in_use(name: str, port: int) -> OSError:
    return OSError(
        errno.EADDRINUSE, f"port {port} of {name} is in use; close the socket that listens there, or take another port"
    )


def listening(rows: Sequence[SocketRow], port: int, address: str = "") -> list[SocketRow]:
    """The sockets that listen on this TCP port; with an address, those that listen on it."""
    found = [row for row in rows if row.state == "LISTEN" and row.local.endswith(f":{port}")]
    mine = (address, f"[{address}]", "0.0.0.0", "[::]")
    return [row for row in found if not address or row.local.rpartition(":")[0] in mine]


def refused(address: str, port: int, rows: Sequence[SocketRow] = ()) -> ConnectionRefusedError:
    """An RST came (RFC 9293 §3.10.7.1).  rows: the sockets of the host that has the address, a moment later."""
    why = f": nothing listens on its port {port}"
    if there := listening(rows, port, address):
        why = f", though something listens on {there[0].local}; {_waiting(there[0])} in its accept queue"
    elif there := listening(rows, port):
        why = f": nothing listens on port {port} of this address, only on {', '.join(row.local for row in there)}"
    return ConnectionRefusedError(errno.ECONNREFUSED, f"{address} answered with RST{why}")


def overflowed(port: int, rows: Sequence[SocketRow], counters: dict[str, int]) -> str:
    """That a full accept queue let the SYN fall, "" if it did not: listen(2), and ListenOverflows in snmp_counter.rst."""
    full = [row for row in listening(rows, port) if row.recv_queue and counters.get("TcpExtListenOverflows")]
    return f"{_waiting(full[0])} in its accept queue, until accept() is called" if full else ""


def no_way(code: int, name: str, address: str, owners: dict[str, str], why: str = "") -> OSError:
    """EHOSTUNREACH or ENETUNREACH.  owners: address → host, of the whole network; why: what Watch.why() says, if anything."""
    if address in owners:
        return OSError(code, f"{name} found no way to {address} ({owners[address]}): {why or UNKNOWN}")
    has = ", ".join(f"{owner} {one}" for one, owner in owners.items())
    return OSError(code, f"{name} found no way to {address}: no host of this network has it ({has}), and no wire leads out")


class Watch:
    """What a connect that fails will want to know: what the wires had lost, and the rules had dropped, before it began."""

    def __init__(self, wires: "tuple[Wire, ...]"):
        self.wires = wires
        # not asked of a wire that loses nothing: most connects do not fail, and none shall wait for this
        self.before = [(wire.fates() if wire.may_lose else None, {rule: rule.hits for rule in wire.rules}) for wire in wires]

    def why(self, timeout: float = 0.0) -> str:
        """What stood in the way of the SYN or its answer, as the end of a sentence; "" if nothing on the wires did."""
        found = [said for wire, before in zip(self.wires, self.before) for said in self._of(wire, *before)]
        if not found and (trip := 2 * sum(wire.delay for wire in self.wires)) >= timeout > 0:
            found = [f"the delay of the way makes a round trip of {trip:g} s"]
        return "; ".join(found)

    def _of(self, wire, before, hits):
        now, name = wire.fates(), "the wire" if len(self.wires) == 1 else f"wire {wire.index}"
        if now["cut"]:
            return [f"{name} is cut, until mend()"]
        if now["held"]:
            return [f"{name} is held and {count(now['held'], 'frame waits', 'frames wait')}, until step() or release()"]
        lost = {reason: so_far - before["lost"].get(reason, 0) for reason, so_far in now["lost"].items()} if before else {}
        said = [f"{name} lost {count(frames, 'frame')} meanwhile ({reason})" for reason, frames in lost.items() if frames > 0]
        return said + [repr(rule) for rule in wire.rules if rule.drop and rule.hits > hits.get(rule, 0)]


def _waiting(row):
    return count(row.recv_queue, "connection waits", "connections wait")
