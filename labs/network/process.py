"""The lab process: one child that owns the hosts' namespaces, the cables and the programs that run inside.

It exists so that a notebook whose interpreter is busy does not stop the traffic, and so that nothing outlives the notebook: when
its first channel closes, it ends, and as process 1 of its own PID namespace it takes every program and namespace with it
(pid_namespaces(7), user_namespaces(7), network_namespaces(7)).
It imports as little as it can, and talks in marshal, which is built in: it must be up in a blink.
"""

import ctypes
import errno
import fcntl
import heapq
import marshal
import os
import select
import signal
import socket
import struct
import sys
from collections import deque
from functools import partial
from time import monotonic_ns as now

from labs.network import netlink
from labs.network.cable import Cable
from labs.network.cards import QUEUE, TapCard, VethCard
from labs.network.log import EVERYONE, record
from labs.network.netlink import NEWNET, checked
from labs.network.patience import Patience

NEWUSER, NEWPID = 0x10000000, 0x20000000  # sched.h
MESSAGE = 1 << 17  # bytes of the longest message on a channel
FRAME = 1 << 17
VERDICT = struct.Struct("<I?dHH")  # number, drop, extra delay (s), copies, let so many pass
QUESTION = struct.Struct("<IH")  # number, source card

libc = ctypes.CDLL(None, use_errno=True)


