"""What the lab takes on this machine, as tables: `make bench`.  Nothing is asserted; the numbers vary with the machine.

What measures never shares the interpreter with what is measured: echoes run between two processes of their own, to which this one
hands the sockets.
"""

import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from importlib import metadata

import labs
from labs.network.links import why_not

ROUNDS, SIZE, REPEATS = 5_000, 100, 11

# Both ends of an echo, each run in a process of its own: descriptor, rounds, bytes.
ECHO = """
import socket, sys
sock, size = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[3])
sock.settimeout(60)
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(int(sys.argv[2])):
    sock.sendall(sock.recv(size, socket.MSG_WAITALL))
"""
ASK = """
import socket, sys, time
sock, size = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[3])
sock.settimeout(60)
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
word, times = b"x" * size, []
for _ in range(int(sys.argv[2])):
    began = time.perf_counter_ns()
    sock.sendall(word)
    sock.recv(size, socket.MSG_WAITALL)
    times.append(time.perf_counter_ns() - began)
times.sort()
print(sum(times) / 1e9, times[len(times) // 2] / 1e3, times[len(times) * 99 // 100] / 1e3)
"""

# Two servers; a request costs so many turns of a loop and so many milliseconds of waiting, "/2000/0".  One keeps its connections
# in an event loop; the other has one request for each connection, so that several of it share the work evenly.
SERVE = """
import selectors, time

def answer(connection, more=b""):
    try:
        request = connection.recv(65536)
        if request:
            turns, wait = map(int, request.split()[1].split(b"/")[1:])
            for _ in range(turns):
                pass
            if wait:
                time.sleep(wait / 1000)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n" + more + b"\\r\\nok")
    except ConnectionError:
        request = b""
    return bool(request)

def keeps(listening, name):
    ready = selectors.DefaultSelector()
    ready.register(listening, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is listening:
                ready.register(listening.accept()[0], selectors.EVENT_READ)
            elif not answer(key.fileobj):
                ready.unregister(key.fileobj)
                key.fileobj.close()

def closes(listening, name):
    while True:
        connection, _ = listening.accept()
        with connection:
            answer(connection, b"Connection: close\\r\\n")
"""


def table(title, *rows):
    """A title, a heading and rows; numbers to the right."""
    print(f"\n{title}")
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  " + row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])), sep="  ")


def start(code, sock, rounds):
    command = [sys.executable, "-I", "-S", "-c", code, str(sock.fileno()), str(rounds), str(SIZE)]
    return subprocess.Popen(command, pass_fds=[sock.fileno()], stdout=subprocess.PIPE, text=True)


def echo(asker, answerer, rounds=ROUNDS, meanwhile=lambda asking: None):
    """Echo between two processes: seconds in all, median and 99th percentile of a round trip in µs."""
    with start(ECHO, answerer, rounds) as answering, start(ASK, asker, rounds) as asking:
        meanwhile(asking)
        total, median, p99 = map(float, asking.communicate(timeout=120)[0].split())
        answering.wait(10)
    return total, median, p99


@contextlib.contextmanager
def connected(link):
    with labs.network("client", "server", link=link) as net:
        client, server = net
        with server.listen(7) as listener, client.connect(server, 7) as asker, listener.accept()[0] as answerer:
            yield net, asker, answerer


def links():
    for link in ("tap", "veth"):
        if reason := why_not(link):
            print(f"\nNOT RUN on {link}: {reason}")
        else:
            yield link


def starting():
    rows = [("link", "median ms", "slowest ms")]
    for link in links():
        times = []
        for _ in range(20):
            began = time.perf_counter()
            net = labs.network("client", "server", link=link)
            times.append((time.perf_counter() - began) * 1e3)
            net.close()
        rows.append((link, f"{statistics.median(times):.0f}", f"{max(times):.0f}"))
    table("Start of a network of two hosts, 20 times", *rows)


def capturing():
    rows = [("", "alone s", "captured s", "ratio", "payload frames", "of", "missed")]
    for link in links():
        with connected(link) as (net, asker, answerer):
            echo(asker, answerer, 500)
            alone, slowed, worst, missed = [], [], 2 * ROUNDS, 0
            for turn in range(2 * REPEATS):  # in pairs, each kind first in every other: the machine changes its pace meanwhile
                if turn % 4 in (0, 3):
                    alone.append(echo(asker, answerer)[0])
                    continue
                with net.capture() as cap:
                    slowed.append(echo(asker, answerer)[0])
                worst = min(worst, sum(frame.payload_length == SIZE for frame in cap))
                missed += cap.missed
        rows.append(row_of(f"labs on {link}", alone, slowed, worst, missed))
    if os.getuid():
        print("\nNOT RUN: scapy's AsyncSniffer on lo: it needs root")
    else:
        rows.append(sniffing())
    table(f"{ROUNDS:,} echoes of {SIZE} bytes, {REPEATS} pairs: median times, median ratio of a pair, worst count", *rows)


def row_of(name, alone, slowed, worst, missed):
    a, s = statistics.median(alone), statistics.median(slowed)
    ratio = statistics.median(captured / bare for bare, captured in zip(alone, slowed))
    return name, f"{a:.3f}", f"{s:.3f}", f"{ratio:.2f}", f"{worst:,}", f"{2 * ROUNDS:,}", missed


