"""The lab process: many threads, floods, limits, descriptors that run out, programs that write without end, its heartbeat."""

import contextlib
import errno
import os
import re
import resource
import signal
import socket
import struct
import sys
import threading
from collections import Counter

import pytest
from conftest import STACKS
from test_leaks import inside
from traffic import connected, in_thread, same, udp, until

import labs
from labs.network.heartbeat import Heartbeat
from labs.network.held_clocks import says
from labs.network.loop import Loop
from labs.network.messages import KEPT
from labs.network.onlookers import JUDGED
from labs.network.traffic import UNDER_WAY

pytestmark = pytest.mark.usefixtures("checked_by_tshark", "no_leaks")
NOBODY = b"\x02\0\0\0\0\x99" + bytes(54)  # a frame that no card takes


def memory_of(pid):
    """Bytes that a process has in memory (proc_pid_statm(5))."""
    return int(open(f"/proc/{pid}/statm").read().split()[1]) * resource.getpagesize()


@pytest.fixture
def descriptors():
    """descriptors(pid, most) limits a process (0: this one) until the test ends."""
    before = []

    def limit(pid, most):
        old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        before.append((pid, old))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(most, old[1]), old[1]))

    yield limit
    for pid, old in reversed(before):
        if pid == 0 or os.path.exists(f"/proc/{pid}"):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, old)


# ── many who ask ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_1100_threads_ask(any_net, descriptors):
    """Each has a channel of its own, and select(2) ends at 1,024."""
    descriptors(0, 4096)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2500:
        pytest.skip("this machine does not allow 2,500 descriptors")
    answers, all_asked, go = Counter(), threading.Barrier(1101, timeout=30), threading.Event()

    def ask():
        try:
            answers[any_net.wire.held] += 1
        except Exception as e:
            answers[repr(e)] += 1
        all_asked.wait()
        go.wait(20)

    threads = [in_thread(ask) for _ in range(1100)]
    try:
        all_asked.wait()
        assert answers == {0: 1100} and any_net.wire.held == 0
    finally:
        go.set()
        for thread in threads:
            thread.join()


def test_a_lab_process_without_descriptors_says_so(any_net, descriptors):
    """What needs one fails with EMFILE, and so does a new thread's question; all else works, and all when there are more."""
    net, pid = any_net, inside(any_net)
    client, server = net
    sock, far = connected(client, server)
    taken = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
    descriptors(pid, next(fd for fd in range(1000) if fd not in taken))
    answers = []

    def ask():
        for call in (client.socket, lambda: net.wire.held):
            try:
                answers.append(call())
            except OSError as e:
                answers.append(e.errno)

    for call in (
        client.socket,
        net.wire.socket,
        lambda: net.wire.rule(bool, drop=True),
        lambda: client.read("/proc/net/arp"),
        lambda: client.run(["true"]),
    ):
        with pytest.raises(OSError) as raised:
            call()
        assert raised.value.errno == errno.EMFILE or "Too many open files" in str(raised.value), raised.value
    for _ in range(3):
        in_thread(ask).join()
    assert answers == [errno.EMFILE] * 6, "a thread needs a channel of its own"
    assert net.wire.held == 0, "our own is there"
    sock.sendall(b"on"), far.sendall(far.recv(2))
    assert sock.recv(2) == b"on"
    descriptors(pid, 1024)
    answers.clear()
    in_thread(ask).join()
    assert answers[1:] == [0] and client.run(["true"]).wait() == 0
    answers[0].close()


def test_programs_have_the_limit_that_we_have(any_net):
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    done = any_net["client"].run(["sh", "-c", "ulimit -n"])
    assert done.wait() == 0 and done.output() == f"{soft}\n"


