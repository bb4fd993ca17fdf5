"""labs.captures.stream: what applications wrote, from frames in any order, against what they did write and what tshark says."""

import random
import subprocess

import pytest
from conftest import examples
from fakes import Talk, capture_of
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import connected, in_thread, read_all, same

from labs.captures.stream import streams
from labs.decode.headers import Headers

DATA = bytes(range(256)) * 40


def talk(*segments, isn=1_000_000, close=False):
    """A connection whose client sends (offset, bytes), in that order."""
    made = Talk(isn=isn).open()
    for at, data in segments:
        made.say("client", "PA", data, seq=at, move=False)
    if close:
        made.seq["client"] += max(at + len(data) for at, data in segments)
        made.close()
    return capture_of(made.sent)


def only(cap):
    (stream,) = streams(cap)
    return stream


# ── made by hand ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_in_order():
    stream = only(talk((0, b"GET "), (4, b"/"), close=True))
    assert stream.sent("client") == b"GET /" and stream.sent("server") == b"" and stream.gaps("client") == []
    assert (stream.client.name, stream.client.port, str(stream.server)) == ("client", 43210, "server:80")
    assert stream.begun("client") and stream.ended("client") == "FIN" == stream.ended("server")
    assert [stream.frame_at("client", at).number for at in range(5)] == [4, 4, 4, 4, 5]
    assert repr(stream) == "stream of client to server:80: 5 bytes from the client, 0 bytes from the server"


@pytest.mark.parametrize("isn", [1_000_000, 2**32 - 3, 2**31 - 2, 0], ids=["", "wraps", "half", "zero"])
def test_retransmitted_overlapping_and_out_of_order(isn):
    stream = only(talk((4, b"efgh"), (0, b"abcdXX"), (4, b"efgh"), (6, b"YYijkl"), (20, b"late"), (12, b"mnopqrst"), isn=isn))
    assert stream.sent("client") == b"abcdefghijklmnopqrstlate" and stream.gaps("client") == []
    assert [stream.frame_at("client", at).number for at in (0, 3, 4, 7, 8, 12, 20)] == [5, 5, 4, 4, 7, 9, 8]
    assert [f.number for f in stream.frames_of("client", 2, 8)] == [5, 4, 7]


def test_a_gap_is_said_and_not_filled():
    stream = only(talk((0, b"abc"), (10, b"xyz"), (2**30, b"far")))
    assert stream.sent("client") == b"abc" and stream.gaps("client") == [(3, 7), (13, 2**30 - 13)]
    assert [(at, data) for at, data, _ in stream.pieces("client")] == [(0, b"abc"), (10, b"xyz"), (2**30, b"far")]
    with pytest.raises(IndexError, match=r"got 5; the client's gaps are \[\(3, 7\)"):
        stream.frame_at("client", 5)
    with pytest.raises(ValueError, match='expected "client" .* or "server", got "you"'.replace('"you"', "'you'")):
        stream.sent("you")


def test_a_gap_at_the_end_is_known_from_the_acknowledgement():
    made = Talk().open().say("client", "PA", b"abc")
    made.seq["client"] += 7
    stream = only(capture_of(made.say("server", "A").sent))
    assert stream.sent("client") == b"abc" and stream.gaps("client") == [(3, 7)]


def test_joined_in_the_middle():
    made = (
        Talk().open().say("client", "PA", b"before").say("server", "A").say("client", "PA", b"hello").say("server", "PA", b"you")
    )
    made.say("client", "A").close()
    stream = only(capture_of(made.sent[5:]))
    assert stream.sent("client") == b"hello" and stream.sent("server") == b"you" and not stream.begun("client")
    assert stream.client.port == 43210 and stream.gaps("client") == stream.gaps("server") == []


def test_the_same_ports_again():
    one, two = Talk(isn=5).open().say("client", "PA", b"first").close(), Talk(isn=77_777).open().say("client", "PA", b"second")
    found = streams(capture_of(one.sent + two.sent))
    assert [stream.sent("client") for stream in found] == [b"first", b"second"]


def test_data_on_the_syn_and_a_reset():
    made = Talk().say("client", "S", b"early").say("server", "SA").say("client", "PA", b" late").say("server", "RA")
    stream = only(capture_of(made.sent))
    assert stream.sent("client") == b"early late" and stream.ended("server") == "RST" and stream.ended("client") == ""


def test_what_the_wire_lost():
    cap = talk((0, b"abc"), (0, b"abc"))
    cap.frames[3].lost = "dropped by a rule"
    stream = only(cap)
    assert stream.frame_at("client", 0).number == 4 and stream.frame_at("client", 0, arrived=True).number == 5


