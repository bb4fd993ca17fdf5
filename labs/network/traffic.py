"""The lab process's traffic: frames from the cards to the cables and on, and the delayed ones when they are due."""

import heapq
from functools import partial
from time import monotonic_ns as now

from labs.network.cable import Cable
from labs.network.cards import QUEUE
from labs.network.frame_log import FrameLog
from labs.network.hosts import Hosts
from labs.network.loop import Loop

__all__ = ["Passage", "Traffic", "UNDER_WAY"]

AT_ONCE = 64  # frames carried from one card before the next one's turn
UNDER_WAY = 50_000  # frames that may be on their way at one moment, on all wires together: 75 MB at an MTU of 1500


class Passage:
    """A frame under way.  `behind`: so many frames of the same sender it lets pass; its time is only the latest then.

    `gone`: they have passed, and it has gone on.
    """

    __slots__ = ("behind", "cable", "changed", "frame", "gone", "number", "source")

    def __init__(self, cable: Cable, number: int, frame: bytes, source: int, changed: bytes | None, behind: int) -> None:
        self.cable, self.number, self.frame, self.source = cable, number, frame, source
        self.changed, self.behind, self.gone = changed, behind, False


class Traffic:
    """Moves frames.  The cables (labs.network.cable) decide, this carries out."""

    def __init__(self, loop: Loop, hosts: Hosts, log: FrameLog, settings: dict) -> None:
        self.loop, self.hosts, self.log = loop, hosts, log
        self.number = 0  # of the last frame that entered a wire; all wires count together
        self.under_way: list[tuple[int, int, Passage]] = []  # a heap: (time, order, passage)
        self.order = 0
        self.onlookers: list = []  # packet sockets of the notebook, on all wires (labs.network.onlookers)
        self.lost = 0  # frames that a card did not take, or an onlooker had no room for
        self.cables = [
            Cable(self, log, index, {card: hosts.macs[card] for card in cards}, len(hosts.cards) + index, settings)
            for index, cards in sorted(hosts.on_wire.items())
        ]
        self.cable_of = {card: cable for cable in self.cables for card in cable.cards}
        for number, card in enumerate(hosts.cards):
            loop.watch(card.fileno(), partial(self.carry_from, number))
        loop.clock(lambda: self.under_way[0][0] if self.under_way else None, self.arrivals)

    def carry_from(self, number: int) -> int:
        """Up to AT_ONCE frames from one card; how many there were."""
        card, carry = self.hosts.cards[number], self.cable_of[number].carry
        for count in range(AT_ONCE):
            try:
                frame = card.read()
            except OSError:  # the host deleted its card
                self.loop.forget(card.fileno())
                return count
            if frame is None:
                return count
            carry(frame, number)
        return AT_ONCE

    def write(self, card: int, frame: bytes) -> None:
        try:
            self.hosts.cards[card].write(frame)
        except OSError:
            self.lost += 1  # card down, or a frame that it refuses

    def schedule(
        self, time: int, cable: Cable, number: int, frame: bytes, source: int, changed: bytes | None, behind: int = 0
    ) -> Passage | None:
        """Let a frame arrive at `time`; None if it is lost, because too many are under way."""
        if len(self.under_way) >= UNDER_WAY:
            cable.lose(number, source, f"{UNDER_WAY:,} frames are under way already")
            return None
        self.order += 1
        passage = Passage(cable, number, frame, source, changed, behind)
        heapq.heappush(self.under_way, (time, self.order, passage))
        return passage

    def arrivals(self) -> None:
        time = now()
        while self.under_way and self.under_way[0][0] <= time:
            passage = heapq.heappop(self.under_way)[2]
            if passage.gone:
                continue
            if passage.behind:
                passage.cable.overtaken.remove(passage)  # nobody passed it: it goes on all the same
            passage.cable.arrive(passage.number, passage.frame, passage.source, passage.changed)

    def cut(self, cable: Cable) -> None:
        """What is under way on a cable that is cut is lost."""
        lost = [passage for _, _, passage in self.under_way if passage.cable is cable and not passage.gone]
        self.under_way = [item for item in self.under_way if item[2].cable is not cable]
        heapq.heapify(self.under_way)
        cable.overtaken.clear()
        for passage in sorted(lost, key=lambda passage: passage.number):
            cable.lose(passage.number, passage.source, "the cable is cut")

    def drain(self) -> None:
        """Carry all that the kernels have sent by now: it is then on its way or in the log."""
        for onlooker in list(self.onlookers):
            onlooker.drain()
        for _ in range(QUEUE // AT_ONCE):  # no card holds more; what comes meanwhile, without end perhaps, need not be waited for
            if not any([self.carry_from(number) for number in range(len(self.hosts.cards))]):
                return

    def settled(self, number: int) -> bool:
        """True when no frame up to `number` is on its way.  A held frame is not on its way."""
        return not any(passage.number <= number and not passage.gone for _, _, passage in self.under_way) and not any(
            cable.judge and cable.judge.waits_for(number) for cable in self.cables
        )

    def position(self) -> dict:
        """Where the log ends, how many frames could not be kept, the number of the last frame."""
        self.log.write()
        return {"at": self.log.length, "missed": self.lost + self.log.dropped + self.hosts.lost(), "number": self.number}