# ── floods and limits ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_flood_into_a_packet_socket(any_net):
    """Whoever floods the wire must not keep the lab from its other work."""
    stop, sent = threading.Event(), Counter()
    with any_net.wire.socket() as wire:

        def flood(name):
            while not stop.is_set():
                sent[name] += wire.outs.send(NOBODY) > 0

        threads = [in_thread(flood, name) for name in range(2)]
        try:
            until(lambda: len(sent) == 2, "both send")
            before = sent.total()
            sock, far = connected(*any_net)
            for _ in range(20):
                sock.sendall(b"x"), far.recv(1)
                assert any_net.wire.held == 0
            until(lambda: sent.total() > before, "the flood goes on")
        finally:
            stop.set()
            for thread in threads:
                thread.join()


FLOOD = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for _ in range(int(sys.argv[1])): s.sendto(bytes(1400), ("10.0.0.2", 9))
"""


def introduced(net):
    """The hosts know each other's MAC addresses."""
    with udp(net["server"], 9) as receiver, udp(net["client"]) as sender:
        sender.sendto(b"hello", ("10.0.0.2", 9))
        assert receiver.recv(9) == b"hello"


def test_a_held_wire_has_a_limit(net):
    introduced(net)
    pid = inside(net)
    before = memory_of(pid)
    net.wire.hold()
    assert net["client"].run([sys.executable, "-c", FLOOD, "40000"]).wait(30) == 0
    until(lambda: net._lab.ask("fates", wire=0)[0]["lost"], "some are lost")
    assert net.wire.held == 10_000
    assert memory_of(pid) - before < 40 << 20, "10,000 frames of 1,442 bytes are 14 MB"


def test_rules_that_do_not_keep_up(any_net):
    """Frames that wait for a verdict have a limit; what is too much is lost, and the capture says so."""
    go, hits = threading.Event(), []
    with any_net.wire.socket() as wire, any_net.capture() as cap:
        rule = any_net.wire.rule(lambda f: go.wait(20) and hits.append(1), drop=True)
        for _ in range(JUDGED + 5_000):
            wire.send(NOBODY)
        fates = any_net._lab.ask("fates", wire=0)[0]
        go.set()
        rule.remove()
    reason = "10,000 frames wait for the rules already"
    assert fates == {"held": 0, "cut": False, "lost": {reason: 5_000}}
    assert Counter(f.lost for f in cap) == {"": JUDGED, reason: 5_000} and cap.missed == 0


def test_frames_under_way_have_a_limit(any_net):
    with any_net.wire.socket() as wire, any_net.capture() as cap:
        any_net.wire.delay = 10
        for _ in range(UNDER_WAY + 1_000):
            wire.send(NOBODY)
        any_net.wire.cut()  # or the capture's end would wait for ten seconds
    assert Counter(f.lost for f in cap) == {"the cable is cut": UNDER_WAY, "50,000 frames are under way already": 1_000}


def test_a_packet_socket_that_nobody_reads(any_net):
    """It loses frames, which are counted; what it was given before it is read comes out whole and in order."""
    with any_net.wire.socket() as reader, any_net.wire.socket() as writer, any_net.capture() as cap:
        for number in range(30_000):
            writer.send(NOBODY + number.to_bytes(4, "big"))
        assert any_net.wire.held == 0
        reader.ins.setblocking(False)
        got, before = [], -1
        while len(got) > before:  # the lab hands on as much as the socket takes
            before = len(got)
            with contextlib.suppress(BlockingIOError):
                while True:
                    got.append(int.from_bytes(reader.ins.recv(2000)[-4:], "big"))
            any_net.wire.settle()
    assert 10_000 <= len(got) == 30_000 - cap.missed and same(got, list(range(len(got))))


# ── a cut wire ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cut_loses_what_is_under_way(net):
    introduced(net)
    with udp(net["server"], 9) as receiver, udp(net["client"]) as sender:
        net.wire.delay = 0.2
        with net.capture() as cap:
            sender.sendto(b"on its way", ("10.0.0.2", 9))
            net.wire.cut()
            net.wire.delay = 0
            net.wire.mend()
            sender.sendto(b"after", ("10.0.0.2", 9))
            assert receiver.recv(99) == b"after"
        assert [(f.lost, len(f.arrivals)) for f in cap] == [("the cable is cut", 0), ("", 1)]