class Lab:
    """Everything the lab process knows: namespaces, cards, cables, channels, programs, and what is due when."""

    def __init__(self, plan, log):
        self.log_fd, self.log_limit = log, plan["log_limit"]
        self.logged, self.captures, self.number, self.not_logged, self.write_failures = 0, 0, 0, 0, 0
        self.due, self.order = [], 0  # a heap of (time, order, action)
        self.channels, self.listeners, self.judges, self.waiting = [], {}, {}, []
        self.untold = {}  # listener → frames that it had no room for yet
        self.programs = {}  # pid → [pidfd, exit status or None]
        self.namespaces, self.cards, self.host_of, self.macs = {}, [], [], []
        self.clocks, self.patient = {}, False  # host → what it waits for while a wire is held
        self.total_cards = sum(len(host["cards"]) for host in plan["hosts"])
        self.build(plan)

    # -- the hosts --------------------------------------------------------------------------------------------------------

    def build(self, plan):
        mtu, link, on_wire = plan["mtu"], plan["link"], {}
        checked(libc.unshare(NEWNET))
        cable_namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        for host in plan["hosts"]:
            checked(libc.unshare(NEWNET))
            self.namespaces[host["name"]] = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self.settings(plan, host)
            netlink.set_up("lo")
            for card in host["cards"]:
                number, mac = len(self.cards), bytes.fromhex(card["mac"].replace(":", ""))
                if link == "tap":
                    self.cards.append(TapCard(card["name"], mac, card.get("mtu", mtu)))
                else:
                    checked(libc.setns(cable_namespace, NEWNET))
                    self.cards.append(VethCard(card["name"], mac, card.get("mtu", mtu), f"cable{number}", self.namespaces[host["name"]]))
                    self.enter(host["name"])
                    netlink.no_offloads(card["name"])
                    netlink.set_up(card["name"], router_solicitations=False)
                try:  # an ARP entry that grows old is checked again at a random moment, and that frame would be in some captures
                    netlink.write_sysctl(f"net.ipv4.neigh.{card['name']}.base_reachable_time_ms", 86_400_000)
                except OSError:
                    pass
                for address in card["addresses"]:
                    netlink.add_address(card["name"], address)
                if host["router"]:
                    netlink.forward(card["name"])
                self.host_of.append(host["name"])
                self.macs.append(mac)
                on_wire.setdefault(card["wire"], []).append(number)
            self.clocks[host["name"]] = Patience([card["name"] for card in host["cards"]])
            for network, via in host["routes"]:
                netlink.add_route(network, via)
        if link == "veth":
            checked(libc.setns(cable_namespace, NEWNET))
            for number in range(len(self.cards)):
                netlink.wait_until_up(f"cable{number}")
        self.cables = [Cable(self, wire, on_wire[wire], plan["wire"]) for wire in sorted(on_wire)]
        self.cable_of = {card: cable for cable in self.cables for card in cable.cards}

    def settings(self, plan, host):
        """Make a fresh namespace's kernel settings the same on every machine, where /proc/sys may be written."""
        wanted = {
            "net.ipv6.conf.default.disable_ipv6": 0 if plan["ipv6"] else 1,
            "net.ipv6.conf.all.disable_ipv6": 0 if plan["ipv6"] else 1,
            "net.ipv6.conf.all.accept_dad": 0,
            "net.ipv4.ip_forward": 1 if host["router"] else 0,
            "net.ipv6.conf.all.forwarding": 1 if host["router"] and plan["ipv6"] else 0,
            "net.ipv4.tcp_congestion_control": "reno",  # RFC 5681; the one algorithm that every kernel has
            "net.ipv4.tcp_rmem": "4096 131072 6291456",  # else they depend on the machine's memory, and with them
            "net.ipv4.tcp_wmem": "4096 16384 4194304",  # the window scale that a SYN announces
        }
        for name, value in wanted.items():
            try:
                netlink.write_sysctl(name, value)
            except OSError:
                pass  # read-only /proc/sys, as in containers: netlink did what must be done, the rest is the kernel's default

    def enter(self, host):
        checked(libc.setns(self.namespaces[host], NEWNET))

    # -- what cables need -------------------------------------------------------------------------------------------------

    def log(self, time, number, source, target, kind, data=b""):
        if not self.captures:
            return
        if self.logged + len(data) > self.log_limit:
            self.not_logged += 1
            return
        entry = record(time, number, source, target, kind, data)
        try:
            whole = os.pwrite(self.log_fd, entry, self.logged) == len(entry)
        except OSError:  # no memory left
            whole = False
        if whole:
            self.logged += len(entry)
        else:
            self.not_logged += 1

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

    # -- the loop ---------------------------------------------------------------------------------------------------------

    def main(self, lifeline):
        card_of = self.card_of = {card.fileno(): number for number, card in enumerate(self.cards)}
        while True:
            readers = [*card_of, lifeline, *self.channels, *self.listeners, *self.judges, *(p[0] for p in self.programs.values() if p[1] is None)]
            ready, roomy, _ = select.select(readers, list(self.untold), [], self.patience())
            for it in roomy:
                self.tell_on(it)
            for it in ready:
                if it in card_of:
                    self.carry_from(card_of[it], 64)
                elif it is lifeline:
                    if not self.new_channel(lifeline):
                        return
                elif it in self.listeners:
                    self.injected(it)
                elif it in self.judges:
                    self.verdict(it)
                elif isinstance(it, int):
                    self.reap(it)
                elif it in self.channels:
                    self.request(it)
            self.arrivals()

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

    def patience(self):
        """Seconds until the next delayed frame or the next deadline; None for ever."""
        times = [self.due[0][0]] if self.due else []
        times += [deadline for _, _, _, deadline in self.waiting]
        return max(0, (min(times) - now()) / 1e9) if times else None

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
        lost = self.write_failures + self.not_logged
        for card, host in zip(self.cards, self.host_of):
            self.enter(host)
            lost += card.lost()
        return {"at": self.logged, "missed": lost, "number": self.number}

    # -- messages from the notebook ---------------------------------------------------------------------------------------

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

    def do_run(self, channel, fds, made, host, argv, environment, folder):
        import subprocess

        self.enter(host)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in fds]  # above the numbers that they shall have in the program
        output, given = high[0], range(3, 2 + len(high))

        def place():
            for number, fd in zip(given, high[1:]):
                os.dup2(fd, number)

        try:
            program = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=folder, start_new_session=True,
                pass_fds=given, preexec_fn=place if given else None,
            )  # fmt: skip
        finally:
            for fd in high:
                os.close(fd)
        program.returncode = 0  # we reap it ourselves
        pidfd = os.pidfd_open(program.pid)
        self.programs[program.pid] = [pidfd, None]
        with open(f"/proc/self/fdinfo/{pidfd}") as info:  # /proc is still the machine's, and counts as it does
            outside = next(int(line.split()[1]) for line in info if line.startswith("Pid:"))
        return {"pid": program.pid, "outside": outside}

    def do_wait(self, channel, fds, made, pid, timeout):
        if self.programs[pid][1] is not None:
            return {"status": self.programs[pid][1]}
        self.waiting.append((channel, "exit", pid, now() + int(timeout * 1e9)))

    def do_kill(self, channel, fds, made, pid, signal_number):
        if self.programs[pid][1] is None:
            os.killpg(pid, signal_number)
        return {}

    def reap(self, pidfd):
        pid = next(p for p, (fd, _) in self.programs.items() if fd == pidfd)
        _, status = os.waitpid(pid, 0)
        os.close(pidfd)
        self.programs[pid] = [-1, os.waitstatus_to_exitcode(status)]
        for wait in [w for w in self.waiting if w[1] == "exit" and w[2] == pid]:
            self.waiting.remove(wait)
            self.answer(wait[0], {"status": self.programs[pid][1]})

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

    def be_patient(self):
        """As long as a wire is held, the hosts wait for the learner (labs.network.patience)."""
        held = any(cable.holding for cable in self.cables)
        if held != self.patient:
            self.patient = held
            for host, patience in self.clocks.items():
                self.enter(host)
                patience.begin() if held else patience.end()

    def do_held(self, channel, fds, made, wire):
        self.drain()
        return {"count": len(self.cables[wire].held)}

    def stepped(self, cable):
        number, frame, source, changed = cable.held[0]
        target = cable.target(changed or frame, source)
        to = [self.host_of[card] for card in (cable.cards if target == EVERYONE else (target,)) if card != source]
        cable.step()
        self.drain()  # what the frame's arrival made the kernels send is now held, too
        sender = self.host_of[source] if source < self.total_cards else "wire"
        return {"number": number, "raw": changed or frame, "sender": sender, "receivers": to}

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

    def do_listen(self, channel, fds, made, wire):
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        here.setblocking(False)
        cable = self.cables[wire]
        self.listeners[here] = cable
        cable.set({"listeners": [*cable.listeners, here]})
        made.append(there.detach())
        return {}

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


def isolate(uid, gid):
    """Leave the machine's namespaces: a user namespace makes this process the root of its own network (user_namespaces(7))."""
    try:
        checked(libc.unshare(NEWUSER | NEWNET | NEWPID))
    except OSError:
        if uid != 0:
            raise
        checked(libc.unshare(NEWNET | NEWPID))  # real root without user namespaces
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def main(fd):
    lifeline = socket.socket(fileno=fd)
    message, (log, *_), _, _ = socket.recv_fds(lifeline, MESSAGE, 2)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # it ends with its notebook, and only then
        signal.signal(number, lambda *_: None)  # a handler, not SIG_IGN, which programs would inherit
    try:
        isolate(os.getuid(), os.getgid())
        child = os.fork()  # the first process in the new PID namespace is its init: when it ends, all in it end
        if child:
            lifeline.close()
            os.close(log)
            _, status = os.waitpid(child, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        lab = Lab(marshal.loads(message), log)
    except OSError as e:
        lifeline.send(marshal.dumps({"errno": e.errno, "error": f"{e.strerror}" + (f": {e.filename}" if e.filename else "")}))
        os._exit(1)
    lifeline.send(marshal.dumps({}))
    lab.main(lifeline)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[-1]))
