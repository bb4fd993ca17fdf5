"""The sockets that a learner holds: how long they wait, whose place they take, and errors that say what the lab knows."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from aiohttp import web
from traffic import connected, in_thread, until

import labs
from labs import LabError
from labs.network.kernel import SocketRow
from labs.network.refusals import refused

pytestmark = pytest.mark.usefixtures("no_leaks")
ROOT = str(Path(labs.__file__).resolve().parents[1])


# ── descriptors run out ──────────────────────────────────────────────────────────────────────────────────────────────────

FEW = """
import errno, os, resource, labs
net = labs.network("client", "server", link={link!r})
client, server = net
listener = server.listen(80, backlog=1000)
limit = len(os.listdir("/proc/self/fd")) + 12
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for make in (client.socket, lambda: client.connect(server, 80, wait=False), lambda: open(os.devnull)):
    kept = []
    try:
        while len(kept) < 100:
            kept.append(make())
    except OSError as e:
        assert e.errno == errno.EMFILE, repr(e)
        if make is not None:
            said = str(e)
    for ask in (client.sockets, net.wire.socket, lambda: net.capture().__enter__(), lambda: labs.network("a", "b", link={link!r}),
                lambda: net.wire.rule(lambda f: f.syn, drop=True), lambda: client.connect(server, 80)):
        try:
            ask()
        except OSError as e:
            assert e.errno == errno.EMFILE, repr(e)
        else:
            raise SystemExit(f"{{ask}} found room")
    try:
        client.socket()
    except OSError as e:
        assert str(e) == f"[Errno 24] too many open files: this process may have {{limit}} (ulimit -n); close some sockets", e
    for one in kept:
        one.close()
    kept.clear()
    assert client.sockets() is not None and len(labs.network("a", "b", link={link!r})) == 2