def test_a_cut_loses_what_lets_others_pass_and_what_is_held(net):
    introduced(net)
    with udp(net["server"], 9) as receiver, udp(net["client"]) as sender:
        with net.capture() as cap:
            with net.wire.rule(lambda f: f.protocol == "UDP", reorder=1, times=1):
                sender.sendto(b"1", ("10.0.0.2", 9))
            net.wire.cut()
            net.wire.mend()
            net.wire.hold()
            sender.sendto(b"2", ("10.0.0.2", 9))
            sender.sendto(b"3", ("10.0.0.2", 9))
            net.wire.cut()
            frame = net.wire.step()
            assert frame.payload == b"2" and frame.arrivals == []
            assert net.wire.release() == 1
            net.wire.mend()
            sender.sendto(b"4", ("10.0.0.2", 9))
            assert receiver.recv(99) == b"4"
        assert [f.lost for f in cap] == ["the cable is cut"] * 3 + [""]


def test_fates(net):
    introduced(net)
    fates = lambda: net._lab.ask("fates", wire=0)[0]
    assert fates() == {"held": 0, "cut": False, "lost": {}}
    with udp(net["client"]) as sender:
        with net.wire.rule(lambda f: f.protocol == "UDP", drop=True):
            sender.sendto(b"1", ("10.0.0.2", 9))
        net.wire.loss = 1
        sender.sendto(b"2", ("10.0.0.2", 9))
        net.wire.loss = 0
        net.wire.hold()
        sender.sendto(b"3", ("10.0.0.2", 9))
        net.wire.cut()
        sender.sendto(b"4", ("10.0.0.2", 9))
    reasons = {"dropped by a rule": 1, "lost by chance": 1, "the cable is cut": 1}
    assert fates() == {"held": 1, "cut": True, "lost": reasons}


# ── a held wire: IPv6, and both sides at once ────────────────────────────────────────────────────────────────────────────


def test_both_sides_open_at_once_on_a_held_wire(net):
    """Simultaneous open, RFC 9293 §3.5, figure 7: each side's SYN+ACK has the number of its SYN, and is no repetition."""
    client, server = net
    introduced(net)
    with client.socket() as ours, server.socket() as theirs:
        ours.bind(("10.0.0.1", 5000)), theirs.bind(("10.0.0.2", 6000))
        net.wire.hold()
        ours.setblocking(False), theirs.setblocking(False)
        assert ours.connect_ex(("10.0.0.2", 6000)) == theirs.connect_ex(("10.0.0.1", 5000)) == errno.EINPROGRESS
        steps = [net.wire.step() for _ in range(4)]
        assert [(f.sender, f.flags) for f in steps] == [("client", 2), ("server", 2), ("server", 0x12), ("client", 0x12)]
        assert {s.state for s in (*client.sockets(), *server.sockets())} == {"ESTABLISHED"}
        net.wire.release()
        ours.send(b"both")
        theirs.settimeout(5)
        assert theirs.recv(9) == b"both"


def test_a_held_wire_and_ipv6(network):
    """The kernels ask for a neighbour again every second, and send a SYN again after one: a learner who reads meets neither."""
    net = network("client", "server", ipv6=True)
    client, server = net

    def step():
        """The next frame, without the kernels' reports of their multicast addresses (RFC 9777): they come when they like."""
        return next(frame for frame in iter(net.wire.step, None) if frame.icmp_type != 143)

    with server.listen(80, address="::"):
        net.wire.hold()
        with net.capture() as cap, client.connect("fd00::2", 80, wait=False):
            repeated = lambda kind: [f.lost for f in cap if f.icmp_type == kind or f.syn and not f.is_ack and kind == 0]
            until(lambda: len(repeated(135)) >= 2, "the kernel asks again", seconds=10)
            assert step().icmp_type == 135 and step().icmp_type == 136
            until(lambda: len(repeated(0)) >= 2, "the kernel sends the SYN again", seconds=10)
            assert step().flags == 0x02 and step().flags == 0x12
            assert set(repeated(135)[1:] + repeated(0)[1:]) == {"a repetition, and the wire is held"}
            net.wire.release()


