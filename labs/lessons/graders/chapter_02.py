"""The exercises of chapter 02-polling: an answer that waits, a poller that is patient, a server that loses nothing."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from aiohttp import web

from labs.captures.capture import Capture
from labs.captures.stream import streams
from labs.decode.http1 import messages
from labs.lessons.exercise import Exercise, Feedback, Verdict, close, done, missing
from labs.lessons.graders.tools import call, times
from labs.network.net import make_network as network
from labs.serve.server import start_server as serve

HELD = 0.3  # seconds
BUDGET, ENOUGH = 35, 100  # requests of one poller: allowed; after so many it is told "done"


class Held(Exercise):
    id = "02-held"
    title = "Hand in a capture of a request that the server holds for at least 0.3 s and then answers"
    expects = Capture
    hints = (
        "The waiting belongs into the server's handler, not into the client.",
        "async def handler(request): await asyncio.sleep(0.5), and then return a web.Response.",
        'Start the capture around one http.get("http://server/"), with http from mine["client"].http().',
    )

    def grade(self, capture: Capture) -> Feedback:
        best = missing("no HTTP request in this capture")
        for stream in streams(capture):
            said = messages(stream)
            for request, answer in zip(said, [*said[1:], None]):
                if request.status or not request.method:
                    continue
                if answer is None or not answer.status:
                    best = close("a request, and no answer to it within this capture")
                    continue
                asked = stream.frame_at("client", request.offset + request.length - 1).time
                began = stream.frame_at("server", answer.offset).time
                ended = stream.frame_at("server", answer.offset + answer.length - 1).time
                if not answer.complete:
                    best = close("the answer begins, and its end is not in this capture")
                elif (ended - asked) / 1e9 < HELD:
                    waits = sum(not message.status for message in said) > 1
                    why = "asking again and again is short polling: let the handler wait" if waits else "let the handler wait"
                    best = close(f"the server answered at once; {why}")
                elif (began - asked) / 1e9 < HELD:
                    best = close("the server began its answer at once and took long to end it; hold all of it back")
                else:
                    return done("one request, silence, and the answer when the server had one")
        return best


class Clock:
    """The clock of one poller: only its pauses move it."""

    def __init__(self, length):
        self.now, self.length, self.asked = 0.0, length, []  # asked: the moment of every request

    def sleep(self, seconds: float) -> None:
        if not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e6:
            raise ValueError(f"sleep({seconds!r}) is no pause")
        self.now += seconds

    def pauses(self) -> list[float]:
        return [after - before for before, after in zip(self.asked, self.asked[1:])]


class Backoff(Exercise):
    id = "02-backoff"
    title = "Write poll(http, handle, sleep): a poller with back-off and jitter that stays under its budget"
    expects = callable
    empty = "poll asks nothing yet"
    hints = (
        "Begin with a short pause, double it after every “running”, and do not let it grow for ever: min(2 * pause, 10).",
        "Jitter: sleep(pause * random.uniform(0.75, 1.25)), anew for every pause.",
        "Sum the pauses: 0.25 + 0.5 + 1 + 2 + 4 + 8 s are nearly 16 s in six requests; then one every 10 s.",
    )

    def grade(self, function: Callable) -> Feedback:
        clocks = [Clock(1.0), *(Clock(90.0) for _ in range(6))]
        _try(function, clocks)
        short, long = clocks[0], clocks[1:]
        if max(len(clock.asked) for clock in clocks) >= ENOUGH:
            return close(f"{ENOUGH} requests and more for one job: it asks without a pause, or with one that is far too short")
        most = max(len(clock.asked) for clock in long)
        if most > BUDGET:
            return close(f"{most} requests for a job of 90 s, the budget is {BUDGET}: let the pauses grow faster")
        late = short.asked[-1] - short.length
        if late > 2:
            return close(f"a job of 1 s was known {late:.1f} s after its end: begin with a shorter pause")
        late = max(clock.asked[-1] - clock.length for clock in long)
        if late > 15:
            return close(f"a job of 90 s was known {late:.0f} s after its end: do not let the pauses grow for ever")
        if all(clock.asked == long[0].asked for clock in long):
            return close("six clients asked at the same moments, all the time: each pause needs jitter")
        pauses = list(zip(*(clock.pauses() for clock in long)))[1:]  # those that all of them have, without the first
        if not pauses or max((max(each) - min(each)) / max(each) for each in pauses) < 0.05:
            return close("six clients began at different moments and then kept in step: every pause needs its own jitter")
        return done(f"a job of 90 s in at most {most} requests, a short one known soon, six clients out of step")


def _try(function, clocks):
    """Let the poller ask a real server, once for each clock.  A Verdict if that does not go well."""

    async def status(request):
        clock = clocks[int(request.match_info["number"])]
        clock.asked.append(clock.now)
        over = clock.now >= clock.length or len(clock.asked) >= ENOUGH
        return web.Response(text="done" if over else "running")

    app = web.Application()
    app.add_routes([web.get("/jobs/{number}", status)])
    with network("client", "server") as net:
        client, server = net
        with serve(app, on=server), client.http(base_url="http://server") as http:
            for number, clock in enumerate(clocks):
                on = "a real server (pause with the sleep that it is given: time.sleep() waits for real)"
                answer = call(function, http, f"/jobs/{number}", clock.sleep, on=on, seconds=3.0)
                if not clock.asked:
                    raise Verdict(missing("poll did not ask the server: http.get(handle)"))
                if clock.asked[-1] < clock.length and len(clock.asked) < ENOUGH:
                    raise Verdict(close(f"poll gave up after asking {times(len(clock.asked))}, before the job was done"))
                if answer != "done":
                    raise Verdict(close(f'poll should return the text "done", it returned {answer!r}'))


class Events(Exercise):
    id = "02-events"
    title = "Write make_app(): a long-poll server that loses no event"
    expects = callable
    empty = "make_app makes nothing yet"
    hints = (
        "Keep all events in a list; the number of an event is its place in it. Nothing is ever “handed out”.",
        "A question with after=3 is answered by events[3:]. It waits only as long as that is empty.",
        "asyncio.Condition: publish under `async with changed`, then notify_all(); read: asyncio.wait_for(changed.wait_for(…)).",
    )

    def grade(self, function: Callable) -> Feedback:
        app = call(function)
        if not hasattr(app, "router"):
            return missing(f"make_app should return a web.Application, it returned {type(app).__name__}")
        with network("client", "server") as net:
            client, server = net
            with serve(app, on=server) as backend, client.http(base_url="http://server", timeout=4) as http:
                try:
                    with ThreadPoolExecutor(2) as pool:
                        return _Reader(net, client, server, http, pool).try_all()
                except Verdict as verdict:
                    if backend.log:
                        return close(f"{verdict} ({backend.log[-1].strip().splitlines()[-1]})")
                    raise


def _wrong(text):
    """What an answer showed, in words for the learner."""
    return Verdict(close(text))


class _Reader:
    """Publishes at bad moments and reads what comes of it."""

    def __init__(self, net, client, server, http, pool):
        self.net, self.client, self.server, self.http, self.pool = net, client, server, http, pool
        self.all = []

    def publish(self, text):
        answer = self.http.post("/events", content=text)
        if answer.status_code >= 300:
            raise _wrong(f"POST /events was answered with {answer.status_code}")
        self.all.append([len(self.all) + 1, text])

    def read(self, after, wait):
        answer = self.http.get("/events", params={"after": after, "wait": wait})
        if answer.status_code != 200:
            raise _wrong(f"GET /events was answered with {answer.status_code}")
        try:
            return answer.json()
        except ValueError:
            raise _wrong(f"GET /events should answer with a JSON list, it answered {answer.text[:40]!r}") from None

    def held(self, after, wait, readers=1):
        """Questions that are on the server when this returns."""
        with self.net.capture() as cap:
            futures = [self.pool.submit(self.read, after, wait) for _ in range(readers)]
            seen = set()
            while len(seen) < readers:
                frame = cap.wait(lambda f: f.sender == "client" and f.payload[:4] == b"GET " and f.sport not in seen)
                seen.add(frame.sport)
        time.sleep(0.05)  # an answer that does not wait is there by then
        return futures

    def expect(self, got, after, when):
        if got != self.all[after:]:
            raise _wrong(f"{when}: expected {self.all[after:]}, got {got}")

    def try_all(self):
        try:
            self.publish("one")
            self.publish("two")
            self.expect(self.read(0, 1), 0, "two events were published before the first question")
            (future,) = self.held(2, 3)
            if future.done():
                raise _wrong(f"a question for which there was nothing yet was answered at once, with {future.result()}")
            asked = time.monotonic()
            self.publish("three")
            self.expect(future.result(4), 2, "an event was published while a question was held")
            if time.monotonic() - asked > 2:
                raise _wrong("a held question was answered when its time was up, not when the event came")
            self.publish("four")
            self.publish("five")
            self.expect(self.read(3, 1), 3, "two events were published between two questions")
            futures = self.held(5, 2, readers=2)
            self.publish("six")
            for future in futures:
                self.expect(future.result(4), 5, "two readers were waiting for the same event")
            self.cut_off(6)
            self.publish("seven")
            self.expect(self.read(6, 1), 6, "a reader was cut off, an event came, and it asked again")
            self.expect(self.read(0, 1), 0, "a new reader asked for all events from the beginning")
            asked = time.monotonic()
            self.expect(self.read(7, 0.3), 7, "nothing happened for as long as the question allowed")
            if time.monotonic() - asked < 0.2:
                raise _wrong("a question with wait=0.3 and nothing to say was answered before its time was up")
        except (TimeoutError, httpx.TimeoutException):
            raise _wrong("a question was not answered within 4 s, although its time was up or an event had come") from None
        return done("seven events, published at the worst moments; every reader got each of them once, in order")

    def cut_off(self, after):
        """A question whose asker is gone."""
        sock = self.client.connect(self.server, 80)
        sock.sendall(b"GET /events?after=%d&wait=2 HTTP/1.1\r\nHost: server\r\n\r\n" % after)
        self.net.wire.settle()
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        self.net.wire.settle()
