"""The wire: what it does to frames when told to, and that it does nothing else."""

import subprocess
import sys
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from traffic import connected, in_thread, read_all, round_trips_between_processes, same, stream, udp, until

from labs import LabError
from labs.network.cable import HELD, Cable

pytestmark = pytest.mark.usefixtures("checked_by_tshark", "no_leaks")
is_udp = lambda frame: frame.protocol == "UDP"


@pytest.fixture
def mail(net):
    """send(b"…") from client to server by UDP, and heard(): what came, in order, and nothing more. The hosts know each other."""
    client, server = net
    with udp(server, 9) as inbox, udp(client) as outbox:
        outbox.connect(("10.0.0.2", 9))
        outbox.send(b"hello")
        assert inbox.recv(9) == b"hello"

        def send(*texts):
            for text in texts:
                outbox.send(text)

        def heard():
            net.wire.settle()
            inbox.setblocking(False)
            got = []
            try:
                while True:
                    got.append(inbox.recv(2000))
            except BlockingIOError:
                return got

        yield send, heard


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_delay(network):
    net = network(delay=0.01)
    client, server = net
    ours, theirs = connected(client, server)
    took = []
    for _ in range(9):
        began = time.perf_counter()
        ours.sendall(b"x"), theirs.recv(1), theirs.sendall(b"y"), ours.recv(1)
        took.append(time.perf_counter() - began)
    assert 0.02 <= min(took) < 0.03, "never sooner; and not later, when nothing else keeps the machine busy: the best of nine"
    with net.capture() as cap:
        ours.sendall(b"z")
    assert all(f.arrivals[0].time - f.time >= 10_000_000 for f in cap), "what is on its way at the end belongs to the capture"
    net.wire.delay = 0
    assert net.wire.delay == 0


def test_loss(network):
    """TCP mends what the wire breaks: all arrives, and the counters and the capture agree on what was sent again."""
    net = network(loss=0.05)
    client, server = net
    ours, theirs = connected(client, server)
    data = bytes(range(256)) * 1200
    with net.capture() as cap:
        sending = in_thread(lambda: (ours.sendall(data), ours.close()))
        assert same(read_all(theirs, len(data)), data)
        sending.join()
    lost = cap.where(lambda f: f.lost)
    assert 0 < len(lost) < len(cap) / 2 and {f.lost for f in lost} == {"lost by chance"} and not any(f.arrivals for f in lost)
    assert client.counters()["TcpRetransSegs"] > 0


def test_loss_is_repeatable(network):
    fates = []
    for _ in range(2):
        net = network(loss=0.5)
        with net.wire.socket() as wire, net.capture() as cap:
            for _ in range(40):
                wire.send(bytes(60))
        fates.append([bool(f.lost) for f in cap])
    assert fates[0] == fates[1] and 5 < sum(fates[0]) < 35


def test_rate_and_queue(net, mail):
    """No frame arrives before the rate allows it, and none waits much longer; what finds the queue full is lost, and says so."""
    send, heard = mail
    net.wire.rate = 1_000_000
    with net.capture() as cap:
        send(*[bytes(1458)] * 30)  # 1,500 bytes of frame: 12 ms each
    waited = [(f.arrivals[0].time - cap[0].time) / 1e6 for f in cap]
    assert all(12 * number <= took for number, took in enumerate(waited, 1)) and waited[-1] < 12 * 30 + 1000, waited
    net.wire.queue = 5
    with net.capture() as cap:
        send(*[bytes(1458)] * 20)
    assert {f.lost for f in cap} == {"", "the queue is full"} and 5 <= sum(not f.lost for f in cap) <= 8


def test_a_slow_wire_stays_slow():
    """120 ms a frame: the 50th of a burst waits for six seconds."""
    due = []
    nothing = SimpleNamespace(add=lambda *_: None)
    traffic = SimpleNamespace(number=0, schedule=lambda time, *_: due.append(time))
    cable = Cable(traffic, nothing, 0, {0: b"", 1: b""}, 2, {"rate": 100_000})
    began = time.monotonic_ns()
    for _ in range(50):
        cable.carry(bytes(1500), 0)
    assert [round((time - began) / 120e6) for time in due] == list(range(1, 51))


