"""The link "relay": the programs' bytes are real, what is drawn round them is right, and what cannot be had is said.

The oracle is a kernel: what a program sees, and the ladder of it, is to be as on the link "tap", word for word.
"""

import contextlib
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from conftest import not_run
from traffic import connected, in_thread, read_all, same, udp, until

import labs
from labs import LabError
from labs.lessons.attempt import Misfit, overlay
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
        wait_until_acknowledged(cap)
        connection.close()
    return cap


def wait_until_acknowledged(cap):
    """The last FIN: a kernel waits 40 ms for something on which that may ride; what comes in time depends on the machine."""
    fin = [frame for frame in cap if frame.fin][-1]
    ports, number = (fin.dport, fin.sport), (fin.seq + fin.payload_length + 1) % 2**32
    cap.wait(lambda f: (f.sport, f.dport) == ports and f.is_ack and f.ack == number)


def read(sock, count):
    got = b""
    while len(got) < count:
        got += sock.recv(65536)
    return got


# ── what is drawn ────────────────────────────────────────────────────────────────────────────────────────────────────────


def on_both(program, **how):
    """[(what the program returned, its capture), the same on a real wire]; program(net) returns (anything, capture)."""
    if why := why_not("tap"):
        not_run("link tap", why)
    both = []
    for link in ("relay", "tap"):
        with labs.network("client", "server", link=link, **how) as net:
            both.append(program(net))
    return both


def test_it_reads_as_on_a_real_wire():
    (_, cap), (_, wanted) = on_both(lambda net: (None, talk(net)))
    assert cap.ladder().text == wanted.ladder().text
    assert [frame.layers().text for frame in cap][:7] == [frame.layers().text for frame in wanted][:7]
    assert [len(frame) for frame in cap] == [len(frame) for frame in wanted]
    assert cap.origin == "layers 5 to 7 live, below redrawn" and wanted.origin == "live, tap"


def error_of(call):
    """What a call returns, or the name of what it raises."""
    try:
        return call()
    except OSError as e:
        return type(e).__name__


ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


def endings(net):
    """Connections that end in five ways; what each program heard."""
    client, server = net
    heard = []
    with server.listen(80) as listener, net.capture() as cap:

        def pair():
            ours = client.connect(server, 80)
            return ours, listener.accept()[0]

        ours, theirs = pair()  # one side aborts
        ours.sendall(b"hi")
        theirs.recv(9)
        net.wire.settle()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        ours.close()
        heard.append(error_of(lambda: theirs.recv(1)))
        theirs.close()
        ours, theirs = pair()  # one side closes without reading what came
        ours.sendall(b"hi")
        net.wire.settle()
        theirs.close()
        heard.append(error_of(lambda: ours.recv(1)))
        ours.close()
        ours, theirs = pair()  # a question that ends, and an answer after it, later than its FIN is acknowledged
        ours.sendall(b"question")
        theirs.recv(9)
        net.wire.settle()
        ours.shutdown(socket.SHUT_WR)
        heard.append(theirs.recv(1))
        wait_until_acknowledged(cap)
        theirs.sendall(b"answer")
        heard.append(ours.recv(9))
        net.wire.settle()
        theirs.close()
        heard.append(ours.recv(1))
        ours.close()
        net.wire.settle()
        ours, theirs = pair()  # words for a program that has closed
        theirs.close()
        heard.append(ours.recv(1))
        wait_until_acknowledged(cap)
        ours.sendall(b"x")
        net.wire.settle()
        heard.append(error_of(lambda: ours.sendall(b"y")))
        ours.close()
    return heard, cap


@pytest.mark.parametrize("delay", (0.0, 0.03))
def test_an_end_is_an_end_and_a_reset_a_reset(delay):
    (heard, cap), (wanted, real) = on_both(endings, delay=delay)
    assert heard == wanted == ["ConnectionResetError"] * 2 + [b"", b"answer", b"", b"", "BrokenPipeError"]
    assert cap.ladder().text == real.ladder().text


