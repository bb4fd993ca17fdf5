"""Lanes and gauges: the order without the times, records, hostile names, pictures that are opaque and fit; follow and watch."""

import itertools
import json
import threading
import time

import pytest
from fakes import FakeCapture, Talk, capture_of, frame_of
from test_views import HOSTILE, picture

from labs.captures.frame import Arrival
from labs.lessons.record_values import Files, decode, encode
from labs.views import Gauge, Lanes
from labs.views.axis import Axis
from labs.views.watch import Watch

MS = 1_000_000
ZERO = 1_700_000_000_000_000_000


def story(factor=1, zero=ZERO):
    """A call that waits while a frame arrives and a queue grows."""

    def at(ms):
        return zero + int(ms * factor * MS)

    lanes = Lanes("A story", ["source line", "system call"])
    lanes.span("source line", "door.listen(2)", at(0), at(10), ends=False)
    lanes.span("system call", "listen()", at(1), at(2))
    lanes.level("accept queue", 0, at(3))
    lanes.span("source line", "time.sleep(1)", at(10), at(100), ends=False)
    lanes.span("system call", "clock_nanosleep()", at(11), at(99))
    lanes.level("accept queue", 0, at(40))
    lanes.level("accept queue", 1, at(50))
    lanes.mark("note", "awake", at(101))
    return lanes


STORY = """\
A story

   source line     system call                accept queue  note
1  door.listen(2)
2                  listen()
3                                             0
4  time.sleep(1)
5                  clock_nanosleep() begins
6                                             1
7                  clock_nanosleep() returns
8                                                           awake"""


@pytest.mark.parametrize("factor", [1, 1.7, 30])
@pytest.mark.parametrize("zero", [0, ZERO])
def test_text_has_the_order_and_no_times(factor, zero):
    view = story(factor, zero)
    assert view.text == str(view) == repr(view) == STORY


def test_sentence_is_computed():
    assert story().sentence == (
        "In order of time: source line: 2 entries; system call: 2 entries; accept queue from 0 to 1, at most 1; note: 1 entry."
    )
    assert Lanes().sentence == "Nothing was noted." and Lanes("Empty").text == "Empty\n\nNothing was noted."


def test_a_frame_counts_when_it_arrives():
    sent = Talk().open().sent
    frames = [
        frame_of(raw, n, who, ["client" if who == "server" else "server"], ZERO + n * 50 * MS, delay=50 * MS)
        for n, (who, raw) in enumerate(sent)
    ]
    lanes = Lanes(tracks=("client",)).span("client", "connect()", ZERO - MS, ZERO + 101 * MS).frames(FakeCapture(frames))
    assert lanes.text.splitlines()[1:] == [
        "1  connect() begins",
        "2                     client → server  SYN",
        "3                     server → client  SYN, ACK",
        "4  connect() returns",
        "5                     client → server  ACK",
    ]
    assert lanes.hosts == ["client", "server"] and lanes.origin == "live, tap"


def test_lost_and_held_frames_and_several_connections():
    one, two = Talk(sport=40001).open(), Talk(sport=40002).say("client", "S").say("client", "S", seq=-1, move=False)
    cap = capture_of(one.sent + two.sent)
    cap.frames[3].arrivals, cap.frames[3].lost = [], "the cable is cut"
    cap.frames[4].arrivals = []
    lines = Lanes().frames(cap).text.splitlines()
    assert lines[1] == "1  client → server  SYN  (client:A)"
    assert lines[4] == "4  client → …  SYN  (client:B)  [lost: the cable is cut]"
    assert lines[5] == "5  client → …  SYN  (client:B)  [retransmission; held]"
    assert Lanes().frames(cap).sentence == "In order of time: 5 frames, 1 lost."


def test_a_level_that_changes_within_a_short_call_is_its_effect():
    for moment in (5, 6, 8):  # wherever in the call the watch happened to look
        lanes = Lanes().span("call", "accept()", ZERO + 4 * MS, ZERO + 9 * MS).level("queue", 0, ZERO + moment * MS)
        assert [words for _, words in lanes.order()] == ["accept()", "0"]