@settings(max_examples=examples(150), deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), min_size=1, max_size=40))
def test_any_order_and_overlap(isn, cuts):
    """Whatever comes in whatever order: the bytes that came are right, and the rest is a gap."""
    data = DATA[:400]
    stream = only(talk(*[(at, data[at : at + count]) for at, count in cuts], isn=isn))
    have = set().union(*[range(at, at + count) for at, count in cuts])
    whole = next(at for at in range(500) if at not in have)
    assert stream.sent("client") == data[:whole]
    assert {at + i for at, piece, _ in stream.pieces("client") for i in range(len(piece))} == have
    assert all(data[at : at + len(piece)] == piece for at, piece, _ in stream.pieces("client"))
    missing = set().union(*[range(at, at + count) for at, count in stream.gaps("client")], ())
    assert missing == set(range(max(have))) - have
    for at in have:
        first = next(i for i, (start, count) in enumerate(cuts) if start <= at < start + count)
        assert stream.frame_at("client", at).number == first + 4


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 80), st.integers(0, 255)), max_size=6))
def test_damaged_frames_never_raise(damage):
    frames = []
    for index, (_, raw) in enumerate(Talk().open().say("client", "PA", b"hello").say("server", "PA", b"you").close().sent):
        raw = bytearray(raw)
        for which, at, value in damage:
            if which == index and at < len(raw):
                raw[at] = value
        frames.append(Headers(bytes(raw)))
    for stream in streams(frames):
        for side in ("client", "server"):
            stream.sent(side), stream.gaps(side), stream.ended(side), repr(stream)


def test_bulk_is_quick():
    """10,000 segments in random order, many twice."""
    raw = talk((0, DATA[:100]))[3].raw
    frames = [Headers(raw[:38] + (1_000_001 + at * 100).to_bytes(4, "big") + raw[42:]) for at in range(5000)] * 2
    random.Random(1).shuffle(frames)
    frames.insert(0, talk((0, b""))[0])
    assert len(only(frames).sent("client")) == 500_000


# ── real traffic ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def follow(cap, tmp_path):
    """What tshark says both sides sent: (client, server)."""
    path = tmp_path / "follow.pcapng"
    cap.save(path)
    done = subprocess.run(["tshark", "-r", str(path), "-q", "-z", "follow,tcp,raw,0"], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.strip() and set(line.strip()) <= set("0123456789abcdef")]
    sent = [
        b"".join(bytes.fromhex(line.strip()) for line in lines if line.startswith("\t") is server) for server in (False, True)
    ]
    return tuple(sent)


def test_real_traffic_as_tshark_reads_it(net, tshark, tmp_path):
    client, server = net
    up, down = random.Random(2).randbytes(300_000), random.Random(3).randbytes(200_000)
    with net.capture() as cap:
        ours, theirs = connected(client, server)
        threads = [in_thread(ours.sendall, up), in_thread(theirs.sendall, down)]
        read_all(theirs, len(up)), read_all(ours, len(down))
        [thread.join() for thread in threads]
        ours.close(), theirs.close()
    stream = only(cap)
    assert (stream.sent("client"), stream.sent("server")) == (up, down) == follow(cap, tmp_path)
    assert not stream.gaps("client") and not stream.gaps("server")


def test_real_loss(net):
    client, server = net
    data = random.Random(4).randbytes(200_000)
    count = iter(range(10**9))
    with net.capture() as cap:
        ours, theirs = connected(client, server)
        with net.wire.rule(lambda f: f.payload_length > 100 and next(count) % 9 == 3, drop=True):
            sending = in_thread(ours.sendall, data)
            assert same(read_all(theirs, len(data)), data)
            sending.join()
    stream = only(cap)
    assert same(stream.sent("client"), data) and any(frame.lost for frame in stream.frames)
    lost = next(frame for frame in stream.frames if frame.lost)
    at = next(at for at, _, frame in stream.pieces("client") if frame is lost)
    assert stream.frame_at("client", at) is lost and not stream.frame_at("client", at, arrived=True).lost
    half = cap.where(lambda f: f.number % 2)
    assert all(data[at : at + len(piece)] == piece for at, piece, _ in only(half).pieces("client")) and only(half).gaps("client")


def test_through_a_router(network):
    import labs

    net = network("client", labs.router("r1"), "server")
    with net.capture() as cap:
        ours, theirs = connected(net["client"], net["server"])
        ours.sendall(b"hello")
        assert theirs.recv(9) == b"hello"
    stream = only(cap)
    assert stream.sent("client") == b"hello" and stream.frame_at("client", 0).wire == 0
