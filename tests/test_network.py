"""Hosts, addresses, programs, routers, switches; and that every mistake gets an answer that helps."""

import errno
import json
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import not_run
from traffic import DATAGRAM, connected, udp, until

import labs
from labs import LabError

pytestmark = pytest.mark.usefixtures("checked_by_tshark", "no_leaks")
ROOT = str(Path(labs.__file__).resolve().parents[1])


# ── two hosts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_addresses(net, link):
    client, server = net
    assert [(h.name, h.address, h.mac) for h in net] == [
        ("client", "10.0.0.1", "02:00:00:00:00:01"),
        ("server", "10.0.0.2", "02:00:00:00:00:02"),
    ]
    assert net.link == link and net["server"] is server and len(net) == 2 and net.hosts == (client, server)
    assert "02:00:00:00:00:02" not in client.read("/proc/net/arp")  # the hosts have not met


def test_the_handshake(net):
    client, server = net
    with net.capture() as cap:
        ours, theirs = connected(client, server)
    assert [f.protocol for f in cap] == ["ARP", "ARP", "TCP", "TCP", "TCP"]
    assert [(f.sender, f.flags) for f in cap[2:]] == [("client", 0x02), ("server", 0x12), ("client", 0x10)]
    assert [f.mss for f in cap[2:]] == [1460, 1460, None]
    assert [[a.receiver for a in f.arrivals] for f in cap] == [["server"], ["client"], ["server"], ["client"], ["server"]]
    assert cap.missed == 0 and cap.origin == f"live, {net.link}" and cap.hosts == ("client", "server")
    assert [s.state for s in client.sockets()] == ["ESTABLISHED"]


def test_nothing_outside_can_connect(net, network):
    with net.capture() as cap, net["server"].listen(80) as listener:
        with socket.socket() as outside:
            assert outside.connect_ex(("127.0.0.1", 80)) != 0, "the machine's own port 80 must not be ours"
        with socket.socket() as outside:  # whatever 10.0.0.2 may be on the machine's own network, it is not this host
            outside.settimeout(0.2)
            outside.connect_ex(("10.0.0.2", 80))
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
        other = network("client", "server")
        with pytest.raises(ConnectionRefusedError, match="10.0.0.2 answered with RST: nothing listens on its port 80"):
            other["client"].connect("10.0.0.2", 80)
    assert len(cap) == 0


def test_ipv6(network):
    net = network("client", "server", ipv6=True)
    client, server = net
    assert server.cards[0].addresses == ("10.0.0.2", "fd00::2")
    with net.capture() as cap, server.listen(80, address="::") as listener:
        with client.connect("fd00::2", 80) as sock, listener.accept()[0] as far:
            sock.sendall(b"six")
            assert far.recv(9) == b"six"
    cap = cap.where(
        lambda f: f.icmp_type != 143
    )  # a late multicast listener report (RFC 9777), which the kernels send when they begin
    assert {f.protocol for f in cap} == {"ICMPv6", "TCP"} and {f.src for f in cap} == {"fd00::1", "fd00::2"}
    assert {cap.names[f.src] for f in cap} == {"client", "server"}


def test_a_quiet_network_is_silent(net):
    """No IPv6 router solicitations, no multicast reports: a learner's first capture holds what the learner did."""
    with net.capture() as cap:
        net.wire.settle()
    assert [repr(f) for f in cap] == []


def test_mtu_600_and_fragments(network):
    net = network("client", "server", mtu=600)
    client, server = net
    with net.capture() as cap, udp(server, 9) as receiver, udp(client) as sender:
        sender.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER = IP_PMTUDISC_DONT: may be fragmented
        sender.sendto(bytes(1400), ("10.0.0.2", 9))
        assert len(receiver.recv(2000)) == 1400
        ours, theirs = connected(client, server)
        ours.sendall(bytes(5000))
        theirs.close(), ours.close()
    assert [f.fragment for f in cap if f.dport == 9 or f.fragment] == [0, 576, 1152]
    assert {f.mss for f in cap if f.syn} == {560} and max(map(len, cap)) == 614


