"""The cable: what happens to a frame between one card and another.

Two cards make a cable; three or more make a switch, which learns which MAC address lives behind which card and sends the
rest to everyone (IEEE 802.1Q, 8.7).  On top of that the cable can lose, delay, limit its rate, hold, double, rewrite and reorder.
An idle, undisturbed cable must cost next to nothing: `carry` has one short path for it.
"""

from _random import Random  # what random.Random is made of; importing all of it takes a quarter of our start
from collections import deque, namedtuple
from time import monotonic_ns as now

from labs.captures.log import ARRIVED, CROSSED, EVERYONE, LOST, SENT
from labs.network.held_clocks import says

TYPE_CHECKING = False  # typing.TYPE_CHECKING: the lab process imports no typing
if TYPE_CHECKING:
    from labs.network.frame_log import FrameLog
    from labs.network.traffic import Traffic

__all__ = ["HELD", "Cable", "Verdict"]

# What a rule of the notebook says of a frame: other bytes, or lose it, delay it by so many s, double it, let so many others pass.
Verdict = namedtuple("Verdict", "changed drop extra copies behind", defaults=(None, False, 0.0, 0, 0))
NO_RULE = Verdict()
OVERTAKEN_WITHIN = 1_000_000_000  # ns; a frame told to let others pass does not wait for ever
HELD = 10_000  # frames that a wire holds, as many as a card keeps (labs.network.cards); then it loses them, and says so


