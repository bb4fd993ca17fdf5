"""Graders of chapter 22: what a closed loop left out, workers balanced and not, an acceptor, a pool that loses nothing."""

import array
import contextlib
import fcntl
import random
import select
import socket
import termios
import time
from collections.abc import Callable, Iterable

from labs.lessons.exercise import Exercise, Feedback, close, done, missing
from labs.lessons.graders.tools import Running, call
from labs.network.net import make_network as network
from labs.serve.load import Load
from labs.serve.workers import Worker, workers

ANSWERS_WITHIN = 5.0  # seconds


class Wanted(Exercise):
    id = "22-wanted"
    title = "Write as_wanted(starts, latencies, every): latencies from when each request was wanted"
    expects = callable
    empty = "as_wanted returns nothing yet"
    hints = (
        "A request was answered at start + latency. What you look for is the time from when it was wanted to that moment.",
        "The first one was wanted when it was sent, the k-th one k × every seconds after the first.",
        "[start + latency - (starts[0] + k * every) for k, (start, latency) in enumerate(zip(starts, latencies))]",
    )

    def grade(self, function: Callable) -> Feedback:
        for number, (every, stall) in enumerate(((0.1, 0.0), (0.01, 0.3), (0.05, 0.4))):
            starts, took = closed_loop(every, stall, begin=number * 7.0)
            right = [start + latency - (starts[0] + k * every) for k, (start, latency) in enumerate(zip(starts, took))]
            got = call(function, list(starts), list(took), every, returns=(list, tuple))
            if len(got) != len(right):
                return missing(f"expected a list of {len(right)} latencies, got {len(got)} numbers")
            if same(got, right):
                continue
            if same(got, took):
                return close("these are the latencies of the log: they count from when a request was sent, not wanted")
            if same(got, [start + latency - k * every for k, (start, latency) in enumerate(zip(starts, took))]):
                return close("right for a log that begins at 0; this one begins later: its first request was wanted when sent")
            if same(got, [start - (starts[0] + k * every) for k, start in enumerate(starts)]):
                return close("this is how long each request waited to be sent; its own time belongs to it, too")
            worst = max(range(len(right)), key=lambda k: abs(got[k] - right[k]))
            told = f"request {worst} took {right[worst]:.3f} s from when it was wanted, as_wanted says {got[worst]:.3f} s"
            return close(f"every {every} s, with a stop of {stall} s: {told}")
        return done("three logs, two of them with a stop: every latency counts from when its request was wanted")


def closed_loop(every: float, stall: float, begin: float, count: int = 40) -> tuple[list[float], list[float]]:
    """The log of a user who wants a request every so often, and cannot send before the last one is answered."""
    dice, now, starts, took = random.Random(22), begin, [], []
    for number in range(count):
        now = max(now, begin + number * every)
        latency = dice.uniform(0.001, 0.004) + (stall if number == 10 else 0.0)
        starts.append(now)
        took.append(latency)
        now += latency
    return starts, took


def same(some: Iterable[float], others: Iterable[float]) -> bool:
    return all(abs(one - other) < 1e-6 for one, other in zip(some, others))


class Uneven(Exercise):
    id = "22-uneven"
    title = "Hand in a Load: two workers with the same number of connections, one answered three times as much as the other"
    expects = Load
    hints = (
        'labs.load(…, worker="X-Worker") notes who answered; load.per_worker and load.per_connection count.',
        "Two processes that keep their connection, two connections: one each. Now one of them has to be slower.",
        'def uneven(listening, name): … time.sleep(0.02 if name == "worker 2" else 0.001) before each answer.',
    )

    def grade(self, load: Load) -> Feedback:
        if not load.requests:
            return missing("no request of this load was answered")
        if not load.workers or "" in load.workers:
            return missing('this load does not know who answered: labs.load(…, worker="X-Worker")')
        owners = {}
        for connection, worker in zip(load.connection_of, load.worker_of):
            owners.setdefault(connection, set()).add(worker)
        if len(load.workers) < 2:
            return missing(f"only {load.workers[0]} answered: the proof needs two workers")
        if several := [connection for connection, who in owners.items() if len(who) > 1]:
            why = "here requests are dealt out, or every request had a connection of its own"
            return close(f"connection {several[0]} was answered by several workers: {why}")
        count = {worker: sum(who == {worker} for who in owners.values()) for worker in load.workers}
        pairs = [(a, b) for a in count for b in count if a != b and count[a] == count[b]]
        told = ", ".join(f"{worker}: {number}" for worker, number in count.items())
        if not pairs:
            return close(f"no two workers have the same number of connections ({told})")
        answered = load.per_worker
        best, (a, b) = max((answered[a] / answered[b], (a, b)) for a, b in pairs)
        if best < 3:
            return close(f"equal connections, and {a} answered {best:.1f} times as many requests as {b}: make it three times")
        return done(f"{a} and {b} had {count[a]} connection{'s' * (count[a] > 1)} each, and one answered 3 times as much or more")


