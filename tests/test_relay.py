"""The link "relay": the programs' bytes are real, what is drawn round them is right, and what cannot be had is said."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from aiohttp import web

import labs
from labs import LabError
from labs.lessons.relay_capture import Misfit, overlay
from labs.network.links import why_not
from labs.network.relay import NotOnThisLink

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.usefixtures("checked_by_tshark", "no_leaks")


@pytest.fixture
def net():
    with labs.network("client", "server", link="relay") as made:
        yield made


def talk(net, question=b"five!", answer=b"and an answer"):
    """One connection, one question, one answer, both sides close."""
    client, server = net
    with server.listen(80) as listener, net.capture() as cap:
        sock = client.connect(server, 80)
        connection, _ = listener.accept()
        sock.sendall(question)
        read(connection, len(question))
        net.wire.settle()
        connection.sendall(answer)
        read(sock, len(answer))
        net.wire.settle()
        sock.close()
        assert connection.recv(1) == b""
        net.wire.settle()
        connection.close()
    return cap


def read(sock, count):
    got = b""
    while len(got) < count:
        got += sock.recv(65536)
    return got


# ── what is drawn ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_reads_as_on_a_real_wire(net):
    """The oracle is a kernel: the same program on a real link gives the same ladder, word for word, and the same headers."""
    if why_not("tap"):
        pytest.skip(f"NOT RUN HERE  link tap: {why_not('tap')}")
    with labs.network("client", "server", link="tap") as real:
        wanted = talk(real)
    cap = talk(net)
    assert cap.ladder().text == wanted.ladder().text
    assert [frame.layers().text for frame in cap][:7] == [frame.layers().text for frame in wanted][:7]
    assert [len(frame) for frame in cap] == [len(frame) for frame in wanted]
    assert cap.origin == "layers 5 to 7 live, below redrawn" and wanted.origin == "live, tap"


def test_long_messages_are_segments(net):
    cap = talk(net, question=bytes(10_000))
    sizes = [f.payload_length for f in cap if f.sender == "client" and f.payload_length]
    assert max(sizes) <= 1448 and sum(sizes) == 10_000
    (stream,) = labs.streams(cap)
    assert stream.sent("client") == bytes(10_000) and stream.sent("server") == b"and an answer" and not stream.gaps("client")


def test_a_refused_connection(net):
    client, server = net
    with net.capture() as cap, pytest.raises(ConnectionRefusedError, match="10.0.0.2 answered with RST: nothing listens on its"):
        client.connect(server, 81)
    assert [frame.rst for frame in cap] == [False, False, False, True] and "SYN that is refused" in cap.ladder().sentence


def test_captures_are_slices(net):
    client, server = net
    with server.listen(80) as listener:
        sock, connection = client.connect(server, 80), listener.accept()[0]
        with net.capture() as cap:
            sock.sendall(b"one")
            assert cap.wait(lambda f: f.payload_length == 3).payload == b"one"
        with net.capture() as later:
            connection.sendall(b"two")
            assert sock.recv(9) == b"two"
        assert [f.payload for f in cap if f.payload_length] == [b"one"] and [f.payload for f in later][0] == b"two"
        with pytest.raises(LabError, match="no frame came within 0.1 s"), net.capture() as cap:
            cap.wait(lambda f: True, timeout=0.1)
        sock.close(), connection.close()


# ── what programs see ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names(net):
    client, server = net
    with server.listen(80) as listener:
        sock = client.connect("server", 80)
        connection, peer = listener.accept()
        assert listener.getsockname() == ("0.0.0.0", 80) and sock.getpeername() == ("10.0.0.2", 80)
        assert peer == connection.getpeername() == sock.getsockname() and peer[0] == "10.0.0.1"
        rows = {(row.state, row.local.rpartition(":")[0]) for row in server.sockets()}
        assert rows == {("LISTEN", "0.0.0.0"), ("ESTABLISHED", "10.0.0.2")}
        sock.close()
        net.wire.settle()
        assert [row.state for row in server.sockets()] == ["LISTEN", "CLOSE_WAIT"]
        connection.close()


def test_http_server_and_client(net):
    client, server = net

    async def hello(request):
        return web.Response(text="hello " + await request.text())

    app = web.Application()
    app.add_routes([web.post("/", hello)])
    labs.serve(app, on=server)
    with client.http() as http, net.capture() as cap:
        assert http.post("http://server/", content="you").text == "hello you"
    assert b"POST / HTTP/1.1" in labs.streams(cap)[0].sent("client")
    labs.serve(app, on=server)  # the cell runs again
    with client.http() as http:
        assert http.post("http://server/", content="again").text == "hello again"
        with pytest.raises(httpx.ConnectError, match="nothing listens on its port 81"):
            http.get("http://server:81/")


def test_many_connections_at_once(net):
    client, server = net
    with server.listen(80) as listener:
        pairs = [(client.connect(server, 80), listener.accept()[0]) for _ in range(50)]
        for number, (sock, connection) in enumerate(pairs):
            sock.sendall(b"%d" % number)
            assert connection.recv(9) == b"%d" % number
        for pair in pairs:
            for one in pair:
                one.close()


def test_a_slow_reader_holds_the_sender_up(net):
    """The relay must not take in what nobody reads: then send() would never block, as it does on a real connection."""
    client, server = net
    with server.listen(80) as listener:
        sock, connection = client.connect(server, 80), listener.accept()[0]
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.sendall(bytes(64 << 20))
        sock.close(), connection.close()


def test_delay(net):
    client, server = net
    net.wire.delay = 0.05
    with server.listen(80) as listener:
        began = time.monotonic()
        sock = client.connect(server, 80)
        assert time.monotonic() - began >= 0.1, "a handshake takes a round trip"
        connection, _ = listener.accept()
        began = time.monotonic()
        sock.sendall(b"x")
        assert connection.recv(1) == b"x" and time.monotonic() - began >= 0.05
        sock.close(), connection.close()


# ── what it cannot do ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_needs_a_wire_or_a_kernel_says_so(net):
    client, server = net
    for ask in (
        net.wire.hold, net.wire.cut, net.wire.socket, server.counters, client.socket,
        lambda: net.wire.rule(lambda f: True, drop=True), lambda: server.sysctl("net.ipv4.ip_forward"),
        lambda: server.run(["true"]), lambda: setattr(net.wire, "loss", 0.1), lambda: server.read("/proc/net/arp"),
        lambda: labs.network("a", labs.router("r"), "b", link="relay"), lambda: labs.network("a", "b", link="relay", loss=0.1),
        lambda: labs.network("a", "b", link="relay", ipv6=True), lambda: client.connect("10.0.0.9", 80),
    ):  # fmt: skip
        with pytest.raises(NotOnThisLink, match='the link "relay" cannot offer .*; see labs.doctor'):
            ask()


def test_bad_input(net):
    client, server = net
    with server.listen(80), pytest.raises(OSError, match="port 80 of server is in use; close the socket that listens there"):
        server.listen(80)
    server.listen(80).close()  # free again
    with pytest.raises(ValueError, match="expected a port from 0 to 65535, got 70000"):
        client.connect(server, 70_000)
    with pytest.raises(ValueError, match="expected a host of this network"):
        client.connect("elsewhere", 80)
    net.close()
    with pytest.raises(LabError, match="closed"):
        client.connect(server, 80)
    with pytest.raises(LabError, match="closed"), net.capture():
        pass


def test_nothing_but_portable_modules(tmp_path):
    """As on macOS and Windows: without the modules and calls that Linux, or Unix, has alone."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, select, signal, socket, sys\n"
        "for name in ('fcntl', 'resource', 'termios', 'pwd', 'grp', 'pty', 'tty', 'syslog', 'crypt'):\n"
        "    sys.modules[name] = None\n"
        "for place, names in ((os, 'fork memfd_create setns unshare register_at_fork pidfd_open getuid geteuid'),\n"
        "                     (select, 'epoll poll kqueue'), (socket, 'AF_PACKET AF_NETLINK send_fds recv_fds')):\n"
        "    for name in names.split():\n"
        "        if hasattr(place, name): delattr(place, name)\n"
        "import labs\n"
        "from aiohttp import web\n"
        "async def hello(request): return web.Response(text='hello')\n"
        "app = web.Application(); app.add_routes([web.get('/', hello)])\n"
        "with labs.network('client', 'server') as net:\n"
        "    labs.serve(app, on=net['server'])\n"
        "    with net.capture() as cap, net['client'].http() as http:\n"
        "        for _ in range(2): print(http.get('http://server/').text)\n"
        "print(net.link, len(cap) > 5, cap.ladder().sentence)\n"
    )
    done = subprocess.run([sys.executable, program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello\nhello\nrelay True"), done.stdout


# ── a recorded capture with live bytes ───────────────────────────────────────────────────────────────────────────────────


def test_overlay_takes_the_live_bytes(net):
    talk(net)  # ARP is done with
    recorded, live = talk(net, b"older", b"an older answer"), talk(net, b"newer!", b"now")
    made = overlay(recorded, live)
    (stream,) = labs.streams(made)
    assert (stream.sent("client"), stream.sent("server")) == (b"newer!", b"now") and not stream.gaps("client")
    assert [f.time for f in made] == [f.time for f in recorded] and [f.sender for f in made] == [f.sender for f in recorded]
    for frame in made:  # lengths have changed, and every checksum fits
        assert "wrong" not in frame.layers().text
    assert made.ladder().text == live.ladder().text


def test_overlay_refuses_another_conversation(net):
    recorded = talk(net)
    with pytest.raises(Misfit, match="other connections"):
        overlay(recorded, recorded[:0])
    with pytest.raises(Misfit, match="another order of turns"):
        overlay(recorded, recorded.where(lambda f: f.sender == "client"))
    with pytest.raises(Misfit, match="another length"):
        overlay(recorded, talk(net, bytes(3000)))


def test_a_capture_that_runs_does_not_change_what_it_has_shown(net):
    client, server = net
    with server.listen(80) as listener, net.capture() as cap, client.connect(server, 80) as caller, listener.accept()[0]:
        caller.sendall(b"once")
        shown = [frame.raw for frame in cap]
        assert shown == [frame.raw for frame in cap]
