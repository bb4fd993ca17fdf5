"""The exercises of chapter 18-how-the-backend-accepts-connections: queues that overflow, and one that must not."""

import contextlib
import time
from collections.abc import Callable

from labs.captures.capture import Capture
from labs.lessons.exercise import Exercise, Feedback, close, done, missing
from labs.lessons.graders.chapter_24 import connections, opened
from labs.lessons.graders.tools import Running, call
from labs.network.net import make_network as network

OVERFLOWS = "TcpExtListenOverflows"


class Backlog(Exercise):
    id = "18-backlog"
    title = "Write measure(client, server, port): the backlog of a server that accepts nobody"
    expects = callable
    empty = "measure returns nothing yet"
    hints = (
        "Connect again and again, and keep every socket. Some connect at once, and then one does not.",
        "A connect() that finds the queue full gets no answer: client.connect(…, timeout=0.3) raises TimeoutError.",
        "On Linux one more fits than listen() was told.",
    )

    def grade(self, function: Callable) -> Feedback:
        with network("client", "server") as net:
            client, server = net
            for port, backlog in ((81, 3), (82, 0), (83, 6)):
                with server.listen(port, backlog):
                    got = call(function, client, server, port, on=f"a server with a backlog of {backlog}", returns=int)
                if got == backlog + 1:
                    why = "that many fit, but it is not what listen() was told"
                    return close(f"a server with a backlog of {backlog} was measured as {got}: {why}")
                if got != backlog:
                    return close(f"a server with a backlog of {backlog} was measured as {got}")
        return done("three servers measured from outside: 3, 0 and 6")


class Overflow(Exercise):
    id = "18-overflow"
    title = 'Hand in {"before": counters, "after": counters, "capture": capture} of an accept queue that overflows'
    expects = dict
    hints = (
        "listen(…, backlog=0) holds one connection. The second SYN is dropped.",
        "Let one caller finish before the next begins: mine.wire.settle().",
        "Keep the capture open for more than a second after the dropped SYN, so that its repetition is in it.",
    )

    def grade(self, proof: dict) -> Feedback:
        before, after, capture = (proof.get(name) for name in ("before", "after", "capture"))
        if before is None and after is None and capture is None:
            return missing(f"nothing handed in yet. {self.title}.")
        if not isinstance(capture, Capture):
            return missing('"capture" should be a capture: with mine.capture() as my_overflow["capture"]: …')
        if not isinstance(before, dict) or not isinstance(after, dict) or OVERFLOWS not in before or OVERFLOWS not in after:
            return missing('"before" and "after" should be what mine["server"].counters() returned')
        rise = after[OVERFLOWS] - before[OVERFLOWS]
        dropped, repeated = unanswered(capture)
        if not dropped:
            lost = any(f.syn and f.lost for f in capture)
            why = ": a SYN that the wire loses never reaches the queue" if lost else ""
            return missing(f"no SYN of this capture arrived and stayed without an answer{why}")
        if not rise:
            why = "read the server's counters before and after"
            return close(f"{dropped} dropped in the capture, and {OVERFLOWS} did not rise: {why}")
        if rise != dropped:
            why = "let both begin and end together, and callers come one by one"
            return close(f"the capture shows {dropped} dropped, the counter rose by {rise}: {why}")
        if not repeated:
            return close("a SYN was dropped and counted; the capture ends before the client repeats it")
        return done(f"{dropped} SYN{'s' * (dropped != 1)} dropped on the wire, {rise} counted by the kernel")


class AbortedHandshake(Exercise):
    id = "18-reset"
    title = "Hand in a capture in which the server's kernel resets a client whose handshake found the accept queue full"
    expects = Capture
    hints = (
        'mine["server"].sysctl("net.ipv4.tcp_abort_on_overflow", 1)',
        "A SYN that finds the queue full is dropped all the same. Two callers have to pass that check before either is done.",
        "listen(80, backlog=1), one caller inside; then hold the wire, start two callers, and carry both SYNs before any ACK.",
    )

    def grade(self, capture: Capture) -> Feedback:
        best = missing("no frame of this capture has RST set")
        for frames in connections(capture):
            reset = next((f for f in frames if f.rst), None)
            if reset is None:
                continue
            finished = opened(frames)
            if finished is None:
                why = "nobody listens on that port; here the client must have finished its handshake"
                best = close(f"there is a RST, but it answers a SYN: {why}")
            elif reset.sender == frames[0].sender:
                best = close(f"the RST comes from the {reset.sender}, which opened the connection; the other side should send it")
            elif reset.is_ack or any(f.payload_length for f in frames):
                why = "here the kernel must, because there was no room for it"
                best = close(f"the server's program reset a connection that it had; {why}")
            else:
                return done("the client had finished its handshake; the server's kernel had no room and sent RST")
        return best


class Acceptor(Exercise):
    id = "18-acceptor"
    title = "Write serve(listener, answer): an acceptor that keeps up with bursts"
    expects = callable
    empty = "serve does nothing yet"
    hints = (
        "While answer() runs, nobody calls accept().",
        "Give each connection to a thread, and call accept() again at once.",
        "Thread(target=talk, args=(connection,)).start(), where talk reads, answers, sends and closes.",
    )

    def grade(self, function: Callable) -> Feedback:
        with network("client", "server") as net:
            client, server = net
            listener = server.listen(80, backlog=2)
            callers = []
            with contextlib.ExitStack() as stack:
                run = stack.enter_context(Running(function, listener, _answer, sockets=(listener,)))
                stack.callback(lambda: [caller.close() for caller in callers])
                for _ in range(8):
                    callers += [client.connect(server, 80, wait=False) for _ in range(3)]
                    time.sleep(0.03)
                if run.problem:
                    return missing(f"serve ended while clients came: {run.problem}; it has to go on accepting")
                if overflows := server.counters()[OVERFLOWS]:
                    return close(f"{OVERFLOWS} rose by {overflows}: clients came while serve did not accept")
                for number, caller in enumerate(callers):
                    caller.sendall(b"%d" % number)
                deadline = time.monotonic() + 3
                got = [_receive(caller, deadline) for caller in callers]
        right = sum(answer == b"answer to %d" % number for number, answer in enumerate(got))
        if right < len(got):
            return close(f"nobody was dropped, but only {right} of {len(got)} clients got the answer to their question")
        return done(f"{len(got)} clients in bursts of 3, all answered, none dropped")


def _answer(question):
    time.sleep(0.05)
    return b"answer to " + bytes(question)


def _receive(caller, deadline):
    got = b""
    try:
        while True:
            caller.settimeout(max(deadline - time.monotonic(), 0.001))
            part = caller.recv(1000)
            if not part:
                break
            got += part
    except OSError:  # reset, or not answered in time
        pass
    return got


def unanswered(capture: Capture) -> tuple[int, int]:
    """SYNs that arrived and got neither SYN, ACK nor RST before they were sent again; and how many of them were sent again."""
    dropped = repeated = 0
    for frames in connections(capture):
        syns = [f for f in frames if f.syn and not f.is_ack]
        for syn, following in zip(syns, [*syns[1:], None]):
            until = following.number if following else float("inf")
            answered = any(syn.number < f.number < until and f.sender != syn.sender for f in frames)
            if syn.arrivals and not answered:
                dropped += 1
                repeated += following is not None
    return dropped, repeated