client.connect(server, 80).close()
"""


def test_no_descriptor_is_left(link):
    """Whatever is asked for: EMFILE, which says the limit; and all works again when there is room."""
    ran = subprocess.run([sys.executable, "-c", FEW.format(link=link)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


# ── accepted sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_accepted_socket_waits_no_longer_than_a_connected_one(net):
    client, server = net
    with server.listen(80) as listener, client.connect(server, 80) as ours:
        theirs, peer = listener.accept()
        with theirs:
            assert theirs.gettimeout() == ours.gettimeout() == listener.gettimeout() == 10
            assert type(ours) is type(theirs) is socket.socket and peer == ours.getsockname()
            theirs.settimeout(0.01)
            with pytest.raises(TimeoutError):
                theirs.recv(1)


def test_asyncio_and_aiohttp_listen_on_it(net):
    client, server = net

    async def shout(reader, writer):
        writer.write((await reader.read(9)).upper())
        writer.close()

    async def hello(request):
        return web.Response(text="hello")

    async def serve(ready, over):
        app = web.Application()
        app.router.add_get("/", hello)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.SockSite(runner, server.listen(80)).start()
        by_hand = server.listen(82)
        by_hand.setblocking(False)
        async with await asyncio.start_server(shout, sock=server.listen(81)):
            ready.set()
            with (await asyncio.get_running_loop().sock_accept(by_hand))[0] as one:
                await asyncio.get_running_loop().sock_sendall(one, b"by hand")
            await asyncio.to_thread(over.wait)
        by_hand.close()
        await runner.cleanup()

    ready, over = threading.Event(), threading.Event()
    thread = in_thread(asyncio.run, serve(ready, over))
    try:
        assert ready.wait(5)
        with client.connect(server, 81) as sock:
            sock.sendall(b"loud")
            assert sock.recv(9) == b"LOUD"
        with client.connect(server, 82) as sock:
            assert sock.recv(9) == b"by hand"
        with client.http() as http:
            assert http.get("http://server/").text == "hello"
    finally:
        over.set()
        thread.join()


# ── a cell that is run again ─────────────────────────────────────────────────────────────────────────────────────────────


def run(source, names, cell="/tmp/ipykernel_1/123.py"):
    exec(compile(source, cell, "exec"), names)


def test_a_cell_run_again_listens_again(net):
    names = {"server": net["server"]}
    run("listener = server.listen(80)", names)
    before = names["listener"]
    run("listener = server.listen(80)", names)
    assert before.fileno() == -1 and names["listener"].fileno() != -1
    with net["client"].connect("server", 80), names["listener"].accept()[0]:
        pass
    run("def shop(port):\n    return server.listen(port)", names, "/tmp/ipykernel_1/2.py")
    for _ in range(3):  # by a function of another cell, and a fresh name each time
        run("open_shops = [shop(port) for port in (81, 82)]", names, "/tmp/ipykernel_1/3.py")
    for number in (1, 2, 30):  # as IPython names cells without a kernel
        run("door = server.listen(83)", names, f"<ipython-input-{number}-0123456789ab>")
    assert sum(row.state == "LISTEN" for row in net["server"].sockets()) == 4


@pytest.mark.parametrize(
    "again, cell",
    [
        ("listener = server.listen(80)", "/tmp/ipykernel_1/124.py"),  # the same text in another cell
        ("other = server.listen(80)", "/tmp/ipykernel_1/123.py"),  # another text
        ("\nlistener = server.listen(80)", "/tmp/ipykernel_1/123.py"),  # another line
        ("listener = server.listen(80, address='10.0.0.2')", "/tmp/ipykernel_1/123.py"),
    ],
)
def test_another_cell_does_not(any_net, again, cell):
    names = {"server": any_net["server"]}
    run("listener = server.listen(80)", names)
    with pytest.raises(OSError, match="port 80 of server is in use; close the socket that listens there"):
        run(again, names, cell)
    assert names["listener"].fileno() != -1


def test_one_run_does_not_take_from_itself(any_net):
    names = {"server": any_net["server"], "made": []}
    for loop in ("for _ in range(2):\n    made.append(server.listen(80))", "made = [server.listen(80), server.listen(80)]"):
        with pytest.raises(OSError, match="port 80 of server is in use"):
            run(loop, names)
        [one.close() for one in names["made"]]


def test_what_a_program_holds_stays(any_net):
    server = any_net["server"]
    names = {"server": server}
    run("listener = server.listen(80)", names)
    holder = server.run(["sleep", "60"], sockets=[names["listener"]])
    with pytest.raises(OSError, match="port 80 of server is in use"):
        run("listener = server.listen(80)", names)
    holder.kill(), holder.wait()
    run("listener = server.listen(80)", names)


# ── a connect that fails says what the lab knows ─────────────────────────────────────────────────────────────────────────


def test_an_error_does_not_deny_what_listens(net):
    client, server = net
    with pytest.raises(ConnectionRefusedError, match="^.Errno 111. 10.0.0.2 answered with RST: nothing listens on its port 80$"):
        client.connect(server, 80)
    with server.listen(80, address="127.0.0.1"):
        with pytest.raises(ConnectionRefusedError, match="nothing listens on port 80 of this address, only on 127.0.0.1:80$"):
            client.connect(server, 80)
        with pytest.raises(ConnectionRefusedError, match="127.0.0.1 answered with RST: nothing listens on its port 80$"):
            client.connect("127.0.0.1", 80)  # its own
    full = SocketRow("tcp", "0.0.0.0:80", "0.0.0.0:0", "LISTEN", 0, 3, "", 0)
    said = "10.0.0.2 answered with RST, though something listens on 0.0.0.0:80; 3 connections wait in its accept queue"
    assert said in str(refused("10.0.0.2", 80, [full])) and "something" not in str(refused("10.0.0.2", 8, [full]))


def test_a_connect_that_times_out_says_why(net):
    client, server = net
    with pytest.raises(ConnectionRefusedError):  # ARP is done with
        client.connect(server, 80)
    with server.listen(80, backlog=1):

        def silence():
            with pytest.raises(TimeoutError) as caught:
                client.connect(server, 80, timeout=0.2)
            head = "10.0.0.2 port 80 did not answer client within 0.2 s: "
            assert str(caught.value).startswith(head)
            return str(caught.value).removeprefix(head)

        net.wire.hold()
        assert silence() == "the wire is held and 1 frame waits, until step() or release()"
        net.wire.release()
        net.wire.cut()
        assert silence() == "the wire is cut, until mend()"
        net.wire.mend()
        with net.wire.rule(lambda f: f.syn, drop=True):
            first = silence()
            assert first.startswith(
                "the wire lost 1 frame meanwhile (dropped by a rule); rule for frames of which <lambda> (line "
            )
            assert first.endswith(") is true: drops them; 1 so far; ends with remove() or its `with`")
        net.wire.loss = 1
        assert silence() == "the wire lost 1 frame meanwhile (lost by chance)", "of its own frames alone"
        net.wire.loss, net.wire.delay = 0, 0.3
        assert silence() == "the delay of the way makes a round trip of 0.6 s"
        net.wire.delay = 0
        kept = []
        with pytest.raises(TimeoutError, match=": 2 connections wait in its accept queue, until accept.. is called$"):
            while len(kept) < 9:
                kept.append(client.connect(server, 80, timeout=0.2))
        assert len(kept) <= 2
        [one.close() for one in kept]
    with pytest.raises(LabError, match="this network is closed"):
        net.close()
        client.connect(server, 80)


def test_no_way_is_told_as_its_neighbours_are(net):
    client, server = net
    all_of_them = r"no host of this network has it \(client 10.0.0.1, server 10.0.0.2\), and no wire leads out$"
    for address, code in (("10.0.0.77", errno.EHOSTUNREACH), ("192.0.2.1", errno.ENETUNREACH)):
        with pytest.raises(OSError, match=f"client found no way to {address}: {all_of_them}") as caught:
            client.connect(address, 80)
        assert caught.value.errno == code
    with pytest.raises(OSError, match=all_of_them):
        client.connect("192.0.2.1", 80, wait=False)
    net.wire.cut()  # before the hosts have met: ARP fails first
    with pytest.raises(OSError, match=r"client found no way to 10.0.0.2 \(server\): the wire is cut, until mend\(\)$") as caught:
        client.connect(server, 80)
    assert caught.value.errno == errno.EHOSTUNREACH


def test_on_a_way_of_two_wires(network):
    net = network("client", labs.router("r1"), "server")
    connected(net["client"], net["server"])
    with net["server"].listen(80):
        net.wires[1].hold()
        with pytest.raises(TimeoutError, match=r"within 0.1 s: wire 1 is held and 1 frame waits, until step\(\) or release\(\)$"):
            net["client"].connect("server", 80, timeout=0.1)


# ── wires and rules ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_misspelt_setting(any_net):
    wire = any_net.wire
    with pytest.raises(AttributeError, match="a wire has no setting 'dely'; it has delay, loss, rate and queue"):
        wire.dely = 0.2
    wire.delay = 0.2
    assert wire.delay == 0.2


def test_a_rule_says_what_it_does(any_net):
    wire, client = any_net.wire, any_net["client"]
    assert repr(wire) == "wire 0: client – server"

    def is_mine(frame):
        return frame.dport == 9

    line = is_mine.__code__.co_firstlineno
    rule = wire.rule(is_mine, delay=0.001, duplicate=2, times=5)
    begin = f"rule for frames of which is_mine (line {line}) is true: delays them 0.001 s, sends 2 more of each; "
    assert repr(rule) == begin + "0 of 5 so far; ends with remove() or its `with`" and wire.rules == (rule,)
    with client.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("10.0.0.2", 9))
        wire.settle()
    assert repr(wire) == f"wire 0: client – server\n  {begin}1 of 5 so far; ends with remove() or its `with`"
    rule.remove()
    assert repr(rule) == begin + "1 of 5 so far; has ended" and repr(wire) == "wire 0: client – server"


def test_the_error_of_a_rule_is_told_beside_another(any_net):
    client, server = any_net
    with pytest.raises(ZeroDivisionError) as caught, any_net.wire.rule(lambda f: f.no_such_thing, drop=True):
        connected(client, server)
        1 / 0  # noqa: B018
    (note,) = caught.value.__notes__
    assert (
        note.startswith("besides, the rule failed on a frame and was not applied any more: AttributeError(") and "no_such" in note
    )


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_network_whose_process_died_is_closed(net):
    ours, theirs = connected(*net)
    assert not net.closed
    with pytest.raises(LabError, match="the lab process has ended; make a new network") as caught, net.capture() as cap:
        ours.sendall(b"before"), theirs.recv(9)
        before = [frame.raw for frame in cap]
        os.kill(net._lab.pid, signal.SIGKILL)
        until(lambda: net.closed, "it is seen")
        net["client"].sockets()
    assert caught.value.__cause__ is None and (caught.value.__suppress_context__ or caught.value.__context__ is None)
    assert [frame.raw for frame in cap][: len(before)] == before and len(before) >= 1
    with pytest.raises(LabError, match="the lab process has ended"), net.capture() as cap:
        pass
    net.close(), net.close()
    assert net.closed
    with pytest.raises(LabError, match="this network is closed"):
        net["client"].sockets()


def test_a_capture_says_when_its_end_is_missing(net):
    with pytest.raises(LabError, match="the lab process has ended"), net.capture() as cap:
        pair = connected(*net)
        assert len(cap) == 5 and pair
        os.kill(net._lab.pid, signal.SIGKILL)
        until(lambda: net.closed, "it is seen")
    assert len(cap) == 5


def test_all_that_shall_happen_at_close_happens(network):
    net, called = network(), []

    def fails():
        called.append("fails")
        raise ZeroDivisionError

    for name in ("first", fails, "last"):
        net.at_close(name if callable(name) else lambda name=name: called.append(name))
    with pytest.raises(ZeroDivisionError):
        net.close()
    assert called == ["last", "fails", "first"] and net.closed
    net.close()