def test_cut_and_mend(net, mail):
    send, heard = mail
    net.wire.cut()
    with net.capture() as cap:
        send(b"1")
    assert [f.lost for f in cap] == ["the cable is cut"] and heard() == []
    net.wire.mend()
    send(b"2")
    assert heard() == [b"2"]


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_drop(net, mail):
    """A rule is for what is sent while it stands: no more and no less, though nobody waits inside the `with`."""
    send, heard = mail
    for _ in range(20):
        with net.wire.rule(is_udp, drop=True) as rule:
            send(b"dropped")
        send(b"after")
        assert heard() == [b"after"] and rule.hits == 1
    with net.capture() as cap, net.wire.rule(is_udp, drop=True, times=2) as rule:
        send(b"1", b"2", b"3")
    assert [f.lost for f in cap] == ["dropped by a rule"] * 2 + [""] and rule.hits == 2 and heard() == [b"3"]


def test_delay_by_rule_lets_others_pass(net, mail):
    send, heard = mail
    with net.capture() as cap:
        with net.wire.rule(lambda f: f.payload == b"1", delay=0.05):
            send(b"1", b"2")
    assert heard() == [b"2", b"1"] and cap[0].arrivals[0].time - cap[0].time >= 50_000_000


def test_duplicate(net, mail):
    send, heard = mail
    with net.capture() as cap, net.wire.rule(is_udp, duplicate=2):
        send(b"x")
    assert heard() == [b"x"] * 3 and len(cap) == 1 and len(cap[0].arrivals) == 3


def test_rewrite(net, mail):
    from scapy.layers.inet import UDP
    from scapy.layers.l2 import Ether

    def shout(frame):
        packet = Ether(frame.raw)
        packet[UDP].payload = type(packet[UDP].payload)(frame.payload.upper())
        del packet[UDP].chksum
        return packet

    send, heard = mail
    with net.capture() as cap, net.wire.rule(is_udp, rewrite=shout):
        send(b"quiet")
    assert heard() == [b"QUIET"] and cap[0].payload == b"quiet" and cap[0].arrivals[0].raw.endswith(b"QUIET")
    with net.wire.rule(is_udp, rewrite=lambda f: f.raw[:-1] + b"!"):
        send(b"damaged")
    assert heard() == [] and net["server"].counters()["UdpInCsumErrors"] == 1


def test_reorder(net, mail):
    send, heard = mail
    with net.wire.rule(lambda f: f.payload == b"1", reorder=2):
        send(b"1", b"2", b"3", b"4")
    assert heard() == [b"2", b"3", b"1", b"4"]
    with net.capture() as cap, net.wire.rule(lambda f: f.payload == b"1", reorder=2):
        send(b"1")
    assert heard() == [b"1"] and cap[0].arrivals[0].time - cap[0].time >= 1e9, "nobody passes it: it goes on after a second"


def test_reordered_tcp_is_whole(net):
    client, server = net
    ours, theirs = connected(client, server)
    count, data = iter(range(10**9)), bytes(range(256)) * 400
    with net.capture() as cap, net.wire.rule(lambda f: f.payload_length and next(count) % 7 == 0, reorder=3):
        sending = in_thread(ours.sendall, data)
        assert same(read_all(theirs, len(data)), data)
        sending.join()
    assert not any(f.lost for f in cap)


def test_the_first_rule_that_matches_decides(net, mail):
    send, heard = mail
    with net.wire.rule(lambda f: f.payload == b"1", duplicate=1), net.wire.rule(is_udp, drop=True):
        send(b"1", b"2")
    assert heard() == [b"1", b"1"]


def test_a_new_rule_at_once_after_another(net, mail):
    """The end of the one must not end the other."""
    send, heard = mail
    for _ in range(100):
        net.wire.rule(lambda f: False, drop=True).remove()
        with net.wire.rule(is_udp, drop=True):
            send(b"x")
    assert heard() == []


def leave(frame):
    raise SystemExit


@pytest.mark.parametrize(
    "match, how, said",
    [
        (lambda f: f.nothing, {"drop": True}, "AttributeError"),
        (leave, {"drop": True}, "SystemExit"),
        (is_udp, {"rewrite": lambda f: None}, "expected rewrite to return the bytes of a frame, got None"),
        (is_udp, {"rewrite": lambda f: 5}, "expected rewrite to return the bytes of a frame, got 5"),
        (is_udp, {"rewrite": lambda f: bytes(1 << 18)}, "expected rewrite to return a frame of 14 to 65535 bytes, got 262144"),
        (is_udp, {"rewrite": lambda f: b""}, "expected rewrite to return a frame of 14 to 65535 bytes, got 0"),
    ],
)
def test_a_rule_that_fails(net, mail, match, how, said):
    send, heard = mail
    rule = net.wire.rule(match, **how)
    send(b"1", b"2")
    assert heard() == [b"1", b"2"], "the frames go on"
    with pytest.raises(LabError, match=f"the rule failed on a frame and was not applied any more: .*{said}"):
        rule.remove()
    send(b"3")
    assert heard() == [b"3"]


