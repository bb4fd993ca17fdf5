"""The exercises of chapter 00-start-here: small ones, to learn how handing in works."""

from labs.captures.capture import Capture
from labs.errors import LabError
from labs.lessons.exercise import Exercise, Feedback, close, done, missing
from labs.network.net import Network


def count(number: int, noun: str) -> str:
    """ "no frames", "1 frame", "2 frames"."""
    return f"{number or 'no'} {noun}{'s' * (number != 1)}"


class OneSegment(Exercise):
    id = "00-one-segment"
    title = "Hand in a capture in which the client sends exactly one data segment, and it arrives"
    expects = Capture
    hints = (
        "A data segment is a TCP frame with a payload: f.payload_length is more than 0. The handshake has none.",
        "A short text handed over in one sendall() travels in one segment.",
        'Inside the `with`: sock = mine["client"].connect(mine["server"], 80), then sock.sendall(b"one").',
    )

    def grade(self, capture: Capture) -> Feedback:
        if "client" not in capture.hosts:
            has = ", ".join(capture.hosts)
            return missing(f'no host of this capture is called client: it has {has}; use labs.network("client", "server")')
        if not len(capture):
            return missing("this capture has no frames: did anything happen inside the `with`?")
        data = [frame for frame in capture if frame.protocol == "TCP" and frame.payload_length]
        sent = [frame for frame in data if frame.sender == "client"]
        if not sent and data:
            return close("the data segments come from the server; here the client should send one")
        if not sent:
            return close(f"{count(len(capture), 'frame')} and no data among them: the client has to send something")
        if len(sent) > 1:
            return close(f"the client sends {len(sent)} data segments, one is wanted: one sendall(), and few bytes")
        if not sent[0].arrivals:
            return close(f"there is one data segment, and it does not arrive: {sent[0].lost or 'the wire holds it'}")
        return done(f"one data segment among {count(len(capture), 'frame')}, carrying {count(sent[0].payload_length, 'byte')}")


class Lost(Exercise):
    id = "00-lost"
    title = "Hand in a capture with a frame that the wire lost"
    expects = Capture
    hints = (
        "A wire that is cut loses every frame.",
        "mine.wire.cut() has to come before the host sends; mine.wire.mend() after it.",
        'Connect before the capture. Inside it: mine.wire.cut(), then sock.sendall(b"anyone?").',
    )

    def grade(self, capture: Capture) -> Feedback:
        if not len(capture):
            return missing("this capture has no frames: something must be sent for the wire to lose it")
        lost = [frame for frame in capture if frame.lost]
        if lost:
            first = f"the first one from the {lost[0].sender}: {lost[0].lost}"
            return done(f"{len(lost)} of {count(len(capture), 'frame')} lost, {first}")
        held = sum(not frame.arrivals for frame in capture)
        if held:
            return close(f"the wire holds {count(held, 'frame')} and has lost none: what is held still arrives at release()")
        return close(f"{count(len(capture), 'frame')}, and every one arrived: cut the wire before the host sends, not after")


class HalfOpen(Exercise):
    id = "00-half-open"
    title = "Hand in a network whose wire holds a handshake half done: the server's kernel in SYN_RECV"
    expects = Network
    hints = (
        "hold() the wire before the client connects, and connect with wait=False: connect() could not finish.",
        "On a new network the first frames are ARP's question and its answer. The SYN comes after them.",
        "Step three times: ARP, ARP, SYN. The third frame of the handshake must not arrive.",
    )

    def grade(self, network: Network) -> Feedback:
        if network.closed:
            return missing("this network is closed: hand it in while it runs")
        try:
            client, server = network["client"], network["server"]
        except LabError:
            return missing('this network has no hosts called client and server; use labs.network("client", "server")')
        there, here = ([row.state for row in host.sockets() if row.protocol == "tcp"] for host in (server, client))
        if "SYN_RECV" in there:
            seen = "ESTABLISHED" if "ESTABLISHED" in here else "SYN_SENT" if "SYN_SENT" in here else "gone"
            return done(f"the server is in SYN_RECV and the client is {'in ' * (seen != 'gone')}{seen}: half open")
        if "LISTEN" not in there:
            return missing('nothing listens on the server: mine["server"].listen(80), and keep what it returns in a variable')
        if "ESTABLISHED" in there:
            return close("the handshake is complete, the server is in ESTABLISHED: hold the wire first, and take fewer steps")
        if "SYN_SENT" in here:
            return close("the client is in SYN_SENT and the server has not seen its SYN yet: step once more")
        return missing("the server listens, and no client is connecting to it")