def test_counters_and_settings(net):
    client, server = net
    before = server.counters()
    ours, theirs = connected(client, server)
    assert server.counters()["TcpPassiveOpens"] - before["TcpPassiveOpens"] == 1
    assert server.sysctl("net.ipv4.ip_forward") == "0"
    if os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK) or os.geteuid():
        assert server.sysctl("net.ipv4.tcp_syncookies", 0) == "0" and client.sysctl("net.ipv4.tcp_syncookies") != "0"


# ── more hosts, and routers ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_switch_learns(network):
    net = network("a", "b", "c")
    a, b, c = net
    with net.capture() as cap, udp(b, 9) as listener, udp(a) as sender:
        sender.sendto(b"x", ("10.0.0.2", 9))
        listener.recv(9)
    request, reply, datagram = cap
    assert [arrival.receiver for arrival in request.arrivals] == ["b", "c"], "ARP asks everyone"
    assert [arrival.receiver for arrival in reply.arrivals] == ["a"] and [arrival.receiver for arrival in datagram.arrivals] == [
        "b"
    ]
    received = [c.read("/proc/net/dev").split("eth0:")[1].split()[1] for _ in range(1)]
    assert received == ["1"], "the third host's own count: the broadcast, and nothing else"


def test_routers_forward(network):
    net = network("client", labs.router("r1"), labs.router("r2"), "server")
    client, r1, r2, server = net
    assert server.address == "10.0.2.1" and [card.addresses for card in r1.cards] == [("10.0.0.254",), ("10.0.1.254",)]
    with net.capture() as cap:
        ours, theirs = connected(client, server)
    syn = [f for f in cap if f.syn and not f.is_ack]
    assert [(f.wire, f.ttl, f.sender) for f in syn] == [(0, 64, "client"), (1, 63, "r1"), (2, 62, "r2")]
    assert [f.src_mac for f in syn] == [client.mac, r1.cards[1].mac, r2.cards[1].mac]
    with pytest.raises(LabError, match=r"this network has 3 wires, say which: net.wires\[0\] is wire 0: client – r1"):
        assert net.wire


def test_routers_answer_for_what_they_cannot_do(network):
    net = network("client", labs.router("r1"), "server", mtu=(1500, 600))
    client, r1, server = net
    with net.capture() as cap, udp(client) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        sender.sendto(b"dies at the router", ("10.0.1.1", 9))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
        sender.connect(("10.0.1.1", 9))
        until(
            lambda: sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or sender.send(b"nobody listens") == 0, "an ICMP error"
        )
        with udp(client) as big:
            big.setsockopt(socket.IPPROTO_IP, 10, 3)  # IP_PMTUDISC_PROBE: don't fragment, ignore what is known of the path
            big.sendto(bytes(1400), ("10.0.1.1", 9))
        net.wires[0].settle()
    said = {(f.icmp_type, f.icmp_code): f for f in cap if f.protocol == "ICMP" and f.wire == 0}
    assert said[11, 0].src == "10.0.0.254" and said[11, 0].sender == "r1", "time exceeded"
    assert said[3, 3].src == "10.0.1.1" and said[3, 3].sender == "r1", "port unreachable, from the far host"
    assert said[3, 4].src == "10.0.0.254" and int.from_bytes(said[3, 4].raw[40:42], "big") == 600, (
        "fragmentation needed, with the MTU"
    )


# ── programs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_program(net):
    done = net["client"].run(["sh", "-c", "cat /proc/net/dev; echo; echo error >&2; exit 3"])
    assert done.wait() == 3 and "eth0" in done.output() and done.output().endswith("\nerror\n") and done.pid > 1