def test_a_rule_may_use_the_network(net, mail):
    send, heard = mail
    seen = []
    with net.wire.rule(lambda f: seen.append(net["client"].sockets()) or net.wire.held == 0, duplicate=1):
        send(b"x")
    assert heard() == [b"x", b"x"] and seen[0][0].protocol == "udp"


def test_a_rule_that_hangs_does_not_keep_the_network(any_net):
    net = any_net
    stuck, free = threading.Event(), threading.Event()
    net.wire.rule(lambda f: (stuck.set(), free.wait(20)), drop=True)
    with udp(net["client"]) as sender:
        sender.sendto(b"x", ("10.0.0.2", 9))
    assert stuck.wait(5)
    assert net["client"].counters(), "the lab process answers meanwhile"
    began = time.monotonic()
    net.close()
    free.set()
    assert time.monotonic() - began < 6


def test_bulk_through_a_rule(net):
    """More questions than the socket to the notebook holds: neither side may wait for the other for ever."""
    client, server = net
    ours, theirs = connected(client, server)
    data = bytes(3 << 20)
    with net.wire.rule(lambda f: True, rewrite=lambda f: f.raw):
        sending = in_thread(ours.sendall, data)
        assert same(read_all(theirs, len(data)), data)
        sending.join()


@pytest.mark.parametrize(
    "how, kind, said",
    [
        ({}, ValueError, "expected something to do"),
        ({"match": 5, "drop": True}, TypeError, "expected a function of a frame, such as lambda f: f.syn, got 5"),
        ({"delay": 3}, ValueError, "expected a delay from 0 to 2 seconds, got 3"),
        ({"delay": "long"}, ValueError, "expected a delay from 0 to 2 seconds, got 'long'"),
        ({"duplicate": -1}, ValueError, "expected duplicate from 0 to 1000 frames, got -1"),
        ({"reorder": 70_000}, ValueError, "expected reorder from 0 to 1000 frames, got 70000"),
        ({"rewrite": b"bytes"}, TypeError, "expected rewrite to be a function from a frame to bytes, got b'bytes'"),
        ({"drop": True, "times": 0}, ValueError, "expected times to be 1 or more, or None for always, got 0"),
    ],
)
def test_rules_that_cannot_be(any_net, how, kind, said):
    with pytest.raises(kind, match=said):
        any_net.wire.rule(**{"match": lambda f: True, **how})


# ── one frame at a time ──────────────────────────────────────────────────────────────────────────────────────────────────


def states(net):
    """The kernels' states of the connection: (client's, server's), "" where there is none."""
    return tuple(next((s.state for s in host.sockets() if s.state != "LISTEN" and s.protocol == "tcp"), "") for host in net)


def test_step_through_a_connection(net):
    client, server = net
    connected(client, server)  # so that ARP is done
    with server.listen(81) as listener:
        net.wire.hold()
        ours = client.connect(server, 81, wait=False)
        seen = lambda: next((s.state for s in client.sockets() if s.remote.endswith(":81")), "")
        far = lambda: next((s.state for s in server.sockets() if s.local.endswith(":81") and s.state != "LISTEN"), "")
        assert (net.wire.held, seen(), far()) == (1, "SYN_SENT", "")
        for flags, here, there in [
            (0x02, "SYN_SENT", "SYN_RECV"),
            (0x12, "ESTABLISHED", "SYN_RECV"),
            (0x10, "ESTABLISHED", "ESTABLISHED"),
        ]:
            frame = net.wire.step()
            assert (frame.flags, seen(), far()) == (flags, here, there)
        assert net.wire.held == 0
        theirs, _ = listener.accept()
        ours.sendall(b"data")
        assert [s.send_queue for s in client.sockets() if s.remote.endswith(":81")] == [4]
        frame = net.wire.step()
        assert frame.payload == b"data" and frame.sender == "client" and [a.receiver for a in frame.arrivals] == ["server"]
        assert theirs.recv(9) == b"data" and net.wire.step().flags == 0x10
        ours.close()
        assert (seen(), far()) == ("FIN_WAIT1", "ESTABLISHED")
        frame = net.wire.step()
        assert frame.fin and far() == "CLOSE_WAIT"
        assert net.wire.step().flags == 0x10 and seen() == "FIN_WAIT2"
        theirs.close()
        assert far() == "LAST_ACK"
        assert net.wire.step().fin and seen() == "TIME_WAIT" and far() == "LAST_ACK"
        assert net.wire.step().flags == 0x10 and (seen(), far()) == ("TIME_WAIT", "")
    assert net.wire.held == 0 and net.wire.release() == 0


