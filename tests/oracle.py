"""tshark as the oracle: what it reads in a capture is what our own reader must read, and it must find nothing wrong."""

import itertools
import os
import shutil
import subprocess

from labs.captures.capture import Capture

FIELDS = (
    "eth.src eth.dst ip.src ip.dst ipv6.src ipv6.dst ip.ttl ipv6.hlim arp.opcode arp.src.proto_ipv4 arp.dst.proto_ipv4 "
    "tcp.srcport tcp.dstport tcp.flags tcp.seq_raw tcp.ack_raw tcp.seq tcp.ack tcp.window_size_value tcp.options.mss_val tcp.len "
    "udp.srcport udp.dstport udp.length icmp.type icmp.code icmpv6.type "
    "tcp.checksum ip.checksum.status tcp.checksum.status udp.checksum.status icmp.checksum.status icmpv6.checksum.status _ws.malformed"
).split()  # fmt: skip
OPTIONS = (
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
    "ip.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
)
GOOD = ("", "Good", "1", "2", "3", "Unverified", "Not present")  # FT checksum status: 0 is bad


def why_not():
    return "" if shutil.which("tshark") else "tshark is not installed (Debian: apt install tshark)"


def fields(capture, names, folder):
    """One list of texts per frame, in the order of `names`; the first value where a frame has several."""
    path = folder / "oracle.pcapng"
    capture.save(path)
    settings = [word for option in OPTIONS for word in ("-o", option)]
    wanted = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-r", str(path), "-n", *settings, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=f", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def compare(made, folder):
    """Compare every frame of many captures, given as (the test that made it, capture), in one file.

    Of a flood the beginning, where there is no time for all of it: its frames are like each other.
    """
    most = None if os.environ.get("LABS_STACKS") == "1" else 2000
    all_of_them = [(test, frame) for test, capture in made for frame in itertools.islice(capture, most)]
    rows = fields(Capture([frame for _, frame in all_of_them], (), {}, "file"), FIELDS, folder)
    assert len(rows) == len(all_of_them)
    relative = Relative()
    for (test, frame), row in zip(all_of_them, rows):
        said, where = dict(zip(FIELDS, row)), f"{test}, frame {frame.number}: {frame!r}"
        assert ours(frame, relative) == theirs(frame, said), where
        assert not said["_ws.malformed"], f"malformed: {where}"
        bad = {name: said[name] for name in FIELDS if name.endswith("status") and said[name] not in GOOD}
        if (
            said["tcp.checksum"] == "0xffff"
        ):  # Linux writes a sum of 0 so (skb_checksum_help), which is the same number and which tshark minds
            bad.pop("tcp.checksum.status", None)
        assert not bad, f"{bad}: {where}"


def ours(frame, relative):
    values = [frame.src_mac, frame.dst_mac, frame.src, frame.dst]
    if frame.protocol == "ARP":
        return [*values, frame.arp_op]
    values.append(frame.ttl)
    if frame.protocol == "TCP":
        values += [
            frame.sport,
            frame.dport,
            frame.flags,
            frame.seq,
            frame.ack,
            *relative(frame),
            frame.window,
            frame.mss,
            frame.payload_length,
        ]
    elif frame.protocol == "UDP":
        values += [frame.sport, frame.dport]
        values += [frame.payload_length] if frame.fragment is None else []
    elif frame.protocol in ("ICMP", "ICMPv6"):
        values.append(frame.icmp_type)
        values += [frame.icmp_code] if frame.protocol == "ICMP" else []
    return values


def theirs(frame, said):
    number = lambda name: int(said[name], 0) if said[name] else None
    first = lambda *names: next((said[name] for name in names if said[name]), None)
    values = [
        said["eth.src"],
        said["eth.dst"],
        first("ip.src", "ipv6.src", "arp.src.proto_ipv4"),
        first("ip.dst", "ipv6.dst", "arp.dst.proto_ipv4"),
    ]
    if frame.protocol == "ARP":
        return [*values, number("arp.opcode")]
    values.append(number("ip.ttl") or number("ipv6.hlim"))
    if frame.protocol == "TCP":
        values += [
            number("tcp.srcport"),
            number("tcp.dstport"),
            number("tcp.flags"),
            number("tcp.seq_raw"),
            number("tcp.ack_raw"),
        ]
        values += [
            number("tcp.seq"),
            number("tcp.ack"),
            number("tcp.window_size_value"),
            number("tcp.options.mss_val"),
            number("tcp.len"),
        ]
    elif frame.protocol == "UDP":
        values += [number("udp.srcport"), number("udp.dstport")]
        values += [number("udp.length") - 8] if frame.fragment is None else []
    elif frame.protocol == "ICMP":
        values += [number("icmp.type"), number("icmp.code")]
    elif frame.protocol == "ICMPv6":
        values += [number("icmpv6.type")]
    return values


class Relative:
    """Sequence and acknowledgement numbers counted from each side's own beginning: its SYN, or else the first number seen."""

    def __init__(self):
        self.beginning = {}  # (address, port, address, port) → the number that counts as 0

    def __call__(self, frame):
        here, there = (frame.src, frame.sport, frame.dst, frame.dport), (frame.dst, frame.dport, frame.src, frame.sport)
        if frame.syn and not frame.is_ack and self.beginning.get(here) != frame.seq:  # a new connection between the same ports
            self.beginning.pop(here, None), self.beginning.pop(there, None)
        self.beginning.setdefault(here, frame.seq if frame.syn else frame.seq - 1)
        if frame.is_ack:
            self.beginning.setdefault(there, frame.ack - 1)
        ack = (frame.ack - self.beginning[there]) % 2**32 if frame.is_ack else 0
        return (frame.seq - self.beginning[here]) % 2**32, ack