def test_arrivals_are_as_late_as_the_wire_is_long(net):
    net.wire.delay = 0.05
    with net.capture() as cap:
        ours, theirs = connected(*net)
        ours.sendall(b"x")
        theirs.recv(1)
    sent = {name: next(f for f in cap if f.protocol == "TCP" and test(f)) for name, test in (
        ("SYN", lambda f: f.syn), ("SYN, ACK", lambda f: f.syn and f.is_ack), ("data", lambda f: f.payload_length),
        ("ACK of it", lambda f: f.sender == "server" and not f.syn),
    )}  # fmt: skip
    for first, then in (("SYN", "SYN, ACK"), ("data", "ACK of it")):
        assert 0.05 <= (sent[then].time - sent[first].time) / 1e9
        assert sent[first].arrivals[0].time - sent[first].time == 50_000_000
    assert [f.time for f in cap] == sorted(f.time for f in cap)
    ours.close(), theirs.close()


# ── UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def questions(net):
    """Datagrams that arrive, datagrams for nobody, and what connected and other sockets hear of it."""
    client, server = net
    heard = []
    with net.capture() as cap, udp(client) as asks, udp(server, 7000) as answers, client.socket(type=socket.SOCK_DGRAM) as tied:
        heard.append(tied.getsockname())
        asks.sendto(b"a question", ("10.0.0.2", 7000))
        data, caller = answers.recvfrom(99)
        heard += [data, caller[0], caller[1] == asks.getsockname()[1]]
        net.wire.settle()
        answers.sendto(b"an answer", caller)
        heard += asks.recvfrom(4)  # the rest of it is gone
        net.wire.settle()
        asks.sendto(b"", ("10.0.0.2", 7000))
        heard.append(answers.recv(9))
        net.wire.settle()
        asks.sendto(b"for nobody", ("10.0.0.2", 7001))
        net.wire.settle()
        heard.append(asks.sendto(b"and it is not told", ("10.0.0.2", 7000)))
        net.wire.settle()
        tied.connect(("10.0.0.2", 7002))
        heard += [tied.getsockname()[0], tied.getpeername()]
        tied.send(b"x" * 1000)
        net.wire.settle()
        heard.append(error_of(lambda: tied.recv(9)))
        tied.connect(("10.0.0.2", 7000))
        answers.sendto(b"from another", caller)
        heard.append([(row.protocol, row.state, row.local, row.remote) for row in server.sockets()])
        asks.settimeout(0)
        net.wire.settle()
        heard += [asks.recv(99), error_of(lambda: asks.recv(99)), error_of(lambda: answers.bind(("", 99)))]
        heard += [error_of(lambda: udp(server, 7000)), error_of(lambda: asks.sendto(bytes(65_508), ("10.0.0.2", 7000)))]
        heard.append(error_of(lambda: asks.send(b"to whom?")))
    return heard, cap


@pytest.mark.parametrize("delay", (0.0, 0.03))
def test_datagrams(delay):
    (heard, cap), (wanted, real) = on_both(questions, delay=delay)
    assert heard == wanted
    assert cap.ladder().text == real.ladder().text
    assert [frame.layers().text for frame in cap] == [frame.layers().text for frame in real]


def test_datagrams_only_from_the_peer(net):
    """A connected socket hears its peer alone (udp(7)), and nobody of this machine who is not of this network."""
    client, server = net
    with udp(client) as one, udp(client) as other, udp(server, 7000) as answers:
        answers.connect(("10.0.0.1", one.getsockname()[1]))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\0\x0a\0\0\1\0\x35forged", answers.real)
        other.sendto(b"not me", ("10.0.0.2", 7000))
        one.sendto(b"me", ("10.0.0.2", 7000))
        into = bytearray(9)
        assert answers.recv_into(into) == 2 and into[:2] == b"me"


