"""Nothing leaks, however it ends: the end of a `with`, an exception, del, an interrupt, kill -9, a fork."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import leaks
import pytest
from traffic import connected, in_thread, udp, until

import labs
from labs import LabError

pytestmark = pytest.mark.usefixtures("no_leaks")
ROOT = str(Path(labs.__file__).resolve().parents[1])


def lab_processes():
    """The process ids of our lab: the one that we started and, below it, the one that is process 1 of its own namespace."""
    return leaks.descendants()


def inside(net):
    """The id of the process that is process 1 in the network's own namespace."""
    until(lambda: leaks.children(net._lab.pid), "the kernel lists it")  # while it changes, the list may come out short
    return leaks.children(net._lab.pid)[0]


def gone():
    until(lambda: not lab_processes(), "the lab is gone", seconds=2)


def test_exception_in_with(link):
    with (
        pytest.raises(ZeroDivisionError),
        labs.network("a", "b", link=link) as net,
        net.capture(),
        net.wire.rule(lambda f: True, drop=True),
    ):
        net["a"].run(["sleep", "60"])
        net.wire.hold()
        raise ZeroDivisionError
    gone()


def test_del(link):
    """The garbage collector closes what nobody refers to, though a rule's thread watches the wire."""
    net = labs.network("a", "b", link=link)
    rule = net.wire.rule(lambda f, host=net["a"]: host is None, drop=True)
    with udp(net["a"]) as sender:
        sender.sendto(b"x", ("10.0.0.2", 9))
    until(lambda: len(lab_processes()) == 2, "the lab process and its child")
    del net, rule
    gc.collect()
    gone()


def test_hosts_keep_their_network(link):
    client, server = labs.network("client", "server", link=link)
    gc.collect()
    connected(client, server)
    del client, server
    gc.collect()
    gone()


def test_fifty_networks(link):  # 26 on each link; half of them closed, half of them dropped
    for _ in range(13):
        labs.network("a", "b", link=link).close()
        labs.network("a", "b", link=link)
    gone()


def test_threads_make_networks(link):
    met = []

    def work():
        for _ in range(4):
            with labs.network("client", "server", link=link) as net, net.capture() as cap:
                connected(*net)
            met.append([f.protocol for f in cap][:5])

    for thread in [in_thread(work) for _ in range(4)]:
        thread.join()
    assert met == [["ARP", "ARP", "TCP", "TCP", "TCP"]] * 16
    gone()


def test_channels_of_threads_end_with_them(net):
    pid = inside(net)
    open_there = lambda: len(os.listdir(f"/proc/{pid}/fd"))
    net["client"].sockets()
    before = open_there()
    for _ in range(20):
        in_thread(net["client"].sockets).join()
    until(lambda: open_there() <= before, "the lab closed its ends")


def test_the_lab_process_is_killed(net):
    """The next question gets a clear answer; nothing hangs."""
    capture = net.capture()
    with pytest.raises(LabError, match="the lab process has ended; make a new network with labs.network"), capture:
        os.kill(net._lab.pid, signal.SIGKILL)
        net["client"].sockets()
    for call in (
        net["client"].sockets,
        lambda: net.wire.held,
        lambda: net.wire.rule(lambda f: True, drop=True),
        net.capture().__enter__,
    ):
        with pytest.raises(LabError, match="the lab process has ended"):
            call()
    gone()
    net.close()


