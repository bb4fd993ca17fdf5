"""What a host's kernel says of itself: its sockets and its counters, read from /proc/net.

Formats: proc_pid_net(5), Documentation/networking/proc_net_tcp.rst, snmp_counter.rst.  Chapter 24-tcp-connection reads them.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from labs.decode.reading import EPHEMERAL, letters
from labs.tables import columns

__all__ = ["STATES", "SocketRow", "SocketTable", "counters", "sockets"]

STATES = (  # include/net/tcp_states.h; the names are those of RFC 9293 §3.3.2, with SYN_RECV for SYN-RECEIVED
    "", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
    "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "SYN_RECV",
)  # fmt: skip
TIMERS = {0: "", 1: "retransmit", 2: "keep-alive", 3: "time-wait", 4: "probe"}


@dataclass(frozen=True, slots=True)
class SocketRow:
    """One socket as its kernel sees it."""

    protocol: str  # "tcp" or "udp"
    local: str  # "10.0.0.2:80"
    remote: str
    state: str
    send_queue: int  # bytes that are sent and not acknowledged, or not sent
    recv_queue: int  # bytes not read; for LISTEN: connections that nobody accepted
    timer: str  # which timer runs: "", "retransmit", "keep-alive", "time-wait", "probe"
    retransmits: int  # times that the oldest unacknowledged segment was sent again

    def to_record(self) -> list:
        return [getattr(self, name) for name in self.__slots__]

    @classmethod
    def from_record(cls, record: list) -> "SocketRow":
        return cls(*record)


class SocketTable(list[SocketRow]):
    """A list of SocketRow that prints as a table, ephemeral ports as letters: they differ from run to run."""

    def __repr__(self):
        known = {}

        def endpoint(text):
            address, _, port = text.rpartition(":")
            if port == "0":
                return "*" if address in ("0.0.0.0", "::") else f"{address}:*"
            if int(port) in EPHEMERAL:
                port = known.setdefault(port, letters(len(known)))
            return f"{address}:{port}"

        rows = [(s.protocol, s.state, endpoint(s.local), endpoint(s.remote), s.recv_queue, s.send_queue, s.timer) for s in self]
        head = ("proto", "state", "local", "remote", "recv-q", "send-q", "timer")
        return "\n".join(columns([head, *rows])) if rows else "no sockets"

    def to_record(self) -> list:
        return [row.to_record() for row in self]

    @classmethod
    def from_record(cls, record: list) -> "SocketTable":
        return cls(SocketRow.from_record(row) for row in record)


def _endpoint(text):
    address, port = text.split(":")
    words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]  # each in the machine's byte order
    packed = b"".join(words)
    if len(packed) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}:{int(port, 16)}"
    shown = socket.inet_ntop(socket.AF_INET6, packed)
    return f"[{shown}]:{int(port, 16)}"


def sockets(read: Callable[[str], str]) -> SocketTable:
    """All TCP and UDP sockets; `read(path)` gives a file's text in the host's namespace."""
    rows = SocketTable()
    for protocol in ("tcp", "udp", "tcp6", "udp6"):
        try:
            lines = read(f"/proc/thread-self/net/{protocol}").splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without IPv6
        for line in lines:
            word = line.split()
            send, receive = (int(x, 16) for x in word[4].split(":"))
            state = STATES[int(word[3], 16)] if protocol.startswith("tcp") else "-"
            timer = TIMERS.get(int(word[5].split(":")[0], 16), "")
            rows.append(
                SocketRow(protocol[:3], _endpoint(word[1]), _endpoint(word[2]), state, send, receive, timer, int(word[6], 16))
            )
    order = {state: i for i, state in enumerate(("LISTEN", "SYN_RECV", "SYN_SENT", "ESTABLISHED"))}
    rows.sort(key=lambda r: (r.protocol, order.get(r.state, 9), r.local, r.remote))
    return rows


def counters(read: Callable[[str], str]) -> dict[str, int]:
    """The kernel's counters by the names that `nstat` uses: {"TcpRetransSegs": 0, "TcpExtListenOverflows": 0, …}."""
    values: dict[str, int] = {}
    for path in ("/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"):
        lines = read(path).splitlines()
        for names, numbers in zip(lines[::2], lines[1::2]):
            group = names.split(":")[0]
            values |= {f"{group}{name}": int(n) for name, n in zip(names.split()[1:], numbers.split()[1:])}
    return values
