"""Traffic for the tests: connections, bulk, echo, and the way back from frames to what an application wrote."""

import json
import socket
import subprocess
import sys
import threading
import time

DATAGRAM = socket.SOCK_DGRAM


def connected(client, server, port=80):
    """(client's socket, server's socket), connected."""
    with server.listen(port) as listener:
        ours = client.connect(server, port)
        theirs, _ = listener.accept()
    theirs.settimeout(10)
    return ours, theirs


def udp(host, port=0):
    made = host.socket(type=DATAGRAM)
    made.bind(("0.0.0.0", port))
    return made


def in_thread(work, *args):
    thread = threading.Thread(target=work, args=args)
    thread.start()
    return thread


def read_all(sock, count):
    """Exactly `count` bytes, in pieces joined."""
    got = bytearray()
    while len(got) < count and (part := sock.recv(1 << 17)):
        got += part
    return bytes(got)


def same(found, wanted):
    """Whether two long values are equal; says briefly where they are not.  pytest itself takes hours over a megabyte."""
    if found != wanted:
        first = next((at for at, (one, other) in enumerate(zip(found, wanted)) if one != other), min(len(found), len(wanted)))
        raise AssertionError(f"{len(found):,} items instead of {len(wanted):,}; the first difference is at {first:,}")
    return True


def stream(frames, sender):
    """The bytes that `sender` wrote into the one TCP connection of these frames, put together by sequence number."""
    beginning, parts = None, {}
    for frame in frames:
        if frame.protocol == "TCP" and frame.sender == sender:
            if frame.syn:
                beginning = frame.seq + 1
            elif frame.payload_length:
                parts.setdefault((frame.seq - beginning) % 2**32, frame.payload)
    whole = bytearray()
    for at in sorted(parts):
        assert at <= len(whole), f"bytes {len(whole)} to {at} are missing"
        whole[at : at + len(parts[at])] = parts[at]
    return bytes(whole)


def until(true, what, seconds=5.0):
    """Wait until true() is: the kernel does some things a little later."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)


ECHO = """if True:
    import socket, sys
    sock = socket.socket(fileno=int(sys.argv[1])); sock.setblocking(True)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := sock.recv(65536):
        sock.sendall(data)
"""
ROUND_TRIPS = """if True:
    import json, socket, sys, time
    sock = socket.socket(fileno=int(sys.argv[1])); sock.setblocking(True)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took, end = [], time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        began = time.perf_counter(); sock.sendall(b"x" * 100)
        got = 0
        while got < 100: got += len(sock.recv(100 - got))
        took.append(time.perf_counter() - began)
    print(json.dumps(sorted(took)))
"""


def round_trips_between_processes(client_socket, server_socket, seconds, meanwhile):
    """Sorted round-trip times (s) measured by another process while `meanwhile()` runs in this one."""
    start = lambda code, sock, *more, **how: subprocess.Popen(
        [sys.executable, "-c", code, str(sock.fileno()), *more], pass_fds=[sock.fileno()], stdin=subprocess.DEVNULL, **how
    )
    with start(ECHO, server_socket) as echo, start(ROUND_TRIPS, client_socket, str(seconds), stdout=subprocess.PIPE) as clock:
        client_socket.close(), server_socket.close()
        meanwhile()
        took = json.loads(clock.stdout.read())
        clock.wait()
        echo.wait(5)
    return took