def test_kill_and_timeout(net):
    slow = net["client"].run([sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"])
    until(slow.output, "its first line")
    with pytest.raises(TimeoutError, match=r"still runs after 0.05 s; its output so far: 'up\\n'"):
        slow.wait(timeout=0.05)
    slow.kill()
    assert slow.wait() == -9
    slow.kill()  # twice is fine


UP = "import socket, time; s = socket.create_server(('', 80)); print('up', flush=True); time.sleep(60)"


def test_a_program_that_takes_its_time(net):
    client, server = net
    assert not server.listens(80) and server.programs == []
    slow = server.run([sys.executable, "-c", UP])
    assert slow.until(lambda: server.listens(80)) is True and server.programs == [slow] and slow.running
    assert client.programs == [] and not client.listens(80)
    with pytest.raises(LabError, match=r"^python\S* was not ready within 0.05 s; it said: up$"):
        slow.until(lambda: "", timeout=0.05)
    slow.kill()
    with pytest.raises(LabError, match=r"^python\S* ended with status -9 before it was ready; it said: up$"):
        slow.until(lambda: False)
    assert server.programs == [] and not slow.running


def test_programs_that_cannot_start(net, tmp_path):
    client, plain = net["client"], tmp_path / "plain"
    plain.write_text("not a program")
    for argv, folder, expected in [
        (["no-such-program"], None, "expected a program that is installed here, got 'no-such-program': it was not found"),
        ([str(plain)], None, "expected a program that can be started, got '.*plain': Permission denied"),
        (["true"], "/no/such/folder", "expected a folder to start 'true' in, got '/no/such/folder': there is none"),
    ]:
        with pytest.raises(LabError, match=expected):
            client.run(argv, folder=folder)
    with pytest.raises(LabError, match=r"expected a request of at most 131072 bytes, got 14\d{4}: give fewer"):
        client.run(["true"], env={"X": "x" * 140_000})
    with pytest.raises(TypeError, match=r"expected a list such as \['ping', .*got 'ping'"):
        client.run("ping")
    assert client.run(["true"]).wait() == 0


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(0), os.close(1), os.close(2)
        time.sleep(60)
    os._exit(0)
os.wait()
"""


def test_daemons_end_with_the_network(net):
    assert net["server"].run([sys.executable, "-c", DAEMON]).wait() == 0  # what it left behind runs; no_leaks looks for it
    net.close()


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "row, how, expected",
    [
        (("client",), {}, "expected two hosts or more, got 1"),
        (("a", "a"), {}, "expected names that differ, got a, a"),
        (("a", "b c"), {}, "expected a host name such as 'client' or labs.router.*, got 'b c'"),
        (("a", 7), {}, "got 7"),
        ((labs.router("r"), "b"), {}, "expected a host at each end of the row"),
        (("a", "b"), {"mtu": 67}, "expected an MTU from 68 to 65000 bytes, one number or one for each of 1 wires, got 67"),
        (("a", "b"), {"mtu": (1500, 600)}, r"one for each of 1 wires, got \(1500, 600\)"),
        (("a", "b"), {"mtu": 600, "ipv6": True}, "expected an MTU of 1280 bytes or more with ipv6=True .*, got 600"),
        (("a", "b"), {"delay": -1}, "expected a delay from 0 to 10 seconds one way, got -1"),
        (("a", "b"), {"delay": float("nan")}, "expected a delay from 0 to 10 seconds one way, got nan"),
        (("a", "b"), {"loss": 2}, "expected a loss from 0 .none. to 1 .every frame., got 2"),
        (("a", "b"), {"rate": 1}, "expected a rate of 1000 bits a second or more, or None, got 1"),
        (("a", "b"), {"link": "pigeon"}, "expected link='tap', 'veth' or 'relay', got 'pigeon'"),
        (("a", "b"), {"log_limit": "much"}, "expected log_limit in bytes, got 'much'"),
    ],
)
def test_rows_that_cannot_be(row, how, expected):
    with pytest.raises(ValueError, match=expected):
        labs.network(*row, **{"link": "tap", **how})


def test_hosts_ports_and_addresses(net, network):
    client, server = net
    for call, kind, expected in [
        (lambda: net["nobody"], LabError, "expected one of client, server, got 'nobody': no such host"),
        (lambda: server.listen(70_000), ValueError, "expected a port from 0 to 65535, got 70000"),
        (lambda: server.listen(80, address="10.9.9.9"), OSError, "server has no address 10.9.9.9; it has 10.0.0.2, 127.0.0.1"),
        (
            lambda: client.connect("nobody", 80),
            ValueError,
            r"expected a host of this network \(client, server\) or an address .*, got 'nobody'",
        ),
        (lambda: client.connect(7, 80), TypeError, "expected a Host or an address such as '10.0.0.2', got 7"),
        (lambda: client.connect(network("a", "b")["b"], 80), ValueError, "expected a host of client's network, got b"),
        (lambda: client.sysctl("kernel.hostname"), ValueError, "expected a setting of this host's network such as"),
        (lambda: client.sysctl("net.ipv4.nothing"), LabError, "this kernel has no setting 'net.ipv4.nothing' for a host"),
        (
            lambda: client.sysctl("net.ipv4.ip_forward", "maybe"),
            LabError,
            "the kernel did not take net.ipv4.ip_forward = maybe: ",
        ),
    ]:
        with pytest.raises(kind, match=expected):
            call()
    with server.listen(80), pytest.raises(OSError, match="port 80 of server is in use; close the socket that listens there"):
        server.listen(80)
    net.wire.cut()
    with pytest.raises(TimeoutError, match="10.0.0.2 port 80 did not answer client within 0.1 s: the wire is cut, until mend"):
        client.connect(server, 80, timeout=0.1)


def test_a_closed_network_says_so(net):
    client, wire, program = net["client"], net.wire, net["client"].run(["sleep", "60"])
    rule, socket_before = wire.rule(lambda f: False, drop=True), client.socket(type=DATAGRAM)
    capture = net.capture()
    net.close(), net.close()
    assert net.closed
    rule.remove(), socket_before.close()
    for call in [
        client.socket, client.sockets, client.counters, wire.hold, wire.step, wire.release, wire.cut, wire.mend, wire.socket, wire.settle,
        lambda: client.listen(80), lambda: client.connect("10.0.0.2", 80), lambda: client.read("/proc/net/arp"), lambda: wire.held,
        lambda: client.run(["true"]), lambda: client.sysctl("net.ipv4.ip_forward"), lambda: setattr(wire, "delay", 1), program.wait,
        program.kill, lambda: wire.rule(lambda f: True, drop=True), capture.__enter__,
    ]:  # fmt: skip
        with pytest.raises(LabError, match="closed.*make another one with labs.network|expected a wire that holds"):
            call()


def test_a_forced_link_that_cannot_be(monkeypatch):
    from labs.network import links

    monkeypatch.setattr(links, "why_not", lambda link: "No such file or directory: /dev/net/tun")
    monkeypatch.setenv("LABS_LINK", "tap")
    with pytest.raises(LabError, match="LABS_LINK=tap was asked for, but this machine cannot: .*/dev/net/tun; labs.doctor"):
        labs.network("a", "b")
    monkeypatch.setenv("LABS_LINK", "pigeon")
    with pytest.raises(LabError, match="expected LABS_LINK to be one of tap, veth, relay, recording, got 'pigeon'"):
        labs.network("a", "b")


def test_a_link_that_failed_for_a_moment_is_tried_again(monkeypatch):
    """A machine that was too busy, or out of descriptors, gets its link back; what cannot be is tried once."""
    from labs.network import links

    link = links.Namespaces("tap", "", "", "")
    tries = []
    for number, lasts in ((0, False), (errno.EMFILE, False), (errno.EPERM, True)):

        def fail(plan, number=number):
            tries.append(number)
            raise OSError(number, "so it is")

        monkeypatch.setattr(link, "make", fail)
        assert link.why_not() == link.why_not() == "so it is" and tries.count(number) == (1 if lasts else 2)
    monkeypatch.setattr(link, "tried", None)
    monkeypatch.setattr(link, "make", lambda plan: [SimpleNamespace(close=lambda: None)])
    assert link.why_not() == "" == link.tried
    monkeypatch.delattr(link, "make")
    assert link.why_not() == ""


def test_an_interpreter_that_cannot_start(monkeypatch, link):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(LabError, match=f"cannot make a network on {link}: .*/no/such/python"):
        labs.network("a", "b", link=link)


# ── other surroundings ───────────────────────────────────────────────────────────────────────────────────────────────────

SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
import json, labs
out = {"capabilities": next(line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff"))}
with labs.network("client", labs.router("r1"), "server", link=sys.argv[2]) as net:
    client, r1, server = net
    with net.capture() as cap, server.listen(80) as listener, client.connect(server, 80) as sock:
        listener.accept()[0].close()
    out |= {"syn": [[f.wire, f.ttl, f.mss] for f in cap if f.syn and not f.is_ack], "missed": cap.missed}
print(json.dumps(out))
"""


def run_script(link, before=(), interpreter=sys.executable, **how):
    done = subprocess.run([*before, interpreter, "-c", SCRIPT, ROOT, link], capture_output=True, text=True, timeout=20, **how)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_ordinary_user_can(link):
    """No root, ever needed: as a real other user, without capabilities."""
    if os.geteuid():
        got = run_script(link)
    else:
        users = [u for u in pwd.getpwall() if 1000 <= u.pw_uid < 60_000 and u.pw_name != "nobody"]
        if not users:
            not_run("the lab as an ordinary user", "we are root, and this machine has no other user")
        as_user = {"user": users[0].pw_uid, "group": users[0].pw_gid, "extra_groups": [], "cwd": "/"}
        can = lambda code, path: subprocess.run([path, "-c", code], **as_user, capture_output=True).returncode == 0
        readable = f"import sys; sys.path.insert(0, {ROOT!r}); import labs.captures.capture; assert sys.version_info >= (3, 11)"
        fit = [path for path in (sys.executable, "/usr/bin/python3") if os.path.exists(path) and _quietly(can, readable, path)]
        if not fit:
            not_run("the lab as an ordinary user", f"{users[0].pw_name} can read no Python ≥ 3.11 together with {ROOT}")
        got = run_script(link, interpreter=fit[0], **as_user)
    assert int(got["capabilities"], 16) == 0
    assert got["syn"] == [[0, 64, 1460], [1, 63, 1460]] and got["missed"] == 0


def _quietly(can, *what):
    try:
        return can(*what)
    except OSError:
        return False


def test_odd_surroundings(link, tmp_path):
    """Another locale, no environment, a folder whose module names hide the standard library's."""
    for name in ("struct", "socket", "select", "heapq"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not this one')")
    bare = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    assert run_script(link, env=bare)["missed"] == 0
    assert (
        run_script(
            link, env={**bare, "PYTHONPATH": "/no/such", "LC_ALL": "xx_YY", "LANG": "tr_TR.ISO-8859-9"}, cwd=tmp_path.parent
        )["missed"]
        == 0
    )


def test_read_only_proc_sys(link):
    """As in many containers: forwarding is then switched on by netlink."""
    if os.geteuid():
        not_run("read-only /proc/sys", "only root can remount it, in a mount namespace of the test's own")
    read_only = [
        "unshare",
        "-m",
        "sh",
        "-c",
        'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"',
        "sh",
    ]
    if subprocess.run([*read_only, "true"], capture_output=True).returncode:
        not_run("read-only /proc/sys", "this machine does not let root remount it")
    assert run_script(link, before=read_only)["syn"] == [[0, 64, 1460], [1, 63, 1460]]


FLOOD = """
import socket, time
sock, end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), time.monotonic() + 1
while time.monotonic() < end:
    for _ in range(1000):
        sock.sendto(bytes(100), ("10.0.0.2", 9))
"""


def test_a_flood_leaves_a_network_that_works():
    """More frames than the ring of a veth can keep: what is lost is counted, and afterwards all is as before."""
    from labs.network.links import why_not

    if why := why_not("veth"):
        not_run("link veth", why)
    with labs.network("client", "server", link="veth") as net:
        client, server = net
        client.run([sys.executable, "-c", FLOOD]).wait(20)
        with server.listen(80), client.connect(server, 80), net.capture() as after:
            net.wire.settle()
    assert not after.missed