def test_a_learner_who_reads_for_seven_seconds(net):
    """Kernels ask whether an ARP entry still holds, 5 s after its first use (arp(7)): no such frame may be in the way."""
    client, server = net
    with server.listen(80):
        net.wire.hold()
        waiting = client.connect(server, 80, wait=False)
        while net.wire.step().protocol == "ARP":
            pass  # the next one was the SYN: the server's answer is held
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 7, "a while", seconds=8)
        assert net.wire.held == 1 and net.wire.step().flags == 0x12
        waiting.close()


def test_step_waits_for_a_frame(net, mail):
    send, heard = mail
    net.wire.hold()
    later = threading.Timer(0.05, send, [b"late"])
    later.start()
    assert net.wire.step().payload == b"late"
    later.join()
    with pytest.raises(LabError, match="nothing on the wire: no frame came within 0.05 s, .* let a host send something first"):
        net.wire.step(timeout=0.05)
    with pytest.raises(ValueError, match="expected a timeout in seconds, 0 or more, got None"):
        net.wire.step(timeout=None)
    net.wire.release()
    with pytest.raises(LabError, match="expected a wire that holds its frames; call wire.hold.. first, then step"):
        net.wire.step()


def test_two_threads_step(net, mail):
    """One frame for two who wait: one gets it, the other hears that there was none."""
    send, heard = mail
    net.wire.hold()
    got = []

    def step():
        try:
            got.append(net.wire.step(timeout=0.3).payload)
        except LabError as e:
            got.append(str(e)[:19])

    threads = [in_thread(step), in_thread(step)]
    until(lambda: net.wire.held == 0, "the lab answers")
    send(b"one")
    for thread in threads:
        thread.join()
    assert got == [b"one", "nothing on the wire"] and net.wire.held == 0


def test_release(net, mail):
    send, heard = mail
    net.wire.hold()
    with net.capture() as cap:
        send(b"1", b"2", b"3")
        assert net.wire.held == 3 and net.wire.step().payload == b"1"
    assert [len(f.arrivals) for f in cap] == [1, 0, 0] and not any(f.lost for f in cap), "held frames are not lost"
    assert net.wire.release() == 2 and heard() == [b"1", b"2", b"3"]
    send(b"4")
    assert heard() == [b"4"]


def test_a_held_wire_holds_so_many(any_net):
    """As many as one message could not list; what comes then is lost, says so, and costs the lab no memory."""
    net = any_net
    net.wire.hold()
    with net.wire.socket() as wire, net.capture() as cap:
        for _ in range(HELD + 1_000):
            wire.send(b"\x02\0\0\0\0\x99" + bytes(54))
        assert net.wire.held == HELD
    assert Counter(f.lost for f in cap) == {"": HELD, "the wire holds 10,000 frames already": 1_000} and cap.missed == 0
    assert net.wire.release() == HELD


# ── scapy on the wire ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_scapy_asks_and_the_kernel_answers(net):
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.l2 import Ether

    client, server = net
    with net.wire.socket() as wire, net.capture() as cap:
        ping = Ether(src=client.mac, dst=server.mac) / IP(src=client.address, dst=server.address) / ICMP(id=7, seq=1) / b"hello"
        answer = wire.sr1(ping, timeout=3, verbose=0)
        assert answer[IP].src == "10.0.0.2" and answer[ICMP].type == 0 and bytes(answer[ICMP].payload) == b"hello"
        with pytest.raises(TypeError, match=r"expected Ether\(dst=…\)/… \(the wire carries frames\), got IP"):
            wire.send(IP())
    assert cap[0].sender == "wire" and [a.receiver for a in cap[0].arrivals] == ["server"]
    assert [f.icmp_type for f in cap if f.protocol == "ICMP"] == [8, 0]


