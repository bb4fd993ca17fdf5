"""The link "loopback": what a chapter shows is the relay's, and the frames of `lo` under it are the kernel's."""

import socket
import subprocess
import sys

import oracle
import pytest
from conftest import not_run
from test_project import ROOT
from traffic import connected, in_thread, read_all, same, stream

import labs
from labs.errors import LabError
from labs.network.links import why_not
from labs.network.loopback import Loopback

WORDS = b"hello" * 4000


@pytest.fixture
def needs_lo():
    if why := why_not("loopback"):
        not_run("link loopback", why)


def talk(link):
    """The same conversation on a link: 20,000 bytes one way, two the other."""
    with labs.network("client", "server", link=link) as net:
        client, server = net
        with net.capture() as cap, server.listen(80) as listener, client.connect(server, 80) as caller:
            with listener.accept()[0] as answerer:
                caller.sendall(WORDS)
                heard = b""
                while len(heard) < len(WORDS):
                    heard += answerer.recv(65536)
                answerer.sendall(b"ok")
                assert caller.recv(10) == b"ok" and heard == WORDS
        return cap


def test_it_draws_what_the_relay_draws(no_leaks, needs_lo):
    assert talk("loopback").ladder().text == talk("relay").ladder().text


def test_the_frames_of_lo_are_real(needs_lo, tmp_path):
    """tshark agrees with us on every one, and with what lo is: its MSS, no MAC addresses, frames longer than any Ethernet's."""
    seen = talk("loopback").on_loopback
    assert seen.hosts == ("client", "server") and not seen.missed
    syn, syn_ack = seen[0], seen[1]
    assert syn.syn and syn_ack.syn and (syn.sender, syn_ack.sender) == ("client", "server")
    assert [[one.receiver for one in frame.arrivals] for frame in (syn, syn_ack)] == [["server"], ["client"]]
    said = b"".join(bytes(frame.payload) for frame in seen if frame.sender == "client")
    assert said == WORDS and max(frame.payload_length for frame in seen) > 1500
    assert [frame.time for frame in seen] == sorted(frame.time for frame in seen)
    seen.save(tmp_path / "lo.pcapng")
    assert [frame.raw for frame in labs.Capture.load(tmp_path / "lo.pcapng")] == [frame.raw for frame in seen]
    if why := oracle.why_not():
        not_run("tshark, the oracle", why)
    rows = oracle.fields(seen, ("eth.src", "ip.src", "tcp.srcport", "tcp.len", "tcp.options.mss_val", "tcp.seq"), tmp_path)
    assert rows[0][:2] == ["00:00:00:00:00:00", "127.0.0.1"] and rows[0][4] == rows[1][4] == "65495"
    base = {frame.sport: frame.seq for frame in seen if frame.syn}
    ours = [[str(f.sport), str(f.payload_length), str((f.seq - base[f.sport]) % 2**32)] for f in seen]
    assert [[row[2], row[3], row[5]] for row in rows] == ours


def test_only_what_passed_meanwhile_and_is_of_this_network(needs_lo):
    with labs.network("client", "server", link="loopback") as net, labs.network("client", "server", link="loopback") as other:
        (client, server), (someone, elsewhere) = net, other
        with server.listen(80) as listener, client.connect(server, 80) as caller, listener.accept()[0] as answerer:
            with net.capture() as cap:
                with elsewhere.listen(80), someone.connect(elsewhere, 80):
                    caller.sendall(b"now")
                    answerer.recv(10)
        assert [bytes(frame.payload) for frame in cap.on_loopback if frame.payload_length] == [b"now"]
        assert not any(frame.syn for frame in cap.on_loopback)


def test_where_there_is_none(any_net, needs_lo):
    with any_net.capture() as cap:
        pass
    with pytest.raises(LabError, match='on the link "loopback", and has ended'):
        cap.on_loopback  # noqa: B018


def test_without_the_capability(needs_lo):
    """Then the choice falls on the relay."""
    code = "from labs.network.links import choose, why_not; print(why_not('loopback'), choose(), sep=' · ')"
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--reuid=65534", "--clear-groups"]
    inner = ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh"]
    done = subprocess.run([*inner, *command[:4], sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        not_run("a process without capabilities", done.stderr.strip()[-200:])
    assert done.stdout == "Operation not permitted · relay\n"


def test_a_network_that_cannot_be_made_leaves_nothing(no_leaks, needs_lo, monkeypatch):
    monkeypatch.setattr(Loopback, "__init__", lambda self, passing: (_ for _ in ()).throw(PermissionError(1, "not permitted")))
    with pytest.raises(LabError, match="cannot make a network on loopback: not permitted"):
        labs.network("client", "server", link="loopback")


def test_much_at_once_is_not_missed(needs_lo):
    data = bytes(range(256)) * 8000
    with labs.network("client", "server", link="loopback") as net:
        client, server = net
        with net.capture() as cap, server.listen(80) as listener, client.connect(server, 80) as caller:
            with listener.accept()[0] as answerer:
                sending = in_thread(caller.sendall, data)
                assert same(read_all(answerer, len(data)), data)
                sending.join()
    seen = cap.on_loopback
    assert not seen.missed and same(stream(seen, "client"), data)


def test_a_network_closed_while_capturing(no_leaks, needs_lo):
    net = labs.network("client", "server", link="loopback")
    with net.capture() as cap:
        connected(*net)
        net.close()
    assert len(cap) >= 3 and cap.on_loopback[0].syn


def test_what_others_do_on_lo_is_not_ours(needs_lo):
    """Neither their connections, whatever ports those have, nor what they made our socket miss before a capture began."""
    with labs.network("client", "server", link="loopback") as net:
        ours, theirs = connected(*net)
        with net.capture() as cap:
            ((near, far),) = net._lab.lo.ends
            with socket.create_server(("127.0.0.7", far)) as door, socket.socket() as caller:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                caller.bind(("127.0.0.8", near))  # the same two ports, at other addresses
                caller.connect(door.getsockname())
                with door.accept()[0] as answerer:
                    caller.sendall(b"private")
                    assert answerer.recv(10) == b"private"
        assert not cap.on_loopback
        net._lab.lo.missed += 5
        with net.capture() as cap:
            ours.sendall(b"ours")
            theirs.recv(10)
        assert not cap.on_loopback.missed and any(frame.payload == b"ours" for frame in cap.on_loopback)
