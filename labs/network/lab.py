"""The lab itself: one loop that carries frames, answers the notebook's requests and watches its programs.

Requests come over sockets, one per thread of the notebook; `do_NAME` answers the request NAME.  A request that has to wait (for a
frame to step, for the wire to settle) is noted in `waiting` and answered later; nothing else waits for it.
"""

import errno
import marshal
import os
import select
import socket
from functools import partial
from time import monotonic_ns as now

from labs.network import netlink
from labs.network.hosts import Hosts
from labs.network.messages import MESSAGE
from labs.network.programs import Programs
from labs.network.traffic import Traffic

__all__ = ["Lab"]


class Lab(Hosts, Traffic, Programs):
    """Everything the lab process knows: namespaces, cards, cables, channels, programs, and what is due when."""

    def __init__(self, plan, log):
        self.log_fd, self.log_limit = log, plan["log_limit"]
        self.logged, self.captures, self.number, self.not_logged, self.write_failures = 0, 0, 0, 0, 0
        self.unwritten = []  # records that the log has not got yet; `logged` counts their bytes already
        self.due, self.order = [], 0  # a heap of (time, order, action)
        self.channels, self.listeners, self.judges, self.waiting = [], {}, {}, []
        self.untold = {}  # listener → frames that it had no room for yet
        self.programs = {}  # pid → [pidfd, exit status or None]
        self.namespaces, self.cards, self.host_of, self.macs = {}, [], [], []
        self.clocks, self.patient = {}, False  # host → what it waits for while a wire is held
        self.total_cards = sum(len(host["cards"]) for host in plan["hosts"])
        self.build(plan)

    # -- the loop ---------------------------------------------------------------------------------------------------------

    def main(self, lifeline):
        card_of = self.card_of = {card.fileno(): number for number, card in enumerate(self.cards)}
        while True:
            readers = [
                *card_of,
                lifeline,
                *self.channels,
                *self.listeners,
                *self.judges,
                *(p[0] for p in self.programs.values() if p[1] is None),
            ]
            ready, roomy, _ = select.select(readers, list(self.untold), [], self.patience())
            for it in roomy:
                self.tell_on(it)
            for it in ready:
                if it in card_of:
                    self.carry_from(card_of[it], 64)
                elif it is lifeline:
                    if not self.new_channel(lifeline):
                        return self.write_log()
                elif it in self.listeners:
                    self.injected(it)
                elif it in self.judges:
                    self.verdict(it)
                elif isinstance(it, int):
                    self.reap(it)
                elif it in self.channels:
                    self.request(it)
            self.arrivals()

    def patience(self):
        """Seconds until the next delayed frame or the next deadline; None for ever."""
        times = [self.due[0][0]] if self.due else []
        times += [deadline for _, _, _, deadline in self.waiting]
        return max(0, (min(times) - now()) / 1e9) if times else None

    def new_channel(self, lifeline):
        message, fds, _, _ = socket.recv_fds(lifeline, 64, 4)
        for fd in fds:
            self.channels.append(socket.socket(fileno=fd))
        return bool(message)

    def answer(self, channel, reply, fds=()):
        try:
            socket.send_fds(channel, [marshal.dumps(reply)], fds)
        except OSError:
            pass  # nobody waits for it any more

    def request(self, channel):
        try:
            message, fds, _, _ = socket.recv_fds(channel, MESSAGE, 4)
        except OSError:
            message, fds = b"", []
        if not message:
            self.channels.remove(channel)
            self.waiting = [w for w in self.waiting if w[0] is not channel]
            channel.close()
            return
        made = []
        try:
            ask = marshal.loads(message)
            reply = getattr(self, "do_" + ask.pop("do"))(channel, fds, made, **ask)
        except OSError as e:
            reply = {"errno": e.errno, "error": e.strerror or str(e)}
        except Exception as e:  # a mistake of ours must not end the learner's network
            reply = {"errno": errno.EINVAL, "error": f"the lab process failed: {e!r}"}
        finally:
            for fd in fds:
                os.close(fd)
        if reply is not None:
            self.answer(channel, reply, made)
        for fd in made:
            os.close(fd)

    # -- what the notebook asks for ----------------------------------------------------------------------------------------

    def do_socket(self, channel, fds, made, host, family, kind, protocol):
        self.enter(host)
        with socket.socket(family, kind, protocol) as made_here:
            made.append(os.dup(made_here.fileno()))
        return {}

    def do_open(self, channel, fds, made, host, path):
        self.enter(host)
        made.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return {}

    def do_sysctl(self, channel, fds, made, host, name, value):
        self.enter(host)
        if value is not None:
            netlink.write_sysctl(name, value)
        return {"value": netlink.read_sysctl(name)}

    def do_capture(self, channel, fds, made, change):
        self.drain()
        position = self.position()
        self.captures += change
        if not self.captures and self.logged:  # nobody reads it any more: give the memory back
            os.ftruncate(self.log_fd, 0)
            self.logged = 0
        return position

    def do_settle(self, channel, fds, made, timeout):
        self.drain()
        self.waiting.append((channel, "settle", partial(self.settled, self.number), now() + int(timeout * 1e9)))

    def do_more(self, channel, fds, made, number, timeout):
        """Answer when a frame later than `number` has entered a wire."""
        self.waiting.append((channel, "settle", lambda: self.number > number, now() + int(timeout * 1e9)))

    def do_judged(self, channel, fds, made, wire, timeout):
        """Answer when the rules of a wire have said what they have to say of all that was sent so far."""
        self.drain()
        judged, last = self.cables[wire].judged, self.number
        self.waiting.append((channel, "settle", lambda: not judged or judged[0][0] > last, now() + int(timeout * 1e9)))

    def do_wire(self, channel, fds, made, wire, settings):
        self.drain()  # what was sent before the change crosses as before it
        self.cables[wire].set(settings)
        self.be_patient()
        return {}

    def do_held(self, channel, fds, made, wire):
        self.drain()
        return {"count": len(self.cables[wire].held)}

    def do_step(self, channel, fds, made, wire, timeout):
        self.drain()
        cable = self.cables[wire]
        if cable.held:
            return self.stepped(cable)
        self.waiting.append((channel, "step", cable, now() + int(timeout * 1e9)))

    def do_release(self, channel, fds, made, wire):
        self.drain()
        count = self.cables[wire].release()
        self.be_patient()
        return {"count": count}

    def do_judge(self, channel, fds, made, wire):
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here.setblocking(False)
        self.drain()
        cable = self.cables[wire]
        if cable.judge:  # its end is on its way to us, later than this request
            self.end_judge(cable)
        self.judges[here] = cable
        cable.set({"judge": here})
        made.append(there.detach())
        return {}

    def do_listen(self, channel, fds, made, wire):
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        here.setblocking(False)
        cable = self.cables[wire]
        self.listeners[here] = cable
        cable.set({"listeners": [*cable.listeners, here]})
        made.append(there.detach())
        return {}