def test_records_survive_json_and_the_recorder(tmp_path):
    lanes = story().frames(capture_of(Talk().open().sent))
    again = Lanes.from_record(json.loads(json.dumps(lanes.to_record())))
    assert again.text == lanes.text and again.sentence == lanes.sentence and again.origin == "recorded"
    assert again.to_record() == lanes.to_record()
    gauge = Gauge("A queue", {"queue": 4}, "connections", "verdict").level("queue", 1, ZERO).level("queue", 5, ZERO + MS)
    for view in (lanes, gauge):
        files = Files(tmp_path)
        read = decode(json.loads(json.dumps(encode(view, files))), files)
        assert type(read) is type(view) and read.text == view.text and read.sentence == view.sentence
        picture(read)
    for wrong in (None, {}, {"events": 1}, {"readings": 1}):
        with pytest.raises(ValueError, match="expected a record"):
            Lanes.from_record(wrong)
        with pytest.raises(ValueError, match="expected a record"):
            Gauge.from_record(wrong)


def test_two_runs_in_the_same_order_give_the_same_record_but_for_the_times():
    assert story(1, 0).to_record() == story(1, ZERO).to_record()


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="the end not before the start"):
        Lanes().span("a", "b", 2, 1)
    with pytest.raises(ValueError, match="nanoseconds"):
        Lanes().mark("a", "b", 1.5)
    with pytest.raises(TypeError, match="expected a number"):
        Lanes().level("a", "b")
    with pytest.raises(TypeError, match="expected a number"):
        Gauge().level("a", None)
    with pytest.raises(TypeError, match="expected a number or None for the level of 'a', got inf"):
        Lanes().level("a", float("inf"))
    with pytest.raises(TypeError, match="expected a number for the level of 'a', got nan"):
        Gauge().level("a", float("nan"))
    with pytest.raises(ValueError, match="levels, verdict"):
        Gauge(tell="all")
    with pytest.raises(TypeError, match="expected a function"):
        Watch({"a": 1}, None)


def test_hostile_words_stay_in_their_cell():
    lanes = Lanes(HOSTILE, [HOSTILE]).mark(HOSTILE, HOSTILE, 1).level("queue", 1, 2)
    assert "\n\n" in lanes.text and len(lanes.text.splitlines()) == 5
    gauge = Gauge(HOSTILE, unit=HOSTILE).level(HOSTILE, 1, 1, what=HOSTILE)
    assert len(gauge.text.splitlines()) == 4
    for view in (lanes, gauge):
        assert "\x1b" not in view.text and "\x1b" not in view.sentence
        picture(view)


def test_pictures():
    picture(Lanes("Nothing"))
    picture(Gauge("Nothing"))
    picture(story().frames(capture_of(Talk().open().sent)))
    crowd = Lanes("A crowd")
    for n in range(200):
        crowd.span("calls", f"a call with rather a long name, number {n}", ZERO + n * 1000, ZERO + n * 1000 + 500)
    assert picture(crowd).height < 600
    three = Lanes().frames(capture_of(Talk().open().sent, hosts=("client", "attacker", "server")))
    picture(three)
    picture(Lanes().level("queue", None, 1).level("queue", 3, 2).level("queue", None, 3))


def test_follow_notes_lines_and_calls():
    import socket

    def program(a, b):
        a.sendall(b"x")
        total = len(b.recv(1))
        return total

    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as a:
        b, _ = door.accept()
        with b:
            lanes = Lanes()
            assert lanes.follow(program, a, b) == 1
    assert [words for _, words in lanes.order()] == [
        'a.sendall(b"x")',
        "send()",
        "total = len(b.recv(1))",
        "recv()",
        "return total",
    ]


def test_follow_passes_errors_on_and_leaves_no_tracer():
    import sys

    def program():
        raise KeyError("mine")

    before = sys.gettrace(), sys.getprofile()
    lanes = Lanes()
    with pytest.raises(KeyError):
        lanes.follow(program)
    assert (sys.gettrace(), sys.getprofile()) == before
    assert [words for _, words in lanes.order()] == ['raise KeyError("mine")']