def test_many_datagrams(net):
    """The relay loses none on its way; only a receiver that does not read loses them, in its own kernel, after the wire."""
    client, server = net
    with net.capture() as cap, udp(client) as sender, udp(server, 7000) as receiver:
        got = []
        reading = in_thread(lambda: [got.append(receiver.recv(99)) for _ in range(5000)])
        for number in range(5000):
            sender.sendto(b"%d" % number, ("10.0.0.2", 7000))
            if number % 100 == 99:
                until(lambda wanted=number: len(got) > wanted, "they are read")
        reading.join()
    assert got == [b"%d" % number for number in range(5000)] == [f.payload for f in cap if f.protocol == "UDP"]


# ── long messages, refusals, slices ──────────────────────────────────────────────────────────────────────────────────────


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


# ── under load ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_twenty_streams_at_once(net):
    """Every byte arrives, and is in the capture."""
    client, server = net
    words = [random.Random(number).randbytes(300_000 + number) for number in range(20)]
    heard = {}
    with server.listen(80) as listener, net.capture() as cap:

        def serve(connection):
            with connection:
                name = connection.recv(1)[0]
                heard[name] = read_all(connection, len(words[name]))
                connection.sendall(heard[name][::-1])

        def ask(number):
            with client.connect(server, 80) as sock:
                sock.settimeout(30)
                sock.sendall(bytes([number]) + words[number])
                assert same(read_all(sock, len(words[number])), words[number][::-1])

        asking = [in_thread(ask, number) for number in range(20)]
        serving = [in_thread(serve, listener.accept()[0]) for _ in range(20)]
        for thread in asking + serving:
            thread.join(60)
    assert not cap.missed
    found = {found.sent("client")[:1][0]: found for found in labs.streams(cap)}
    for number in range(20):
        assert same(heard[number], words[number])
        assert same(found[number].sent("client"), bytes([number]) + words[number])
        assert same(found[number].sent("server"), words[number][::-1])


@pytest.fixture
def flood(net):
    """Four connections on which both ends never rest."""
    pairs, stop = [connected(*net) for _ in range(4)], threading.Event()

    def send(sock):
        with contextlib.suppress(OSError):
            while not stop.is_set():
                sock.sendall(bytes(200_000))

    def read(sock):
        with contextlib.suppress(OSError):
            while sock.recv(1 << 18):
                pass

    threads = [in_thread(work, sock) for pair in pairs for work, sock in zip((send, read), pair)]
    yield pairs
    stop.set()
    net.close()
    for thread in threads:
        thread.join(10)
    for pair in pairs:
        for one in pair:
            one.close()


def test_settle_gives_up_quietly(net, flood):
    for _ in range(2):
        began = time.monotonic()
        net.wire.settle(0.2)
        assert time.monotonic() - began >= 0.2, "there was traffic all the time"


def test_a_capture_in_the_midst_of_traffic(net, flood):
    """It begins and ends while traffic goes on, and is whole: no stream in it has a gap."""
    with net.capture() as cap:
        found = cap.wait(lambda f: f.payload_length == 1448)
        assert len(cap) >= found.number and cap[found.number - 1] is found
    assert len(cap) >= found.number and not cap.missed
    for one in labs.streams(cap):
        assert not one.gaps("client")


def test_a_receiver_that_closes_while_the_pipe_is_full(net):
    client, server = net
    ours, theirs = connected(client, server)
    ours.settimeout(20)
    heard = []
    sending = in_thread(lambda: heard.append(error_of(lambda: ours.sendall(bytes(64 << 20)))))
    way = next(way for joined in net._lab.loop.joined for way in joined.ways.values() if way.side == "client")
    until(lambda: not way.reads, "the pipe is full")
    began = time.monotonic()
    theirs.close()
    sending.join(20)
    assert heard == ["ConnectionResetError"] and time.monotonic() - began < 2
    ours.close()
    net.wire.settle()
    assert not net._lab.loop.joined and not net._lab.loop.busy and not client.sockets()
    with net.capture() as cap:
        pass
    assert len(cap) == 0