class Fewest(Exercise):
    id = "22-fewest"
    title = "Write deal(listening, workers): each new connection to the worker with the fewest open ones"
    expects = callable
    empty = "deal does nothing yet"
    hints = (
        "Two kinds of news: a connection at the listening socket, a byte from a worker. selectors waits for both.",
        "Read the bytes before you accept: opened[worker] -= len(worker.recv(100)). There may be several at once.",
        "After socket.send_fds the worker has its own copy of the descriptor. Close yours, or the connection never ends.",
    )

    def grade(self, function: Callable) -> Feedback:
        with contextlib.ExitStack() as stack:
            client, server = stack.enter_context(network("client", "server"))
            listening = server.listen(80)
            pairs = [socket.socketpair() for _ in range(3)]
            ours, theirs = [ours for ours, _ in pairs], [theirs for _, theirs in pairs]
            run = stack.enter_context(Running(function, listening, list(theirs), sockets=(listening, *theirs)))
            for sock in (*ours, *theirs):
                sock.settimeout(ANSWERS_WITHIN)
                stack.callback(sock.close)
            return self.deal(run, ours, lambda: stack.enter_context(client.connect(server, 80)), stack)

    def deal(self, run: Running, workers: list[socket.socket], connect: Callable, stack: contextlib.ExitStack) -> Feedback:
        held, order = [[], [], []], []

        def next_one():
            caller = connect()
            ready, _, _ = select.select(workers, [], [], 2.0)
            if not ready:
                return None
            _, fds, _, _ = socket.recv_fds(ready[0], 100, 4)
            index = workers.index(ready[0])
            for fd in fds:
                held[index].append((stack.enter_context(socket.socket(fileno=fd)), caller))
            order.append(index + 1)
            return index

        for number in range(1, 7):
            if next_one() is None:
                return missing(run.why(f"connection {number} was handed to nobody"))
        if order != [1, 2, 3, 1, 2, 3]:
            return close(f"six connections went to workers {', '.join(map(str, order))}: each worker should have got two")
        for connection, _ in held[1]:
            connection.close()
        for _, caller in held[1]:
            if not select.select([caller], [], [], 1.0)[0]:
                return close("worker 2 closed its connections, and its clients heard nothing: deal has kept a copy of each")
        workers[1].sendall(b"--")
        deadline = time.monotonic() + 2
        while unread(workers[1]) and time.monotonic() < deadline:
            time.sleep(0.005)
        if unread(workers[1]):
            return close("worker 2 has sent a byte for each of its two connections that ended, and deal has not read them")
        time.sleep(0.05)  # what was read has to be counted
        order.clear()
        for number in range(1, 4):
            if next_one() is None:
                return close(run.why(f"after two connections had ended, new connection {number} was handed to nobody"))
        if order[:2] != [2, 2]:
            told = " and ".join(map(str, order[:2]))
            return close(f"worker 2 had no connection left and the others two each; the next ones went to workers {told}")
        if order[2] != 1:
            return close(f"with two connections each, the first worker is due; the connection went to worker {order[2]}")
        return done("nine connections, each to the worker with the fewest, and those that ended were counted")


def unread(sock: socket.socket) -> int:
    """Bytes that the other end has not taken yet."""
    left = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, left)
    return left[0]


WORKER = """
import os, time

def work(listening, name):
    connection, _ = listening.accept()
    for line in connection.makefile("rb"):
        os.write(1, b"begin " + line)
        time.sleep(float(line.split()[1]))
        connection.sendall(line.split()[0] + f" by {os.getpid()}\\n".encode())
"""


