"""Captures: whole, in order, counted; written to pcapng and read back the same, whatever a file holds."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
from threading import Event
from types import SimpleNamespace

import pytest
from conftest import examples, not_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from traffic import connected, in_thread, read_all, udp

import labs
from labs import Capture, LabError

pytestmark = pytest.mark.usefixtures("checked_by_tshark", "no_leaks")


def story(capture):
    """All that a file must keep."""
    frames = [(f.number, f.time, f.raw, f.sender, f.wire, f.lost, f.arrivals) for f in capture]
    return frames, capture.hosts, capture.names, capture.missed


@pytest.fixture
def eventful(network):
    """A capture in which everything happened: lost, doubled, rewritten, late, held, put in by hand, and on two wires."""
    net = network("client", labs.router("r1"), "server", delay=0.001)
    client, _, server = net
    with net.capture() as cap:
        ours, theirs = connected(client, server)
        with net.wires[0].rule(lambda f: f.payload_length == 3, drop=True, times=1):
            ours.sendall(b"abc")
            theirs.recv(9)
        with udp(server, 9), udp(client) as outbox:
            for how in ({"duplicate": 1}, {"rewrite": lambda f: f.raw[:-1] + b"!"}, {"delay": 0.01}):
                with net.wires[1].rule(lambda f: f.dport == 9, **how):
                    outbox.sendto(b"datagram", ("10.0.1.1", 9))
                    net.wires[0].settle()
            with net.wires[0].socket() as wire:
                wire.send(b"\xff" * 6 + b"\x02\0\0\0\0\x99\x88\xb5" + b"by hand" + bytes(45))
            net.wires[0].hold()
            outbox.sendto(b"held", ("10.0.1.1", 9))
            assert net.wires[0].held
    return cap


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_saved_is_what_is_loaded(eventful, tmp_path):
    kinds = [(bool(f.lost), len(f.arrivals), any(a.raw for a in f.arrivals), f.sender) for f in eventful]
    assert (
        any(k[0] for k in kinds)
        and {k[1] for k in kinds} >= {0, 1, 2}
        and any(k[2] for k in kinds)
        and any(k[3] == "wire" for k in kinds)
    )
    eventful.save(tmp_path / "x.pcapng")
    assert [p.name for p in tmp_path.iterdir()] == ["x.pcapng"]
    loaded = Capture.load(tmp_path / "x.pcapng")
    assert story(loaded) == story(eventful) and loaded.origin == "file"
    loaded.save(tmp_path / "y.pcapng")
    assert (tmp_path / "x.pcapng").read_bytes() == (tmp_path / "y.pcapng").read_bytes()


def test_other_tools_read_it(eventful, tmp_path):
    if not shutil.which("capinfos"):
        not_run("capinfos", "it is not installed (Debian: apt install wireshark-common)")
    eventful.save(tmp_path / "x.pcapng")
    said = subprocess.run(["capinfos", "-cTmq", str(tmp_path / "x.pcapng")], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[1].split(",")[1].strip("'") == str(len(eventful))
    subprocess.run(["editcap", "-F", "pcapng", str(tmp_path / "x.pcapng"), str(tmp_path / "y.pcapng")], check=True)
    again = Capture.load(tmp_path / "y.pcapng")
    assert [(f.raw, f.time, f.sender) for f in again] == [(f.raw, f.time, f.sender) for f in eventful]
    subprocess.run(["editcap", "-F", "pcap", str(tmp_path / "x.pcapng"), str(tmp_path / "old.pcap")], check=True)
    with pytest.raises(LabError, match="expected a pcapng file, got the older pcap format: .*editcap -F pcapng"):
        Capture.load(tmp_path / "old.pcap")


def borders(raw):
    at, found = 0, []
    while at < len(raw):
        found.append(at)
        at += struct.unpack_from("<I", raw, at + 4)[0]
    return found


def test_a_file_that_is_cut_off(eventful, tmp_path):
    """At every border of a block, what is before is whole; anywhere else the error says where, and partial=True has the rest."""
    path = tmp_path / "x.pcapng"
    eventful.save(path)
    raw = path.read_bytes()
    starts = borders(raw)
    packets = [at for at in starts if raw[at : at + 4] == b"\x06\0\0\0"]
    assert len(packets) == len(eventful)
    for cut in sorted({*starts[1:], *(at + 1 for at in starts[1:]), *(at - 1 for at in starts[1:]), *range(1, len(raw), 97)}):
        path.write_bytes(raw[:cut])
        whole = sum(end <= cut for end in [*packets[1:], len(raw)])
        if cut in starts:
            assert len(Capture.load(path)) == whole
        elif cut > 3:
            with pytest.raises(
                LabError, match=f"expected a whole pcapng file, got one that ends inside a block at byte .*the {whole} frames"
            ):
                Capture.load(path)
            assert [f.raw for f in Capture.load(path, partial=True)] == [f.raw for f in eventful[:whole]]
        else:
            with pytest.raises(LabError, match="expected a pcapng file, got one that begins with"):
                Capture.load(path, partial=True)


def block(kind, body):
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


SECTION = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))


@pytest.mark.parametrize(
    "raw, said",
    [
        (b"", "expected a pcapng file, got one that begins with nothing"),
        (b"hello, this is a text file", "expected a pcapng file, got one that begins with 68656c6c"),
        (SECTION + block(1, struct.pack("<HHI", 113, 0, 0)), "expected Ethernet .link type 1., got link type 113"),
        (SECTION + block(3, bytes(64)), "expected packet blocks of type 6, got 3"),
        (
            SECTION + block(6, struct.pack("<IIIII", 0, 0, 0, 999, 999) + bytes(16)),
            "holds a packet longer than its block at byte 28",
        ),
        (SECTION + block(6, bytes(4)), "holds a block that is too short at byte 28"),
        (SECTION + b"\x06\0\0\0\x10\0\0\0abcd\x11\0\0\0", "holds a block that does not end as it begins at byte 28"),
        (SECTION + b"\x06\0\0\0\x02\0\0\0abcd", "holds a block of an impossible length at byte 28"),
    ],
)
def test_files_that_are_something_else(raw, said, tmp_path):
    path = tmp_path / "x.pcapng"
    path.write_bytes(raw)
    with pytest.raises(LabError, match=said):
        Capture.load(path)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused_or_read(data, tmp_path):
    """Whatever the bytes: a capture or a LabError, nothing else."""
    path = tmp_path / "x.pcapng"
    fate = {"sender": "client", "arrivals": [[5, "server", None]], "lost": ""}
    about = {"hosts": ["client", "server"], "cards": [["client", 0, "02:00:00:00:00:01", ["10.0.0.1"]]], "missed": 0}
    option = lambda value: struct.pack("<HH", 1, len(value)) + value + b"\0" * (-len(value) % 4) + b"\0\0\0\0"
    junk = st.recursive(
        st.none() | st.floats() | st.text(max_size=3),
        lambda more: st.lists(more, max_size=3) | st.dictionaries(st.text(max_size=3), more),
    )
    for thing in (fate, about):
        if data.draw(st.booleans()):
            thing[data.draw(st.sampled_from(sorted(thing)))] = data.draw(junk)
    raw = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + option(json.dumps(about).encode()))
    raw += block(1, struct.pack("<HHI", 1, 0, 0))
    raw += block(6, struct.pack("<IIIII", 0, 0, 0, 60, 60) + bytes(60) + option(json.dumps(fate).encode()))
    raw = bytearray(raw)
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=2)):
        raw[at] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        capture = Capture.load(path, partial=data.draw(st.booleans()))
        capture.save(path)
    except LabError as e:
        assert str(path) in str(e)


# ── while and after ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_capture_is_used_once(net):
    capture = net.capture()
    with pytest.raises(LabError, match="this capture has not begun; use it as `with net.capture.. as cap:`"):
        len(capture)
    with capture:
        with pytest.raises(LabError, match="this capture runs already"):
            capture.__enter__()
    with pytest.raises(LabError, match="this capture is complete; begin another with net.capture"), capture:
        pass
    with pytest.raises(IndexError, match="expected a frame at 0, got none: the capture is empty"):
        capture[0]


def test_a_capture_can_be_read_while_it_runs(net):
    with net.capture() as cap:
        assert len(cap) == 0
        connected(*net)
        assert [f.protocol for f in cap[:4]] == ["ARP", "ARP", "TCP", "TCP"]
    assert [f.number for f in cap.where(lambda f: f.protocol == "TCP")[:3]] == [3, 4, 5]
    with pytest.raises(IndexError, match=r"expected an index from 0 to \d, got 99: the capture has \d frames"):
        cap[99]


def test_a_running_capture_goes_on_from_where_it_was(net, monkeypatch):
    """However often it is read and waited for: each frame is made once, and match() is asked once about it."""
    from labs.captures import capture

    made, asked, make = [], [], capture._frame
    monkeypatch.setattr(capture, "_frame", lambda *args, **where: made.append(1) or make(*args, **where))
    ours, theirs = connected(*net)
    with net.capture() as cap:
        sending = in_thread(lambda: [(ours.sendall(b"%03d" % n), theirs.recv(3)) for n in range(300)])
        last = cap.wait(lambda f: asked.append(f.number) or f.payload == b"299")
        assert last is cap[last.number - 1], "the very frame"
        assert len(asked) == len(set(asked)), "once a frame"
        sending.join()
        after = cap[0]
        for _ in range(100):
            ours.sendall(b"ping"), theirs.recv(4)
            ping = cap.wait(lambda f: f.payload == b"ping", after=after)
            assert ping.number > after.number and len(cap) >= ping.number
            after = ping
        assert cap.wait(lambda f: f.payload == b"ping").number < after.number, "without `after`, the first of all"
    assert len(made) == len(cap) > 400 and [f.payload for f in cap].count(b"ping") == 100


def test_wait_hears_what_becomes_of_a_frame(net):
    client, server = net
    with udp(server, 9) as inbox, udp(client) as outbox:
        outbox.sendto(b"ARP goes first", ("10.0.0.2", 9)), inbox.recv(20)
        with net.capture() as cap:
            net.wire.hold()
            outbox.sendto(b"held", ("10.0.0.2", 9))
            with pytest.raises(LabError, match="no frame came within 0.05 s for which <lambda> is true"):
                cap.wait(lambda f: f.arrivals, timeout=0.05)
            looked, found = Event(), []
            arrived = lambda f: bool(f.arrivals) or looked.set()
            waiting = in_thread(lambda: found.append(cap.wait(arrived, timeout=60)))
            assert looked.wait(5) and net.wire.release() == 1
            waiting.join(5)  # its arrival wakes who waits, though no other frame comes
            assert [(f.payload, f.arrivals[0].receiver) for f in found] == [(b"held", "server")]
            with net.wire.rule(lambda f: f.payload == b"lost", drop=True):
                outbox.sendto(b"lost", ("10.0.0.2", 9))
                assert cap.wait(lambda f: f.lost).lost == "dropped by a rule"


def test_threads_wait_for_frames_of_one_capture(net):
    ours, theirs = connected(*net)
    found = {}
    with net.capture() as cap:

        def wait(text):
            found[text] = cap.wait(lambda f: f.payload == text)

        threads = [in_thread(wait, b"%02d" % n) for n in range(20)]
        for n in range(20):
            ours.sendall(b"%02d" % n), theirs.recv(2)
            len(cap)  # this thread reads, too, and takes no frame from them
        [thread.join() for thread in threads]
    assert {text: frame.payload for text, frame in found.items()} == {b"%02d" % n: b"%02d" % n for n in range(20)}


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
def test_a_log_may_be_read_in_pieces(size):
    """Whatever the pieces: the same frames, and in `touched` each again when more is heard of it."""
    from labs.captures import log
    from labs.captures.frame import Frame

    raw = b"".join(
        log.record(time, number, source, target, kind, data)
        for time, number, source, target, kind, data in [
            (1, 7, 0, 1, log.CROSSED, b"one"), (2, 8, 1, 0, log.SENT, b"two"), (3, 9, 0, log.EVERYONE, log.SENT, b"three"),
            (4, 6, 0, 1, log.ARRIVED, b""), (5, 9, 0, log.EVERYONE, log.ARRIVED, b"changed"), (6, 8, 1, 0, log.LOST, b"why"),
            (7, 10, 3, 0, log.CROSSED, b"hand"),
        ]
    )  # fmt: skip
    reader = log.Reader([("a", 0), ("b", 0), ("c", 0)], 1000, Frame)
    for at in range(0, len(raw), size):
        reader.feed(raw[at : at + size])
    assert [(f.number, f.time, f.raw, f.sender, f.lost) for f in reader.frames] == [
        (1, 1001, b"one", "a", ""), (2, 1002, b"two", "b", "why"), (3, 1003, b"three", "a", ""), (4, 1007, b"hand", "wire", ""),
    ]  # fmt: skip
    arrivals = [[(a.time, a.receiver, a.raw) for a in f.arrivals] for f in reader.frames]
    assert arrivals == [[(1001, "b", None)], [], [(1005, "b", b"changed"), (1005, "c", b"changed")], [(1007, "a", None)]]
    assert [f.number for f in reader.touched] == [1, 2, 3, 3, 2, 4]


def test_captures_may_overlap(net):
    client, server = net
    with udp(server, 9) as inbox, udp(client) as outbox:
        send = lambda text: (outbox.sendto(text, ("10.0.0.2", 9)), inbox.recv(9))
        send(b"0")
        first, second = net.capture(), net.capture()
        with first:
            send(b"1")
            with second:
                send(b"2")
            send(b"3")
        send(b"4")
        with net.capture() as third:
            send(b"5")
    assert [[f.payload for f in cap] for cap in (first, second, third)] == [[b"1", b"2", b"3"], [b"2"], [b"5"]]


def test_a_network_closed_while_capturing(net):
    with net.capture() as cap:
        connected(*net)
        net.close()
    assert len(cap) >= 5


def test_what_the_log_cannot_keep_is_counted(network):
    net = network(log_limit=20_000)
    with net.capture() as cap:
        ours, theirs = connected(*net)
        sending = in_thread(ours.sendall, bytes(100_000))
        read_all(theirs, 100_000)
        sending.join()
    assert cap.missed > 50 and len(cap) > 5
    with net.capture() as cap:
        ours.sendall(b"x"), theirs.recv(1)
    assert cap.missed == 0 and len(cap) >= 1, "the next one begins anew"


def test_a_capture_in_the_middle_of_endless_traffic(net):
    """It begins and ends though the wire is never silent."""
    client, server = net
    ours, theirs = connected(client, server)
    stop = []

    def pump():
        while not stop:
            ours.send(bytes(1 << 16))

    def drink():
        while theirs.recv(1 << 17):
            pass

    threads = [in_thread(pump), in_thread(drink)]
    try:
        with net.capture() as cap:
            pass
        with net.capture() as cap:
            net["client"].counters()
    finally:
        stop.append(True)
        threads[0].join()
        ours.close()
        threads[1].join()
    assert cap.missed == 0


def test_scapy_reads_the_same(net):
    with net.capture() as cap:
        connected(*net)
    from scapy.layers.inet import TCP

    assert [bytes(p) for p in cap.packets] == [f.raw for f in cap]
    assert [p[TCP].seq for p in cap.packets if TCP in p] == [f.seq for f in cap if f.protocol == "TCP"]


def test_a_machine_that_stops_between_two_readings_does_not_shift_the_times(monkeypatch):
    """What else happened at a time that time.time_ns() gave stays before or after a frame, as it was."""
    from labs.captures import log

    passed, stops = [1_000], iter([0, 40_000_000, 0, 3_000_000] + 20 * [100])  # ns, between two readings

    def reading(start):
        passed[0] += next(stops)
        return start + passed[0]

    clocks = SimpleNamespace(monotonic_ns=lambda: reading(0), time_ns=lambda: reading(5_000_000_000))
    monkeypatch.setattr(log, "clocks", clocks)
    assert abs(log.epoch() - 5_000_000_000) <= 100


def test_what_the_log_has_no_memory_for_is_counted():
    """A write that fails costs its records, which are counted, and nothing that is written later."""
    from labs.captures.log import CROSSED
    from labs.network.frame_log import TOGETHER, FrameLog

    with open("/dev/full", "wb", buffering=0) as full, tempfile.TemporaryFile(buffering=0) as good:
        log = FrameLog(full.fileno(), 1 << 20)
        log.captured(1)
        for number in range(TOGETHER + 3):
            log.add(0, number, 0, 1, CROSSED, b"frame")
        assert log.dropped == TOGETHER
        log.fd = good.fileno()
        log.write()
        assert os.fstat(good.fileno()).st_size == log.length > 3 * 5 and log.dropped == TOGETHER