class Cable:
    """One Ethernet segment.  `traffic` offers schedule() and write(), `log` takes records (labs.network.frame_log)."""

    def __init__(
        self, traffic: "Traffic", log: "FrameLog", index: int, macs: dict[int, bytes], outside: int, settings: dict
    ) -> None:
        self.traffic, self.log, self.index = traffic, log, index
        self.cards: list[int] = list(macs)  # the numbers of those plugged in here
        self.outside = outside  # the number that stands for frames put on this wire by the notebook
        self.learned: dict[bytes, int] = {}  # MAC address → card number, as a switch learns it
        self.owners = {mac: card for card, mac in macs.items()}  # as it is; for frames that the notebook puts on the wire
        self.delay = self.loss = 0.0  # seconds one way; probability
        self.rate, self.queue = None, 100  # bits a second; frames that may wait when the rate is reached
        self.cut = self.holding = False
        self.judge = None  # the notebook's rules for this wire (labs.network.onlookers.Judge)
        self.onlookers: list = []  # packet sockets of the notebook
        self.said: set = set()  # what was sent since the wire is held
        self.held: deque = deque()  # (number, frame, source, bytes as changed by a rule or None)
        self.overtaken: list = []  # Passages that let others of the same sender pass
        self.lost: dict[str, int] = {}  # reason → frames, since the network began
        self.busy_until: dict[int, int] = {}  # card → time at which its last bit leaves, when there is a rate
        self.random = Random(1)
        self.set(settings)

    def set(self, settings: dict) -> None:
        for name, value in settings.items():
            setattr(self, name, value)
        self.plain = not (
            self.delay or self.loss or self.rate or self.cut or self.holding or self.judge or self.onlookers or self.held
        )

    def carry(self, frame: bytes, source: int) -> None:
        """A frame enters the cable from card `source`."""
        traffic = self.traffic
        traffic.number += 1
        target = self.target(frame, source)
        if self.plain:
            time = now()
            self.hand_over(frame, source, target)
            self.log.add(time, traffic.number, source, target, CROSSED, frame)  # afterwards: the receiver waits for no capture
            return
        self.log.add(now(), traffic.number, source, target, SENT, frame)
        for onlooker in self.onlookers:
            onlooker.tell(frame)
        if self.judge:
            self.judge.put(traffic.number, frame, source)
        else:
            self.decide(traffic.number, frame, source)

    def target(self, frame: bytes, source: int) -> int:
        """The card that gets the frame, or EVERYONE: on a cable the other end, on a switch whoever owns the address, if known."""
        if source == self.outside:
            return EVERYONE if frame[0] & 1 else self.owners.get(frame[:6], EVERYONE)
        if len(self.cards) == 2:
            return self.cards[1] if source == self.cards[0] else self.cards[0]
        self.learned[frame[6:12]] = source
        if frame[0] & 1:  # broadcast or multicast
            return EVERYONE
        return self.learned.get(frame[:6], EVERYONE)

    def decide(self, number: int, frame: bytes, source: int, rule: Verdict = NO_RULE) -> None:
        """What a rule said of the frame, then what the cable itself does with it."""
        changed = rule.changed
        if rule.drop:
            self.lose(number, source, "dropped by a rule")
        elif self.cut:
            self.lose(number, source, "the cable is cut")
        elif self.loss and self.random.random() < self.loss:
            self.lose(number, source, "lost by chance")
        elif self.holding and self.repeated(changed or frame):
            self.lose(number, source, "a repetition, and the wire is held")
        elif self.holding:
            for _ in range(rule.copies + 1):
                self.hold(number, frame, source, changed)
        elif rule.behind:
            passage = self.traffic.schedule(now() + OVERTAKEN_WITHIN, self, number, frame, source, changed, rule.behind)
            self.overtaken += [passage] if passage else []
        else:
            for _ in range(rule.copies + 1):
                self.send_on(number, frame, source, changed, rule.extra)
            for passage in [p for p in self.overtaken if p.source == source]:
                passage.behind -= 1
                if not passage.behind:
                    passage.gone = True
                    self.overtaken.remove(passage)
                    self.send_on(passage.number, passage.frame, source, passage.changed, rule.extra)

    def repeated(self, frame: bytes) -> bool:
        """True if a held wire has seen just this before: its sender grew impatient with the learner."""
        key = says(frame)
        known = key in self.said
        if key is not None and len(self.said) < HELD:
            self.said.add(key)
        return known

    def hold(self, number: int, frame: bytes, source: int, changed: bytes | None) -> None:
        if len(self.held) < HELD:
            self.held.append((number, frame, source, changed))
        else:
            self.lose(number, source, f"the wire holds {HELD:,} frames already")

    def send_on(self, number: int, frame: bytes, source: int, changed: bytes | None, extra: float) -> None:
        due = now()
        if self.rate:
            start = max(due, self.busy_until.get(source, 0))
            took = int(len(changed or frame) * 8e9 / self.rate)
            if start - due > self.queue * took:
                self.lose(number, source, "the queue is full")
                return
            due = self.busy_until[source] = start + took
        due += int((self.delay + extra) * 1e9)
        if due <= now():
            self.arrive(number, frame, source, changed)
        else:
            self.traffic.schedule(due, self, number, frame, source, changed)

    def arrive(self, number: int, frame: bytes, source: int, changed: bytes | None) -> None:
        """The frame comes out at the other end."""
        seen = changed or frame
        target = self.target(seen, source)
        self.log.add(now(), number, source, target, ARRIVED, changed or b"")
        self.hand_over(seen, source, target)

    def hand_over(self, frame: bytes, source: int, target: int) -> None:
        for card in self.cards if target == EVERYONE else (target,):
            if card != source:
                self.traffic.write(card, frame)

    def lose(self, number: int, source: int, reason: str) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + 1
        self.log.add(now(), number, source, EVERYONE, LOST, reason.encode())

    def step(self) -> tuple:
        """Hand over the oldest held frame, unless the cable is cut: (number, frame as it comes out, source, its cards)."""
        number, frame, source, changed = self.held.popleft()
        seen = changed or frame
        if self.cut:
            self.lose(number, source, "the cable is cut")
            return number, seen, source, ()
        target = self.target(seen, source)
        self.arrive(number, frame, source, changed)
        return number, seen, source, [card for card in (self.cards if target == EVERYONE else (target,)) if card != source]

    def release(self) -> int:
        """Hand over all that is held and hold no more; how many there were."""
        count = len(self.held)
        while self.held:
            self.step()
        self.said.clear()
        self.set({"holding": False})
        return count