def test_what_a_frame_says():
    """Frames that scapy built: what repeats another one, and what does not."""
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6
    from scapy.layers.l2 import ARP, Ether

    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for ip in (IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")):
        said = lambda flags, seq=7, data=b"", ack=1, sport=9, ip=ip: says(
            bytes(ether / ip / TCP(sport=sport, flags=flags, seq=seq, ack=ack) / data)
        )
        assert said("S") is not None and said("S") == said("S") and said("S") != said("SA") and said("SA") == said("SA")
        assert said("S") != said("S", seq=8) and said("S") != said("S", sport=10) and said("F") != said("S")
        assert said("A") is None and said("R") is None, "may be sent twice on purpose"
        assert said("PA", data=b"x") == said("A", data=b"x", ack=2), "data again, whatever is acknowledged by now"
        assert said("PA", data=b"x") != said("PA", data=b"xy") and said("FA", data=b"x") != said("PA", data=b"x")
        assert says(bytes(ether / ip / UDP() / b"x")) is None
    assert says(bytes(ether / ARP())) and says(bytes(ether / IPv6() / ICMPv6ND_NS()))
    assert says(bytes(ether / IPv6() / ICMPv6EchoRequest())) is None
    whole = bytes(ether / IPv6(src="fd00::1", dst="fd00::2") / TCP(flags="S", options=[("MSS", 1440)]))
    for length in range(len(whole)):
        says(whole[:length])  # a truncated frame is nobody's error


# ── IPv6 and routers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ipv6_through_routers(network):
    net = network("a", labs.router("r"), labs.router("s"), "b", ipv6=True)
    a, r, s, b = net
    assert b.cards[0].addresses == ("10.0.2.1", "fd00:0:0:2::1")
    assert r.cards[0].addresses == ("10.0.0.254", "fd00::fe", "fe80::ff:fe00:2")
    assert s.cards[0].addresses == ("10.0.1.253", "fd00:0:0:1::fd", "fe80::ff:fe00:4")
    with net.capture() as cap, b.listen(80, address="::") as listener:
        with a.connect("fd00:0:0:2::1", 80) as sock, listener.accept()[0] as far:
            sock.sendall(b"six"), far.sendall(far.recv(3))
            assert sock.recv(3) == b"six"
    syn = [f for f in cap if f.syn and not f.is_ack]
    assert {(f.wire, f.ttl, f.sender) for f in syn} == {(0, 64, "a"), (1, 63, "r"), (2, 62, "s")}, "each router takes one hop"
    with net.capture() as cap, a.socket(socket.AF_INET6, socket.SOCK_RAW, socket.getprotobyname("ipv6-icmp")) as raw:
        raw.sendto(struct.pack("!BBHHH", 128, 0, 0, 7, 1) + b"ping", ("fd00:0:0:2::1", 0))  # RFC 4443 §4.1
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
        raw.sendto(struct.pack("!BBHHH", 128, 0, 0, 7, 2) + b"ping", ("fd00:0:0:2::1", 0))
        cap.wait(lambda f: f.icmp_type == 129 and f.wire == 0)
        exceeded = cap.wait(lambda f: f.icmp_type == 3)
    assert exceeded.src == "fd00::fe" and exceeded.sender == "r", "time exceeded, RFC 4443 §3.3"


# ── programs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

NUMBERS = "import os, sys\nfor n in range(int(sys.argv[1])): os.write(1, b'%09d\\n' % n * 1000)"  # 10,000 bytes each


def test_a_program_that_writes_without_end(any_net):
    """The beginning and the end are kept, 32 MB each; the lab answers meanwhile."""
    pid = inside(any_net)
    before = memory_of(pid)
    endless = any_net["client"].run(["yes"])
    until(lambda: endless._written() > 3 * KEPT, "it has written more than is kept", seconds=20)
    assert any_net.wire.held == 0 and memory_of(pid) - before < 16 << 20, "no byte is kept in the lab process"
    said = endless.output()
    kept, dropped, end = re.fullmatch(r"([y\n]+)\n… ([\d,]+) bytes dropped …\n([y\n]*)", said).groups()
    assert len(kept) == KEPT and len(end) <= KEPT and int(dropped.replace(",", "")) > 0
    assert os.fstat(endless._output.fileno()).st_size <= 2 * KEPT + 8
    endless.kill()


@pytest.mark.parametrize("blocks", [1, 3355, 3356, 6710, 6711, 6712, 10_000] if STACKS else [1, 3356, 6711])
def test_what_is_kept_of_an_output(any_net, blocks):
    """Around each limit, 32 MB and 64 MB: what there is, byte by byte."""
    program = any_net["client"].run([sys.executable, "-c", NUMBERS, str(blocks)])
    assert program.wait(30) == 0
    whole = b"".join(b"%09d\n" % n * 1000 for n in range(blocks)).decode()
    if len(whole) > 2 * KEPT:
        whole = whole[:KEPT] + f"\n… {len(whole) - 2 * KEPT:,} bytes dropped …\n" + whole[-KEPT:]
    assert same(program.output(), whole)


def test_an_output_can_be_read_when_the_network_is_closed(any_net):
    program = any_net["client"].run(["echo", "last words"])
    assert program.wait() == 0 and program.output() == "last words\n"
    any_net.close()
    assert program.output() == "last words\n"


LEAVES_A_CHILD = """
import os, signal
if os.fork() == 0:
    print("child", flush=True)
    signal.pause()
"""


def test_kill_reaches_what_an_ended_program_left(any_net):
    program = any_net["client"].run([sys.executable, "-c", LEAVES_A_CHILD])
    assert program.wait() == 0
    until(program.output, "the child is there")
    before = len(os.listdir(f"/proc/{inside(any_net)}/fd"))
    program.kill(signal.SIGTERM)
    until(lambda: len(os.listdir(f"/proc/{inside(any_net)}/fd")) < before, "the last one that could write has ended")
    program.kill()  # nobody is left: fine


# ── the heartbeat ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_heartbeat_tells_when_the_machine_stood_still(any_net):
    """The lab process is stopped, as a busy machine would, for 0.2 s."""
    lab, pid = any_net._lab, inside(any_net)
    lab.ask("heartbeat", beating=True)
    os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(0.2, os.kill, (pid, signal.SIGCONT))
    timer.start()
    timer.join()
    reply, _ = lab.ask("heartbeat", beating=False)
    assert 150e6 < reply["late"] < 5e9 and 0 < reply["beats"], reply
    lab.ask("heartbeat", beating=True)
    assert lab.ask("heartbeat", beating=False)[0]["late"] < reply["late"], "it began anew"


def test_the_heartbeat_beats_every_5_ms(monkeypatch):
    """Lateness is what this process waited for, without what it computed itself."""
    from labs.network import heartbeat

    clock = {"now": 1_000_000_000, "computed": 0}
    monkeypatch.setattr(heartbeat, "now", lambda: clock["now"])
    monkeypatch.setattr(heartbeat, "computed", lambda: clock["computed"])
    beating = Heartbeat(Loop())
    assert beating.do_heartbeat(False) == {"late": 0, "beats": 0}, "it did not beat"
    beating.do_heartbeat(True)
    for passed, used in ((5, 0), (4, 0), (1, 0), (25, 0), (30, 25), (5, 0)):  # ms
        clock["now"] += passed * 1_000_000
        clock["computed"] += used * 1_000_000
        beating.beat()
    assert beating.next == clock["now"] + 5_000_000
    assert beating.do_heartbeat(False) == {"late": 20_000_000, "beats": 5}
    assert beating.next is None
