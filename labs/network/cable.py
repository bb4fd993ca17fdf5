"""The cable: what happens to a frame between one card and another.

Two cards make a cable; three or more make a switch, which learns which MAC address lives behind which card and sends the
rest to everyone (IEEE 802.1Q, 8.7).  On top of that the cable can lose, delay, limit its rate, hold, double, rewrite and reorder.
An idle, undisturbed cable must cost next to nothing: `carry` has one short path for it.
"""

from _random import Random  # what random.Random is made of; importing all of it takes a quarter of our start
from collections import deque
from time import monotonic_ns as now

from labs.captures.log import ARRIVED, CROSSED, EVERYONE, LOST, SENT
from labs.network.held_clocks import says

__all__ = ["Cable"]

OVERTAKEN_WITHIN = 1_000_000_000  # ns; a frame told to let others pass does not wait for ever


class Cable:
    """One Ethernet segment.  `lab` offers log(), schedule() and the cards; `cards` are the numbers of those plugged in here."""

    def __init__(self, lab, index, cards, settings):
        self.lab, self.index, self.cards = lab, index, cards
        self.outside = lab.total_cards + index  # the number that stands for frames put on this wire by the notebook
        self.learned = {}  # MAC address → card number, as a switch learns it
        self.owners = {lab.macs[card]: card for card in cards}  # as it is; for frames that the notebook puts on the wire
        self.delay = self.loss = 0.0  # seconds one way; probability
        self.rate, self.queue = None, 100  # bits a second; frames that may wait when the rate is reached
        self.cut = self.holding = False
        self.judge = None  # a socket to the notebook while it has rules for this wire
        self.said = set()  # what was sent since the wire is held
        self.held = deque()  # (number, frame, source, bytes as changed by a rule or None)
        self.judged = deque()  # (number, frame, source) for the judge, in order
        self.asked = 0  # how many of them it has been sent
        self.overtaken = []  # [frames still to pass, number, frame, source, changed]
        self.listeners = []  # packet sockets of the notebook
        self.busy_until = {}  # card → time at which its last bit leaves, when there is a rate
        self.random = Random(1)
        self.set(settings)

    def set(self, settings):
        for name, value in settings.items():
            setattr(self, name, value)
        self.plain = not (
            self.delay or self.loss or self.rate or self.cut or self.holding or self.judge or self.listeners or self.held
        )

    def carry(self, frame, source):
        """A frame enters the cable from card `source`."""
        lab = self.lab
        lab.number += 1
        target = self.target(frame, source)
        if self.plain:
            time = now()
            self.hand_over(frame, source, target)
            lab.log(time, lab.number, source, target, CROSSED, frame)  # while the receiver reads, so that it waits for no capture
            return
        lab.log(now(), lab.number, source, target, SENT, frame)
        for listener in self.listeners:
            lab.tell(listener, frame)
        if self.judge:
            self.judged.append((lab.number, frame, source))
            lab.ask(self)
        else:
            self.decide(lab.number, frame, source)

    def target(self, frame, source):
        """The card that gets the frame, or EVERYONE: on a cable the other end, on a switch whoever owns the address, if known."""
        if source == self.outside:
            return EVERYONE if frame[0] & 1 else self.owners.get(frame[:6], EVERYONE)
        if len(self.cards) == 2:
            return self.cards[1] if source == self.cards[0] else self.cards[0]
        self.learned[frame[6:12]] = source
        if frame[0] & 1:  # broadcast or multicast
            return EVERYONE
        return self.learned.get(frame[:6], EVERYONE)

    def decide(self, number, frame, source, changed=None, drop=False, extra=0.0, copies=0, behind=0):
        """What a rule said of the frame, then what the cable itself does with it."""
        if drop:
            self.lose(number, source, "dropped by a rule")
        elif self.cut:
            self.lose(number, source, "the cable is cut")
        elif self.loss and self.random.random() < self.loss:
            self.lose(number, source, "lost by chance")
        elif self.holding and self.repeated(changed or frame):
            self.lose(number, source, "a repetition, and the wire is held")
        elif self.holding:
            for _ in range(copies + 1):
                self.held.append((number, frame, source, changed))
            self.lab.something_held(self)
        elif behind:
            self.overtaken.append([behind, number, frame, source, changed])
            self.lab.schedule(now() + OVERTAKEN_WITHIN, self, number, frame, source, changed, waits=True)
        else:
            for _ in range(copies + 1):
                self.send_on(number, frame, source, changed, extra)
            for waiting in [w for w in self.overtaken if w[3] == source]:
                waiting[0] -= 1
                if not waiting[0]:
                    self.overtaken.remove(waiting)
                    self.send_on(*waiting[1:], extra)

    def repeated(self, frame):
        """True if a held wire has seen just this before: its sender grew impatient with the learner."""
        key = says(frame)
        known = key in self.said
        if key is not None:
            self.said.add(key)
        return known

    def send_on(self, number, frame, source, changed, extra):
        due = now()
        if self.rate:
            start = max(due, self.busy_until.get(source, 0))
            took = int(len(changed or frame) * 8e9 / self.rate)
            if start - due > self.queue * took:
                return self.lose(number, source, "the queue is full")
            due = self.busy_until[source] = start + took
        due += int((self.delay + extra) * 1e9)
        if due <= now():
            self.arrive(number, frame, source, changed)
        else:
            self.lab.schedule(due, self, number, frame, source, changed)

    def arrive(self, number, frame, source, changed):
        """The frame comes out at the other end."""
        seen = changed or frame
        target = self.target(seen, source)
        self.lab.log(now(), number, source, target, ARRIVED, changed or b"")
        self.hand_over(seen, source, target)

    def hand_over(self, frame, source, target):
        for card in self.cards if target == EVERYONE else (target,):
            if card != source:
                self.lab.write(card, frame)

    def lose(self, number, source, reason):
        self.lab.log(now(), number, source, EVERYONE, LOST, reason.encode())

    def waits_for_others(self, number):
        return any(waiting[1] == number for waiting in self.overtaken)

    def overtaken_at_last(self, number):
        """The time of a frame that was told to let others pass is up: True if it still waits."""
        for waiting in self.overtaken:
            if waiting[1] == number:
                self.overtaken.remove(waiting)
                return True
        return False

    def step(self):
        """Hand over the oldest held frame; its number, or None if none is held."""
        if not self.held:
            return None
        number, frame, source, changed = self.held.popleft()
        self.arrive(number, frame, source, changed)
        return number

    def release(self):
        """Hand over all that is held and hold no more; how many there were."""
        count = len(self.held)
        while self.held:
            self.step()
        self.said.clear()
        self.set({"holding": False})
        return count