def sniffing():
    """The same echo over the machine's own lo, as scapy's AsyncSniffer sees it."""
    from scapy.layers.inet import IP, TCP
    from scapy.sendrecv import AsyncSniffer

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as asker, listener.accept()[0] as answerer:
            echo(asker, answerer, 500)
            alone, slowed, worst = [], [], 2 * ROUNDS
            for _ in range(REPEATS):
                alone.append(echo(asker, answerer)[0])
                ready = threading.Event()
                sniffer = AsyncSniffer(iface="lo", store=True, started_callback=ready.set)
                sniffer.start()
                ready.wait(10)
                slowed.append(echo(asker, answerer)[0])
                sniffer.stop()
                seen = set()  # lo shows every frame twice, on its way out and on its way in: count each once
                for packet in sniffer.results:
                    if TCP in packet and port in (packet[TCP].sport, packet[TCP].dport) and len(packet[TCP].payload) == SIZE:
                        seen.add((packet[TCP].sport, packet[TCP].seq, packet[IP].id))
                worst = min(worst, len(seen))
    return row_of("scapy AsyncSniffer on lo, stopped at the end", alone, slowed, worst, "not told")


def busy():
    def compute(asking):
        n = 0
        while asking.poll() is None:
            for _ in range(200_000):
                n += 1

    rows = [("link", "idle p50 µs", "idle p99 µs", "busy p50 µs", "busy p99 µs")]
    for link in links():
        with connected(link) as (_, asker, answerer):
            echo(asker, answerer, 500)
            idle, computing = echo(asker, answerer), echo(asker, answerer, meanwhile=compute)
            rows.append((link, *(f"{number:.0f}" for number in (*idle[1:], *computing[1:]))))
    table(f"Round trips between two other processes while this interpreter computes ({os.cpu_count()} CPUs)", *rows)


def reading():
    link = next(links(), None)
    if link is None:
        return
    with connected(link) as (net, asker, answerer), net.capture() as cap:
        echo(asker, answerer, ROUNDS)
    frames = cap[:10_000].frames
    rows = [("", "median ms")]

    def timed(what, do):
        times = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            do()
            times.append((time.perf_counter() - began) * 1e3)
        rows.append((what, f"{statistics.median(times):.0f}"))

    try:
        from labs.views.frame_words import describe
    except ImportError as e:
        print(f"\nNOT RUN: views: {e}")
        return
    timed(f"{len(frames):,} frames described, a line each", lambda: describe(copies(frames)))
    timed(f"{len(frames):,} frames: text of the whole ladder", lambda: cap[:10_000].ladder(limit=None).text)
    timed("picture of a ladder of 40 rows", lambda: cap[:40].ladder().png())
    table("Reading a capture", *rows)


def copies(frames):
    """The same frames, not yet read: a frame remembers what it has read of its headers."""
    made = []
    for frame in frames:
        copy = type(frame)(frame.raw, number=frame.number, time=frame.time, sender=frame.sender, wire=frame.wire)
        copy.arrivals, copy.lost, copy.names, copy.origin = frame.arrivals, frame.lost, frame.names, frame.origin
        made.append(copy)
    return made


def loading():
    """labs.load beside wrk on the same servers, in turns, so that whatever else the machine does meets both."""
    link = next(links(), None)
    if link is None:
        return
    if not shutil.which("wrk"):
        print("\nNOT RUN: labs.load beside wrk: wrk is not installed (Debian: apt install wrk)")
        return
    rows = [("a request costs", "wrk", "labs.load", "median ratio", "lowest", "highest")]
    with labs.network("client", "server", link=link) as net:
        server = net["server"]
        for cost, function, path, count in (
            ("nothing", "keeps", "/0/0", 1),
            ("2,000 turns of a loop", "keeps", "/2000/0", 1),
            ("40,000 turns", "keeps", "/40000/0", 1),
            ("1 ms of waiting", "keeps", "/0/1", 1),
            ("a connection and 40,000 turns, 4 workers", "closes", "/40000/0", 4),
            ("a connection and 10 ms of waiting, 4 workers", "closes", "/0/10", 4),
        ):
            theirs, ours = [], []
            with labs.workers(function, on=server, count=count, code=SERVE):
                for _ in range(REPEATS):
                    program = server.run(["wrk", "-t1", "-c8", "-d1", f"http://{server.address}{path}"])
                    program.wait(20)
                    theirs.append(float(re.search(r"Requests/sec:\s*([\d.]+)", program.output())[1]))
                    ours.append(labs.load(server, f"http://server{path}", connections=8, seconds=1.0).throughput)
            ratios = [one / other for one, other in zip(ours, theirs)]
            numbers = (statistics.median(ratios), min(ratios), max(ratios))
            rows.append((cost, *(f"{statistics.median(x):,.0f}" for x in (theirs, ours)), *(f"{x:.2f}" for x in numbers)))
    table(f"Requests a second in a closed loop of 8 connections, 1 s each, {REPEATS} times in turns", *rows)


def importing():
    def took(code):
        times = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append((time.perf_counter() - began) * 1e3)
        return statistics.median(times)

    empty = took("pass")
    rows = [("", "median ms beyond an empty program")]
    for code in ("import labs", "import labs; labs.network", "import labs; labs.claim", "import scapy.all"):
        rows.append((code, f"{took(code) - empty:.0f}"))
    table("Imports, 5 times", *rows)


def main():
    versions = f"Python {sys.version.split()[0]}, scapy {metadata.version('scapy')}, Linux {os.uname().release}"
    print(f"{versions}, {os.cpu_count()} CPUs")
    for part in (starting, capturing, busy, reading, loading, importing):
        part()


if __name__ == "__main__":
    main()