def test_dying_readers(net):
    """Readers that die at any point: each sender hears of it, and nothing of them stays."""
    client, server = net
    order = random.Random(7)

    def die(connection, after):
        with connection:
            connection.settimeout(20)
            read_all(connection, after)
            if after % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)

    def send():
        with client.connect(server, 80) as sock:
            sock.settimeout(20)
            with pytest.raises(ConnectionError):
                while True:
                    sock.sendall(bytes(100_000))

    with server.listen(80) as listener, net.capture() as cap:
        senders = [in_thread(send) for _ in range(20)]
        readers = [in_thread(die, listener.accept()[0], order.randrange(3_000_000)) for _ in senders]
        for thread in senders + readers:
            thread.join(60)
        net.wire.settle()
        assert [row.state for row in server.sockets()] == ["LISTEN"] and not client.sockets()
    assert sum(frame.rst and frame.sender == "server" for frame in cap) == 20


def test_threads_that_connect_close_and_settle(net):
    client, server = net
    stops, wrong = [threading.Event(), threading.Event()], []

    def again(stop, work):
        try:
            while not stop.is_set():
                work()
        except BaseException as e:
            wrong.append(repr(e))

    def connect():
        with client.connect(server, 80) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"y"

    def serve():
        with contextlib.suppress(TimeoutError), listener.accept()[0] as connection:
            assert connection.recv(1) == b"x"
            connection.sendall(b"y")

    def look():
        with net.capture() as cap:
            net.wire.settle(0.2)
            server.sockets(), len(cap)

    with server.listen(80) as listener:
        listener.settimeout(0.2)
        asking, serving = (connect, connect, connect, look, look), (serve, serve)  # those who ask end first
        threads = [[in_thread(again, stop, work) for work in works] for stop, works in zip(stops, (asking, serving))]
        time.sleep(1)  # so long they do
        for stop, some in zip(stops, threads):
            stop.set()
            for thread in some:
                thread.join(20)
    assert not wrong


def memory():
    """Bytes of this process that are in memory: proc_pid_statm(5)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_nothing_is_kept_without_a_capture(net):
    ours, theirs = connected(*net)
    reading = in_thread(read_all, theirs, 200 << 20)
    piece = bytes(1 << 20)
    ours.sendall(piece)
    before = memory()
    for _ in range(199):
        ours.sendall(piece)
    reading.join()
    assert memory() - before < 20 << 20 and not net._lab.drawing.frames
    ours.close(), theirs.close()


def test_what_does_not_fit_is_counted():
    with labs.network("client", "server", link="relay", log_limit=100_000) as net:
        with net.capture() as cap:
            ours, theirs = connected(*net)
            with net.capture() as inner:
                reading = in_thread(read_all, theirs, 1 << 20)
                ours.sendall(bytes(1 << 20))
                reading.join()
        assert sum(map(len, cap)) <= 100_000 < sum(map(len, cap)) + 1514
        assert cap.missed == inner.missed > (1 << 20) // 1448 - 70 and "missed" in repr(cap)
        with net.capture() as later:  # its limit is its own
            ours.sendall(b"more")
            theirs.recv(9)
        assert [f.payload for f in later if f.payload_length] == [b"more"] and not later.missed
        assert later[0].seq == (next(f for f in cap if f.syn).seq + 1 + (1 << 20)) % 2**32, "numbers go on, drawn or not"
        ours.close(), theirs.close()


def test_waiting_costs_nothing(net):
    ours, theirs = connected(*net)
    with net.capture() as cap:
        reading = in_thread(read_all, theirs, 20 << 20)
        for _ in range(20):
            ours.sendall(bytes(1 << 20))
        reading.join()
        len(cap)
        before = time.process_time()
        with pytest.raises(LabError, match="no frame came within 1.5 s"):
            cap.wait(lambda f: False, timeout=1.5)
        asked = time.process_time() - before
        before = time.process_time()
        with pytest.raises(LabError, match="no frame came within 1.5 s"), net.capture() as idle:
            idle.wait(lambda f: True, timeout=1.5)
        assert asked < 0.5 and time.process_time() - before < 0.1
    ours.close(), theirs.close()


def test_frames_are_made_once(net):
    client, server = net
    asked = []
    ours, theirs = connected(client, server)
    with net.capture() as cap:
        for number in range(200):
            ours.sendall(b"%d" % number)
            theirs.recv(9)
            assert cap.wait(lambda f, wanted=b"%d" % number: (asked.append(f), f.payload == wanted)[1])
        shown = list(cap)
        ours.sendall(b"more")
        assert all(one is other for one, other in zip(shown, cap))
    assert len(asked) < 200 * 402 / 2 + 400  # about once each in one wait(): the n-th looks at what the others looked at
    ours.close(), theirs.close()


def test_a_network_closed_while_capturing(net):
    with net.capture() as cap:
        ours, theirs = connected(*net)
        net.close()
        with pytest.raises(LabError, match="closed"):
            cap.wait(lambda f: False)
    assert len(cap) >= 5 and cap[-1].is_ack
    ours.close(), theirs.close()


def test_a_forked_child(net):
    """Its connect() is refused, as there is nobody there to serve it, and it keeps nothing of the parent's open."""
    client, server = net
    ours, theirs = connected(client, server)
    (hears, tells), (waits, ends) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        said = []
        try:
            os.close(ends)
            for call in (lambda: client.connect(server, 80), lambda: server.listen(80), net.capture().__enter__, client.sockets):
                try:
                    said.append(repr(call()))
                except LabError as e:
                    said.append("closed" if "closed" in str(e) else str(e))
            net.close()
            ours.close(), theirs.close()
            said.append("end")
        except BaseException as e:
            said.append(repr(e))
        finally:
            os.write(tells, ";".join(said).encode())
            os.close(tells)
            os.read(waits, 1)  # it lives until the parent has looked
            os._exit(0)
    try:
        os.close(tells)
        assert os.read(hears, 9999).decode() == "closed;closed;closed;closed;end"
        ours.sendall(b"still there?")
        assert theirs.recv(99) == b"still there?"
        ours.close()
        assert theirs.recv(9) == b""
        theirs.close()
    finally:
        os.close(ends)
        os.waitpid(child, 0)
        os.close(hears), os.close(waits)