def test_scapy_sniffs_every_frame(net):
    """All of a burst, though scapy reads about 7,000 packets a second and begins late."""
    from scapy.sendrecv import sniff

    client, server = net
    ours, theirs = connected(client, server)
    data = bytes(range(256)) * 4000
    with net.wire.socket() as wire, net.capture() as cap:
        sending = in_thread(ours.sendall, data)
        assert same(read_all(theirs, len(data)), data)
        sending.join()
        net.wire.settle()
        packets = sniff(opened_socket=wire, timeout=5, count=len(cap))
        assert same([bytes(p) for p in packets], [f.raw for f in cap])
    assert cap.missed == 0


# ── nothing is lost, nothing stands still ────────────────────────────────────────────────────────────────────────────────


def test_bulk_is_captured_whole(net):
    """8 MB: every byte can be read back from the capture, and the kernels' own counters agree with it."""
    client, server = net
    ours, theirs = connected(client, server)
    data = b"".join(i.to_bytes(4, "big") for i in range(2_000_000))
    counters = [host.counters() for host in net]
    ours.settimeout(60), theirs.settimeout(60)
    with net.capture() as cap:
        sending = in_thread(ours.sendall, data)
        assert same(read_all(theirs, len(data)), data)
        sending.join()
    moved = [
        {name: after[name] - before[name] for name in after} for before, after in zip(counters, [host.counters() for host in net])
    ]
    first = next(f for f in cap if f.sender == "client")
    parts = {(f.seq - first.seq) % 2**32: f.payload for f in cap if f.sender == "client" and f.payload_length}
    assert same(b"".join(parts[at] for at in sorted(parts)), data)
    assert cap.missed == 0 and not any(f.lost for f in cap)
    sent = [sum(f.sender == host.name for f in cap if f.protocol == "TCP") for host in net]
    assert [m["TcpOutSegs"] + m["TcpRetransSegs"] for m in moved] == sent, "what the kernels sent is what was captured"
    assert [m["TcpInSegs"] for m in moved] == sent[::-1], "and it arrived"
    assert [m["TcpExtTCPRcvQDrop"] for m in moved] == [0, 0] and [m["TcpInErrs"] for m in moved] == [0, 0]


def test_5000_round_trips_are_captured(net):
    client, server = net
    ours, theirs = connected(client, server)
    with net.capture() as cap:
        for number in range(5000):
            ours.sendall(number.to_bytes(4, "big") * 25)
            theirs.sendall(theirs.recv(100))
            assert ours.recv(100)[:4] == number.to_bytes(4, "big")
    assert same([f.sender for f in cap if f.payload_length], ["client", "server"] * 5000)
    assert {f.payload_length for f in cap} <= {0, 100} and cap.missed == 0


def test_a_whole_connection_reads_back(net):
    client, server = net
    with net.capture() as cap:
        ours, theirs = connected(client, server)
        ours.sendall(b"question" * 1000)
        read_all(theirs, 8000)
        theirs.sendall(b"answer")
        theirs.close()
        assert read_all(ours, 99) == b"answer"
        ours.close()
    assert stream(cap, "client") == b"question" * 1000 and stream(cap, "server") == b"answer"


COMPUTE = "import time\nend = time.monotonic() + 0.7\nwhile time.monotonic() < end: sum(range(1000))"


def test_a_busy_interpreter_does_not_stop_the_wire(net, capsys):
    """A wire that waited for this interpreter would take milliseconds for every round trip, or stand still for 0.7 s.

    Other programs of this machine are not what is tested: where they are in the way, the same is measured while another
    process computes just as much, and ours must not be far worse.
    """

    def figures(compute):
        took = round_trips_between_processes(*connected(*net), 0.6, compute)
        return len(took), took[len(took) // 2], took[len(took) * 99 // 100]

    ours = figures(lambda: exec(COMPUTE, {}))
    with capsys.disabled():
        print(f" [{net.link}: {ours[0]} round trips, median {ours[1] * 1e6:.0f} µs, p99 {ours[2] * 1e6:.0f} µs]", end="")
    assert ours[1] < 0.002
    tries = [ours[2]]
    while min(tries) >= 0.005 and len(tries) < 4:
        bound = 3 * figures(lambda: subprocess.run([sys.executable, "-c", COMPUTE], check=True))[2]
        if min(tries) < bound:
            return
        tries.append(figures(lambda: exec(COMPUTE, {}))[2])
    assert min(tries) < 0.005, f"p99 of {tries} s; with another process computing {bound / 3} s"