def test_the_lab_process_survives_a_missing_card(net):
    """A program inside the host may do with its card what it likes."""
    done = net["client"].run([sys.executable, "-c", DELETE_CARD])
    assert done.wait() == 0, done.output()
    assert net["server"].counters() and "eth0" not in net["client"].read("/proc/net/dev")
    pid = inside(net)
    busy = lambda: sum(map(int, open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
    before, began = busy(), time.monotonic()
    until(lambda: time.monotonic() - began > 0.3, "a while")
    assert busy() - before < 10, "it sleeps: 0.3 s are 30 ticks"


DELETE_CARD = """
import socket, struct
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
    kernel.send(struct.pack("=IHHII", 32, 17, 5, 1, 0) + struct.pack("=BxHiII", 0, 0, socket.if_nametoindex("eth0"), 0, 0))  # RTM_DELLINK
    error, = struct.unpack_from("=i", kernel.recv(65536), 16)
    raise SystemExit(-error)
"""


def test_fork(net):
    """A forked child neither keeps the lab nor ends it, and hears that the network is not its own."""
    client, server = net
    sockets = connected(client, server)
    reading, writing = os.pipe()
    stay, go = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            client.sockets()
        except LabError as e:
            os.write(writing, str(e).encode())
        net.close()
        os.close(go)
        os.read(stay, 1)
        os._exit(0)
    try:
        assert b"this network is closed" in os.read(reading, 999)
        assert len(client.sockets()) == 1, "it answers us"
        for sock in sockets:
            sock.close()
        net.close()
        until(lambda: lab_processes() == [child], "the lab is gone, the child is there", seconds=2)
    finally:
        for fd in (go, stay, reading, writing):
            os.close(fd)
        os.waitpid(child, 0)


def test_a_program_started_by_the_notebook_keeps_nothing(net):
    """os.system and such close no descriptors: those of a host must not be inherited."""
    with net["client"].socket() as sock:
        assert not sock.get_inheritable()


# ── a notebook of its own, to be interrupted and killed ──────────────────────────────────────────────────────────────────

NOTEBOOK = """
import sys; sys.path.insert(0, sys.argv[1])
import labs, os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts the tests may ignore it, and children inherit that
net = labs.network("client", "server", link=sys.argv[2])
client, server = net
listener = server.listen(80)
sock = client.connect(server, 80)
far, _ = listener.accept()
server.run(["sleep", "60"])
def slow_capture():
    net.wire.delay = 1
    with net.capture():
        sock.sendall(b"x")
try:
    print("ready", flush=True)
    WHAT
except KeyboardInterrupt:
    print("interrupted", flush=True)
net.wire.delay = 0
assert server.sockets() and net.wire.held >= 0
net.wire.release()
with net.capture() as cap:
    sock.sendall(b"still"), far.recv(1)
assert len(cap) >= 1
print("works", flush=True)
sys.stdin.read()
"""
BLOCKS = {
    "recv": "sock.recv(1)",
    "step": "net.wire.hold(); net.wire.step(timeout=30)",
    "capture": "slow_capture()",
    "wait": "server.run(['sleep', '60']).wait(30)",
    "rule": "net.wire.rule(lambda f: sock.recv(1), drop=True); far.sendall(b'x'); sock.recv(1)",
}


def notebook(link, what):
    script = [sys.executable, "-c", NOTEBOOK.replace("WHAT", what), ROOT, link]
    made = subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert made.stdout.readline() == "ready\n", made.stderr.read()
    return made


def end(made):
    made.stdin.close()
    made.wait(10)
    said = made.stderr.read()
    made.stdout.close(), made.stderr.close()
    return said


@pytest.mark.parametrize("blocked_in", [name for name in BLOCKS if name != "rule"])
def test_interrupt(link, blocked_in):
    """Jupyter interrupts the whole process group.  The network works on, and then it ends without a trace."""
    made = notebook(link, BLOCKS[blocked_in])
    until(lambda: leaks.state(made.pid) == "S", "it waits")
    os.killpg(made.pid, signal.SIGINT)
    answers = made.stdout.readline(), made.stdout.readline()
    assert answers == ("interrupted\n", "works\n"), end(made)
    assert end(made) == "" and made.returncode == 0
    gone()


@pytest.mark.parametrize("blocked_in", BLOCKS)
def test_kill_9(link, blocked_in):
    """A killed notebook takes its hosts with it, programs included."""
    made = notebook(link, BLOCKS[blocked_in])
    until(lambda: len(lab_processes()) >= 4, "the notebook, the lab process and its child, the program")
    made.kill()
    end(made)
    gone()


def test_two_notebooks_at_once(link):
    made = [notebook(link, "pass") for _ in range(2)]
    assert [one.stdout.readline() for one in made] == ["works\n"] * 2
    assert [end(one) for one in made] == ["", ""]
    gone()
