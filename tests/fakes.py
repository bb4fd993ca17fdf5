"""A capture made of scapy packets, for tests of what reads captures: no network, no clock, every number chosen."""

from labs.captures.frame import Arrival, Frame

HOSTS = ("client", "server")
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

    def say(self, who, flags, data=b"", seq=None, window=64240, options=(), move=True):
        """Append a segment; `seq` counts from this side's own next number."""
        from scapy.layers.inet import IP, TCP
        from scapy.layers.l2 import Ether

        other = "server" if who == "client" else "client"
        mac = {"client": "02:00:00:00:00:01", "server": "02:00:00:00:00:02"}
        ports = (self.sport, self.dport) if who == "client" else (self.dport, self.sport)
        number = (self.seq[who] + (seq or 0)) % 2**32
        packet = (
            Ether(src=mac[who], dst=mac[other])
            / IP(src=self.address[who], dst=self.address[other], id=len(self.sent))
            / TCP(
                sport=ports[0], dport=ports[1], seq=number, ack=self.seq[other] if "A" in flags else 0,
                flags=flags, window=window, options=list(options),
            )
            / data
        )  # fmt: skip
        if move:
            self.seq[who] = (number + len(data) + ("S" in flags) + ("F" in flags)) % 2**32
        self.sent.append((who, bytes(packet)))
        return self

    def open(self):
        """The three-way handshake."""
        self.say("client", "S", options=[("MSS", 1460), ("WScale", 7)])
        self.say("server", "SA", options=[("MSS", 1460), ("WScale", 7)])
        return self.say("client", "A")

    def close(self):
        """Both sides close, client first."""
        return self.say("client", "FA").say("server", "A").say("server", "FA").say("client", "A")
