"""A capture of frames that a test makes, for tests of what reads captures: no network, no clock, every number chosen."""

from labs.captures.frame import Arrival, Frame
from labs.decode import build, headers

HOSTS = ("client", "server")
MACS = {"client": "02:00:00:00:00:01", "server": "02:00:00:00:00:02"}
LETTERS = {"F": headers.FIN, "S": headers.SYN, "R": headers.RST, "P": headers.PSH, "A": headers.ACK, "U": headers.URG}
NAMES = {
    "10.0.0.1": "client", "02:00:00:00:00:01": "client",
    "10.0.0.2": "server", "02:00:00:00:00:02": "server",
}  # fmt: skip


class FakeCapture:
    """The attributes of labs.captures.capture.Capture that a view reads."""

    def __init__(self, frames, hosts=HOSTS, names=NAMES, origin="live, tap", missed=0):
        self.frames, self.hosts, self.names, self.origin, self.missed = frames, hosts, dict(names), origin, missed

    def __len__(self):
        return len(self.frames)

    def __iter__(self):
        return iter(self.frames)

    def __getitem__(self, index):
        return self.frames[index]


def frame_of(raw, number=1, sender="client", receivers=("server",), time=None, wire=0, delay=20_000, lost=""):
    """One frame that arrived at `receivers`, `delay` nanoseconds after it was sent."""
    time = 1_700_000_000_000_000_000 + number * 137_000 if time is None else time
    frame = Frame(bytes(raw), number=number, time=time, sender=sender, wire=wire)
    frame.lost = lost
    frame.arrivals = [] if lost else [Arrival(time + delay, receiver) for receiver in receivers]
    return frame


def capture_of(sent, hosts=HOSTS, names=NAMES, **kw):
    """A capture of [(sender, scapy packet or bytes), …] on one wire: everyone but the sender receives."""
    frames = [frame_of(raw, number, sender, [h for h in hosts if h != sender]) for number, (sender, raw) in enumerate(sent, 1)]
    return FakeCapture(frames, hosts, names, **kw)


class Talk:
    """Writes the frames of one TCP connection between client and server, with any ports and initial sequence numbers."""

    def __init__(self, sport=43210, dport=80, isn=1_000_000, peer_isn=4_294_967_290, src="10.0.0.1", dst="10.0.0.2"):
        self.sport, self.dport, self.seq = sport, dport, {"client": isn, "server": peer_isn}
        self.address = {"client": src, "server": dst}
        self.sent = []

    def say(self, who, flags, data=b"", seq=None, window=64240, options=b"", move=True):
        """Append a segment; `seq` counts from this side's own next number; flags: "SA" is SYN, ACK."""
        other = "server" if who == "client" else "client"
        ports = (self.sport, self.dport) if who == "client" else (self.dport, self.sport)
        number = (self.seq[who] + (seq or 0)) % 2**32
        segment = build.tcp(
            *ports, seq=number, ack=self.seq[other] if "A" in flags else None, flags=sum(LETTERS[one] for one in flags),
            window=window, options=options, data=data,
        )  # fmt: skip
        packet = build.ip(self.address[who], self.address[other], build.TCP, segment, identification=len(self.sent))
        if move:
            self.seq[who] = (number + len(data) + ("S" in flags) + ("F" in flags)) % 2**32
        self.sent.append((who, build.ethernet(MACS[who], MACS[other], build.IPV4, packet)))
        return self

    def open(self):
        """The three-way handshake."""
        offered = build.tcp_options(mss=1460, window_scale=7)
        self.say("client", "S", options=offered).say("server", "SA", options=offered)
        return self.say("client", "A")

    def close(self):
        """Both sides close, client first."""
        return self.say("client", "FA").say("server", "A").say("server", "FA").say("client", "A")