def test_callers_from_outside_the_lab_are_turned_away(net):
    client, server = net
    with server.listen(80) as listener, socket.create_connection(listener.real) as stranger:
        with client.connect(server, 80) as sock, listener.accept()[0] as connection:
            sock.sendall(b"ours")
            assert connection.recv(9) == b"ours" and connection.getpeername() == sock.getsockname()
        assert stranger.recv(9) == b""


# ── what it cannot do ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_needs_a_wire_or_a_kernel_says_so(net):
    client, server = net
    for ask in (
        net.wire.hold, net.wire.cut, net.wire.socket, server.counters, client.socket,
        lambda: net.wire.rule(lambda f: True, drop=True), lambda: server.sysctl("net.ipv4.ip_forward"),
        lambda: server.run(["true"]), lambda: setattr(net.wire, "loss", 0.1), lambda: server.read("/proc/net/arp"),
        lambda: labs.network("a", labs.router("r"), "b", link="relay"), lambda: labs.network("a", "b", link="relay", loss=0.1),
        lambda: labs.network("a", "b", link="relay", ipv6=True), lambda: client.connect("10.0.0.9", 80),
        lambda: udp(client).sendto(b"x", ("10.0.0.9", 53)), lambda: udp(client).sendto(bytes(1473), ("10.0.0.2", 7000)),
        lambda: udp(client).sendmsg([b"x"]), lambda: client.socket(type=socket.SOCK_DGRAM).bind(("127.0.0.1", 0)),
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
        "    with net['client'].socket(type=socket.SOCK_DGRAM) as sock: print(sock.sendto(b'x', ('10.0.0.2', 53)))\n"
        "    with net.capture() as cap, net['client'].http() as http:\n"
        "        for _ in range(2): print(http.get('http://server/').text)\n"
        "print(net.link, len(cap) > 5, cap.ladder().sentence)\n"
    )
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, program], cwd=ROOT, env=here, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1\nhello\nhello\nrelay True"), done.stdout


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
