"""The lab process's traffic: frames from the cards to the cables and on, delayed ones when they are due, all of them to the log.

It also serves who watches or meddles: packet sockets of the notebook, and its rules, which judge single frames.
"""

import heapq
import os
from collections import deque
from time import monotonic_ns as now

from labs.captures.log import EVERYONE, record
from labs.network.cards import QUEUE
from labs.network.messages import FRAME, QUESTION, VERDICT

__all__ = ["Traffic"]

TOGETHER = 64  # records


class Traffic:
    """The part of the lab that moves frames.  Cables (labs.network.cable) decide, this carries out."""

    def log(self, time, number, source, target, kind, data=b""):
        if not self.captures:
            return
        if self.logged + len(data) > self.log_limit:
            self.not_logged += 1
            return
        self.unwritten.append(record(time, number, source, target, kind, data))
        self.logged += len(self.unwritten[-1])
        if len(self.unwritten) == TOGETHER:
            self.write_log()

    def write_log(self):
        """Records are written many at a time, so that a capture slows traffic little; and whenever somebody wants to read."""
        records, entries, self.unwritten = len(self.unwritten), b"".join(self.unwritten), []
        begin = self.logged - len(entries)
        try:
            whole = os.pwrite(self.log_fd, entries, begin) == len(entries)
        except OSError:  # no memory left
            whole = False
        if not whole:
            self.logged = begin
            self.not_logged += records

    def write(self, card, frame):
        try:
            self.cards[card].write(frame)
        except OSError:
            self.write_failures += 1  # card down, or a frame that it refuses

    def schedule(self, time, cable, number, frame, source, changed, waits=False):
        self.order += 1
        heapq.heappush(self.due, (time, self.order, cable, number, frame, source, changed, waits))

    def tell(self, listener, frame):
        """Give a listener a frame, when it has room for it: the wire does not wait for who only looks on."""
        backlog = self.untold.setdefault(listener, deque())
        if len(backlog) < QUEUE:
            backlog.append(frame)
        else:
            self.not_logged += 1
        if len(backlog) == 1:
            self.tell_on(listener)

    def tell_on(self, listener):
        backlog = self.untold[listener]
        try:
            while backlog:
                listener.send(backlog[0])
                backlog.popleft()
        except BlockingIOError:
            return
        except OSError:
            pass  # the notebook closed it: main() will notice
        del self.untold[listener]

    def ask(self, cable):
        """Put frames to the notebook's rules, as many as the socket takes.  We never wait for it: it may be waiting for us."""
        try:
            while cable.asked < len(cable.judged):
                number, frame, source = cable.judged[cable.asked]
                cable.judge.send(QUESTION.pack(number, source) + frame)
                cable.asked += 1
        except OSError:
            pass  # full: the next verdict makes room; or closed: main() will notice and decide what it left open

    def something_held(self, cable):
        for wait in [w for w in self.waiting if w[1] == "step" and w[2] is cable]:
            if cable.held and wait in self.waiting:  # another thread's step, or the one inside stepped(), may have been first
                self.waiting.remove(wait)
                self.answer(wait[0], self.stepped(cable))

    def carry_from(self, number, most):
        """Up to `most` frames from one card; how many there were."""
        card, cable = self.cards[number], self.cable_of[number]
        for count in range(most):
            try:
                frame = card.read()
            except OSError:  # the host deleted its card
                self.card_of.pop(card.fileno(), None)
                return count
            if frame is None:
                return count
            cable.carry(frame, number)
        return most

    def arrivals(self):
        time = now()
        while self.due and self.due[0][0] <= time:
            _, _, cable, number, frame, source, changed, waits = heapq.heappop(self.due)
            if not waits:
                cable.arrive(number, frame, source, changed)
            elif cable.overtaken_at_last(number):
                cable.arrive(number, frame, source, changed)
        for wait in list(self.waiting):
            channel, kind, what, deadline = wait
            if kind == "settle" and what():
                self.waiting.remove(wait)
                self.answer(channel, self.position())
            elif deadline <= time:
                self.waiting.remove(wait)
                self.answer(channel, self.position() if kind == "settle" else {"none": True})

    def drain(self):
        """Carry all that the kernels have sent by now: it is then on its way or in the log."""
        for listener in list(self.listeners):
            while self.injected(listener):
                pass
        for _ in range(QUEUE // 64):  # no card holds more; what comes meanwhile, without end perhaps, need not be waited for
            if not any([self.carry_from(number, 64) for number in range(len(self.cards))]):
                return

    def settled(self, number):
        """True when no frame up to `number` is on its way.  A held frame is not on its way."""
        on_the_way = any(item[3] <= number and (not item[7] or item[2].waits_for_others(item[3])) for item in self.due)
        return not on_the_way and not any(c.judged and c.judged[0][0] <= number for c in self.cables)

    def position(self):
        self.write_log()
        lost = self.write_failures + self.not_logged
        for card, host in zip(self.cards, self.host_of):
            self.enter(host)
            lost += card.lost()
        return {"at": self.logged, "missed": lost, "number": self.number}

    def stepped(self, cable):
        number, frame, source, changed = cable.held[0]
        target = cable.target(changed or frame, source)
        to = [self.host_of[card] for card in (cable.cards if target == EVERYONE else (target,)) if card != source]
        cable.step()
        self.drain()  # what the frame's arrival made the kernels send is now held, too
        sender = self.host_of[source] if source < self.total_cards else "wire"
        return {"number": number, "raw": changed or frame, "sender": sender, "receivers": to}

    def end_judge(self, cable):
        """The notebook's rules for this cable are gone: what they have not judged goes on as it is."""
        del self.judges[cable.judge]
        cable.judge.close()
        cable.set({"judge": None, "asked": 0})
        while cable.judged:
            cable.decide(*cable.judged.popleft())

    def verdict(self, judge):
        cable = self.judges[judge]
        try:
            message = judge.recv(FRAME)
        except BlockingIOError:
            return
        except OSError:  # closed with questions unread
            message = b""
        if not message:
            return self.end_judge(cable)
        number, drop, extra, copies, behind = VERDICT.unpack_from(message)
        if cable.judged and cable.judged[0][0] == number:
            cable.asked -= 1
            cable.decide(*cable.judged.popleft(), message[VERDICT.size :] or None, drop, extra, copies, behind)
            self.ask(cable)

    def injected(self, listener):
        """Carry one frame that the notebook put on a wire; False if there was none."""
        cable, frame = self.listeners[listener], b""
        for _ in range(2):  # a socket that the notebook closed with frames unread says so once; what it had sent comes after
            try:
                frame = listener.recv(FRAME)
                break
            except BlockingIOError:
                return False
            except ConnectionResetError:
                pass
        if frame:
            others = [other for other in cable.listeners if other is not listener]
            everyone, cable.listeners = cable.listeners, others  # it does not hear itself
            cable.carry(frame.ljust(14, b"\0"), cable.outside)
            cable.listeners = everyone
            return True
        del self.listeners[listener]
        self.untold.pop(listener, None)
        cable.set({"listeners": [other for other in cable.listeners if other is not listener]})
        listener.close()
        return False