class Pool(Exercise):
    id = "22-pool"
    title = "Write serve(listening, workers): a pool that balances by request and survives a worker's death"
    expects = callable
    empty = "serve does nothing yet"
    hints = (
        "One queue of lines for all. A thread for each worker takes a line, sends it, reads the answer, gives it to the client.",
        "A worker that has died shows in two ways: OSError when you send or read, or an empty answer, the end of the stream.",
        "Put the line back into the queue then, and let this worker's thread end. The client waits until it is answered.",
    )

    def grade(self, function: Callable) -> Feedback:
        with contextlib.ExitStack() as stack:
            client, server = stack.enter_context(network("client", "server"))
            processes = []
            for port in (9001, 9002, 9003):
                processes += stack.enter_context(workers("work", on=server, port=port, count=1, code=WORKER))
            sockets = [stack.enter_context(server.connect("127.0.0.1", port)) for port in (9001, 9002, 9003)]
            door = server.listen(80)
            run = stack.enter_context(Running(function, door, list(sockets), sockets=(door, *sockets)))
            people = [Person(name, stack.enter_context(client.connect(server, 80))) for name in "ABCD"]
            return self.try_it(run, people, processes)

    def try_it(self, run: Running, people: list["Person"], processes: list[Worker]) -> Feedback:
        first, *others = people
        heavy = first.ask(0.8)
        if began(processes, heavy) is None:
            return missing(run.why("a line was sent by a client, and no worker got it"))
        for turn in range(2):
            for person in others:
                word = person.ask(0.01)
                if problem := person.answered(word, run, seconds=2.0):
                    return problem
                if first.has_answer():
                    why = "while another worker was free" if turn == 0 else "though two workers were free"
                    return close(f"{person.name}'s short line waited behind {first.name}'s long one {why}: balance by request")
        if problem := first.answered(heavy, run):
            return problem
        word = first.ask(0.5)
        victim = began(processes, word)
        if victim is None:
            return close(run.why("after a few lines, the next one reached no worker"))
        victim.kill()
        if problem := first.answered(word, run, "its worker was killed in the middle of it"):
            return problem
        for _ in range(2):
            for person in people:
                word = person.ask(0.01)
                if problem := person.answered(word, run, "this was after a worker had died"):
                    return problem
        if extra := next((person for person in people if person.has_answer()), None):
            return close(f"{extra.name} got more answers than it had asked for")
        return done("every line was answered once, none waited while a worker was free, and a worker's death cost nobody a line")


class Person:
    """A client that keeps its connection and asks one line after another."""

    def __init__(self, name, sock):
        self.name, self.sock, self.asked, self.got = name, sock, 0, b""

    def ask(self, seconds: float) -> str:
        self.asked += 1
        word = f"{self.name}{self.asked}"
        with contextlib.suppress(OSError):
            self.sock.sendall(f"{word} {seconds}\n".encode())
        return word

    def has_answer(self) -> bool:
        return bool(self.got) or bool(select.select([self.sock], [], [], 0)[0])

    def answered(self, word: str, run: Running, when: str = "", seconds: float = ANSWERS_WITHIN) -> Feedback | None:
        """None if the answer to this word comes; else Feedback."""
        when, deadline = f"; {when}" if when else "", time.monotonic() + seconds
        while b"\n" not in self.got:
            if not select.select([self.sock], [], [], max(0, deadline - time.monotonic()))[0]:
                return close(run.why(f"{self.name}'s line was not answered within {seconds:g} s{when}"))
            try:
                part = self.sock.recv(1000)
            except OSError:
                part = b""
            if not part:
                return close(run.why(f"{self.name}'s connection ended before its line was answered{when}"))
            self.got += part
        line, _, self.got = self.got.partition(b"\n")
        if line.split()[:1] != [word.encode()]:
            return close(f"{self.name} asked {word} and was answered {line[:60].decode(errors='replace')!r}{when}")
        return None


def began(processes: list[Worker], word: str, seconds: float = 2.0) -> Worker | None:
    """The worker that works on this word, once one does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in processes:
            if f"begin {word} " in process.output():
                return process
        time.sleep(0.002)
    return None