def test_watch_notes_changes_once_and_never_half_of_one():
    noted = []
    watch = Watch(lambda: next(reads), lambda name, value, at: noted.append((name, value)))
    reads = iter([{"syn": 1, "accept": 0}] * 2 + [{"syn": 1, "accept": 1}, {"syn": 0, "accept": 1}, {"syn": 0, "accept": 1}])
    watch.look()
    watch.look()
    assert noted == [("syn", 1), ("accept", 0), ("syn", 0), ("accept", 1)]


def test_watch_of_what_never_stands_still():
    reading, noted = itertools.count(), []
    watch = Watch(lambda: {"clock": next(reading)}, lambda name, value, at: noted.append(value))
    for _ in range(3):
        watch.look()
    assert len(noted) == 3 and noted == sorted(set(noted))


def test_watch_in_the_background():
    value, gauge = [0], Gauge(tell="verdict")
    with gauge.watch(lambda: {"value": value[0]}, every=0.001):
        for n in (1, 2):
            value[0] = n
            give_up = time.monotonic() + 2
            while gauge.values("value")[-1] != n and time.monotonic() < give_up:
                time.sleep(0.001)
    assert gauge.values("value") == [0, 1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name == "watch"]


def test_a_watch_without_a_clock_reads_when_it_is_told():
    lanes, value = Lanes(), [0]

    def helper():
        time.sleep(0)  # a call of somebody else's
        value[0] = 2
        lanes.look()

    def program():
        time.sleep(0)
        helper()

    with lanes.watch(lambda: {"value": value[0]}, every=None):
        value[0] = 1
        lanes.follow(program)
    assert [words for _, words in lanes.order()] == ["0", "time.sleep(0)", "clock_nanosleep()", "1", "helper()", "2"]
    assert not [thread for thread in threading.enumerate() if thread.name == "watch"]


def test_an_error_while_watching_is_raised_at_the_end():
    reads = [{"a": 1}, {"a": 1}]
    with pytest.raises(IndexError):
        with Lanes().watch(lambda: reads.pop()):
            time.sleep(0.05)


def test_gauge_texts():
    gauge = Gauge("listen(2)", capacity=2)
    for n, value in enumerate((0, 1, 1, 3)):
        gauge.level("queue", value, ZERO + n)
    assert gauge.text == "listen(2)\n\nqueue: 0 → 1 → 3 (capacity 2)"
    assert gauge.sentence == "Queue starts at 0, reaches 3, ends at 3; capacity 2."
    gauge.tell = "verdict"
    assert gauge.text == "listen(2)\n\nqueue: starts at 0, reaches 3, ends at 3; capacity 2"
    stepped = (
        Gauge(capacity={"window": 65_535})
        .level("window", 65_535, 1, what="open")
        .level("buffer", 0, 1, what="open")
        .level("window", 0, 2, what="full")
    )
    assert stepped.text == "      window (capacity 65,535)  buffer\nopen  65,535                    0\nfull  0"
    picture(stepped)


@pytest.mark.parametrize("length", [1, 999, 4_000, 3 * MS, 640 * MS, 1_250 * MS, 90_000 * MS])
def test_ticks_are_round_and_few(length):
    ticks = Axis(0, length, 0, 1000).ticks()
    assert 1 <= len(ticks) <= 11 and ticks[0] == (0, "0")
    steps = {b[0] - a[0] for a, b in zip(ticks, ticks[1:])}
    assert len(steps) <= 1 and all(str(step).rstrip("0") in ("1", "2", "5") for step in steps)


def test_frames_of_a_live_network(network):
    net = network("client", "server", delay=0.01)
    client, server = net
    with server.listen(80), net.capture() as cap:
        client.connect(server, 80).close()
    lanes = Lanes().frames(cap.where(lambda f: f.protocol == "TCP")[:3])
    assert [words for _, words in lanes.order()] == ["client → server  SYN", "server → client  SYN, ACK", "client → server  ACK"]
    picture(lanes)


def test_arrival_before_departure_is_not_drawn_backwards():
    frame = frame_of(Talk().say("client", "S").sent[0][1], time=ZERO)
    frame.arrivals = [Arrival(ZERO - 5, "server")]  # two clocks
    assert picture(Lanes().frames(FakeCapture([frame])))
