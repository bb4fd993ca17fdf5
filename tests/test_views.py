"""Views: exact texts, masks, hostile bytes, pictures that are opaque and fit; the same text whatever the random numbers were."""

import json
import warnings
from io import BytesIO
from types import SimpleNamespace

import pytest
from conftest import examples
from fakes import NAMES, FakeCapture, Talk, capture_of, frame_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.captures.frame import Arrival
from labs.decode import build
from labs.decode.reading import letters
from labs.views import ByteMap, Ladder, Layers, Names, States, escape, one_line, palette
from labs.views.spans import spans

CONVERSATION = """\
1  client:A  → server:80  TCP  SYN  seq 0  MSS 1460
2  server:80 → client:A   TCP  SYN, ACK  seq 0  ack 1  MSS 1460
3  client:A  → server:80  TCP  ACK  seq 1  ack 1
4  client:A  → server:80  TCP  PSH, ACK  seq 1  ack 1  100 bytes
5  server:80 → client:A   TCP  ACK  seq 1  ack 101
6  client:A  → server:80  TCP  FIN, ACK  seq 101  ack 1
7  server:80 → client:A   TCP  ACK  seq 1  ack 102
8  server:80 → client:A   TCP  FIN, ACK  seq 1  ack 102
9  client:A  → server:80  TCP  ACK  seq 102  ack 2"""


def conversation(**kw):
    return capture_of(Talk(**kw).open().say("client", "PA", b"x" * 100).say("server", "A").close().sent)


def ether(src="client", dst="server"):
    from scapy.layers.l2 import Ether

    mac = {"client": "02:00:00:00:00:01", "server": "02:00:00:00:00:02", "all": "ff:ff:ff:ff:ff:ff"}
    return Ether(src=mac[src], dst=mac[dst])


def arp(op=1):
    from scapy.layers.l2 import ARP

    sides = ("10.0.0.1", "10.0.0.2") if op == 1 else ("10.0.0.2", "10.0.0.1")
    card = "02:00:00:00:00:01" if op == 1 else "02:00:00:00:00:02"
    return bytes(
        (ether("client", "all") if op == 1 else ether("server", "client")) / ARP(op=op, psrc=sides[0], pdst=sides[1], hwsrc=card)
    )


def labels(cap, **kw):
    return [line.split("TCP  ", 1)[1] for line in Ladder(cap, **kw).text.splitlines()]


def picture(view):
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph would write a warning into the learner's notebook
        data = view.png()
    image = Image.open(BytesIO(data))
    assert image.width <= 1100
    assert image.convert("RGBA").getextrema()[3] == (255, 255), "the ground has to be opaque"
    return image


# --- the ladder's text ---


@pytest.mark.parametrize("numbers", [(43210, 1_000_000, 4_294_967_290), (60999, 4_294_967_295, 0), (32768, 0, 2**31)])
def test_text_is_the_same_whatever_port_and_initial_numbers(numbers):
    sport, isn, peer = numbers
    view = Ladder(conversation(sport=sport, isn=isn, peer_isn=peer))
    assert view.text == str(view) == repr(view) == CONVERSATION
    assert view.sentence == (
        "Three-way handshake, 1 data segment (100 bytes), then both sides close: 9 frames between client and server, none lost."
    )


def test_other_protocols():
    from scapy.layers.inet import ICMP, IP, UDP

    ip = IP(src="10.0.0.1", dst="10.0.0.2")
    sent = [
        ("client", arp(1)), ("server", arp(2)),
        ("client", bytes(ether() / ip / ICMP(id=7, seq=1) / b"ping")),
        ("client", bytes(ether() / ip / UDP(sport=50000, dport=53) / b"hello")),
        ("server", bytes(ether("server", "client") / IP(src="10.0.0.2", dst="10.0.0.1") / ICMP(type=3, code=3) / bytes(28))),
    ]  # fmt: skip
    assert (
        Ladder(capture_of(sent)).text
        == """\
1  client   → all        ARP   who has 10.0.0.2?
2  server   → client     ARP   10.0.0.2 is at 02:00:00:00:00:02
3  client   → server     ICMP  echo request  seq 1  4 bytes
4  client:A → server:53  UDP   5 bytes
5  server   → client     ICMP  port unreachable"""
    )


def test_in_the_middle_of_a_connection_the_first_number_is_1():
    talk = Talk().say("client", "PA", b"abc").say("server", "A")
    assert labels(capture_of(talk.sent)) == ["PSH, ACK  seq 1  ack 1  3 bytes", "ACK  seq 1  ack 4"]


def test_refused():
    talk = Talk(peer_isn=0).say("client", "S").say("server", "RA")
    view = Ladder(capture_of(talk.sent))
    assert labels(capture_of(talk.sent))[1] == "RST, ACK  seq 0  ack 1"
    assert view.sentence == "A SYN that is refused: 2 frames between client and server, none lost."


def test_reused_ports_are_a_new_connection():
    first, second = Talk().open(), Talk(isn=7, peer_isn=9).open()
    assert labels(capture_of(first.sent + second.sent))[3:] == [
        "SYN  seq 0  MSS 1460",
        "SYN, ACK  seq 0  ack 1  MSS 1460",
        "ACK  seq 1  ack 1",
    ]


def test_retransmission_probe_and_zero_window():
    talk = Talk().open().say("client", "PA", b"a" * 1000).say("client", "PA", b"a" * 1000, seq=-1000, move=False)
    talk.say("server", "A", window=0).say("client", "A", seq=-1, move=False).say("server", "A").say(
        "client", "A", seq=-1, move=False
    )
    assert labels(capture_of(talk.sent))[4:] == [
        "PSH, ACK  seq 1  ack 1  1000 bytes  [retransmission]",
        "ACK  seq 1  ack 1001  [zero window]",
        "ACK  seq 1000  ack 1  [window probe]",
        "ACK  seq 1  ack 1001",
        "ACK  seq 1000  ack 1  [keep-alive]",
    ]


def test_out_of_order_is_not_a_retransmission():
    talk = Talk().open()
    talk.say("client", "PA", b"b" * 10, seq=10, move=False).say("client", "PA", b"a" * 10).say(
        "client", "PA", b"a" * 10, seq=-10, move=False
    )
    assert [label.partition("  [")[2] for label in labels(capture_of(talk.sent))[3:]] == ["", "out of order]", "retransmission]"]


def test_sack_and_window():
    talk = Talk().open()
    talk.say("server", "A", options=build.tcp_options(sack=[(talk.seq["client"] + 100, talk.seq["client"] + 200)]), window=502)
    lines = labels(capture_of(talk.sent), window=True)
    assert lines[0] == "SYN  seq 0  MSS 1460  window 64240  scale 7"
    assert lines[3] == f"ACK  seq 1  ack 1  SACK 101–201  window {502 * 128}"


def test_what_the_wire_did():
    cap = conversation()
    frames = cap.frames
    frames[3].arrivals, frames[3].lost = [], "loss"
    frames[4].arrivals.append(Arrival(frames[4].time, "client"))
    changed = bytearray(frames[5].raw)
    changed[47] = 0x14  # RST, ACK
    frames[5].arrivals = [Arrival(frames[5].time, "server", bytes(changed))]
    frames[8].arrivals = []
    told = [line.partition("  [")[2] for line in labels(cap)]
    assert told == ["", "", "", "lost: loss]", "copy]", "rewritten: RST, ACK]", "", "", "held]"]
    assert Ladder(cap).sentence.endswith("9 frames between client and server, 1 lost, 1 still on the wire.")
    picture(Ladder(cap, title="what the wire did"))


def test_routers_show_each_hop():
    frames = []
    for who, raw in Talk(dst="10.0.1.2").open().sent:
        path = [("client", "r1", 0), ("r1", "server", 1)] if who == "client" else [("server", "r1", 1), ("r1", "client", 0)]
        frames += [
            frame_of(raw, len(frames) + hop + 1, sender, (receiver,), wire=wire)
            for hop, (sender, receiver, wire) in enumerate(path)
        ]
    view = Ladder(FakeCapture(frames, ("client", "r1", "server"), {**NAMES, "10.0.1.2": "server"}))
    assert view.text.splitlines()[1] == "2  r1 → server   client:A  → server:80  TCP  SYN  seq 0  MSS 1460"
    assert "retransmission" not in view.text
    assert view.sentence == "Three-way handshake: 6 frames among client, r1 and server, none lost."
    picture(view)


def test_limit_cuts_the_middle():
    cap = conversation()
    assert Ladder(cap, limit=4).text.splitlines() == [
        *CONVERSATION.splitlines()[:2], "…  5 frames not shown …", *CONVERSATION.splitlines()[-2:],
    ]  # fmt: skip
    assert Ladder(cap, limit=9).text == Ladder(cap, limit=None).text == CONVERSATION
    with pytest.raises(ValueError, match="limit"):
        Ladder(cap, limit=1)


def test_nothing_captured():
    view = Ladder(FakeCapture([]))
    assert view.text == view.sentence == "No frames were captured."
    picture(view)
    picture(Ladder(FakeCapture([], hosts=())))


def test_one_frame_in_one_line():
    cap = conversation()
    for frame, line in zip(cap, ["SYN  MSS 1460", "SYN, ACK  MSS 1460", "ACK", "PSH, ACK  100 bytes"]):
        ends = "10.0.0.1:· → 10.0.0.2:80" if frame.sender == "client" else "10.0.0.2:80 → 10.0.0.1:·"
        assert one_line(frame) == f"{frame.number}  {ends}  TCP  {line}"


def test_a_frame_put_on_the_wire_by_hand():
    cap = conversation()
    cap.frames[0].sender = ""
    assert Ladder(cap).text.splitlines()[0].endswith("MSS 1460  [put on the wire by hand]")
    picture(Ladder(cap))


def test_missed_frames_are_told():
    cap = conversation()
    cap.missed = 2
    assert Ladder(cap).sentence.endswith("The capture missed 2 frames, so this is not everything that was sent.")


# --- names ---


def test_symbolic_names():
    names = Names(NAMES)
    assert names.endpoint("10.0.0.2", 80) == "server:80"
    assert [names.endpoint("10.0.0.1", port) for port in (32768, 60999, 32768, 61000, 32767)] == [
        "client:A", "client:B", "client:A", "client:61000", "client:32767",
    ]  # fmt: skip
    assert names.endpoint("10.0.0.1", 32768, "UDP") == "client:C"
    assert names.endpoint("fe80::1", 80) == "[fe80::1]:80"
    assert names.endpoint("10.9.9.9") == "10.9.9.9" and names.host("ff:ff:ff:ff:ff:ff") == "all"
    assert [letters(index) for index in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


# --- one frame ---


def test_layers_masks_what_varies():
    texts = {Layers(conversation(sport=port, isn=isn)[0], NAMES).text for port, isn in ((40000, 5), (50000, 4_000_000_000))}
    assert len(texts) == 1
    text = texts.pop()
    assert "    │ Sequence Number: ·  (initial sequence number)  [38:4]  RFC 9293 §3.1" in text
    assert "  │ Source Address: 10.0.0.1  (client)  [26:4]  RFC 791 §3.1" in text
    assert "  │ Version: 4  [14:1, bits 0–3]  RFC 791 §3.1" in text
    assert "40000" not in text and "50000" not in text


def test_bytemap_masks_what_varies():
    texts = {ByteMap(conversation(sport=port, isn=isn)[0]).text for port, isn in ((40000, 5), (50000, 4_000_000_000))}
    assert len(texts) == 1
    lines = texts.pop().splitlines()
    assert "0x0e  45                       IPv4      Version 4, IHL 5" in lines
    assert "0x26  ·· ·· ·· ··              TCP       Sequence Number ·" in lines
    assert "0x2f  02                       TCP       Flags SYN" in lines


def test_extra_layers_lie_over_the_payload():
    from labs.decode import peel_application

    raw = conversation()[3].raw
    extra = peel_application(b"GET / HTTP/1.1\r\n\r\n", at=54)
    assert "HTTP  layer 7, application: 18 bytes  laid over" in Layers(raw, NAMES, extra=extra).text
    assert "HTTP" in ByteMap(raw, extra).text
    picture(Layers(raw, NAMES, extra=extra))
    picture(ByteMap(raw, extra))


@given(st.binary(max_size=120), st.lists(st.tuples(st.integers(-5, 130), st.integers(-5, 40)), max_size=8))
def test_spans_have_no_gaps(raw, places):
    from labs.decode import Field, Layer

    def layers(number):
        return [Layer("X", 7, tuple(Field("f", 0, "", "", at, length, "") for at, length in places[number::2]), 0, 0, len(raw))]

    cut = spans(len(raw), layers(0), layers(1))
    assert [span.start for span in cut] == [0, *(span.end for span in cut)][: len(cut)] and (not raw or cut[-1].end == len(raw))


# --- states ---


def test_states_text_and_record():
    cap = conversation()
    held = frame_of(cap[0].raw)
    held.arrivals = []
    view = States("Handshake")
    view.add("connect()", held, {"client": "SYN_SENT", "server": "LISTEN"})
    view.add("SYN carried", cap[0], {"client": "SYN_SENT", "server": ["LISTEN", "SYN_RECV"]})
    view.add("SYN, ACK carried", cap[1], {"client": "ESTABLISHED", "server": "LISTEN, SYN_RECV"})
    assert (
        view.text
        == """\
Handshake

                  client         on the wire                         server
connect()         SYN_SENT       → SYN  seq 0  MSS 1460  [held]      LISTEN
SYN carried       SYN_SENT       → SYN  seq 0  MSS 1460              LISTEN, SYN_RECV *
SYN, ACK carried  ESTABLISHED *  ← SYN, ACK  seq 0  ack 1  MSS 1460  LISTEN, SYN_RECV"""
    )
    again = States.from_record(json.loads(json.dumps(view.to_record())))
    assert again.text == view.text and again.sentence == view.sentence
    picture(again)
    picture(States())
    with pytest.raises(ValueError, match="record"):
        States.from_record([])


# --- hostile bytes and names ---

HOSTILE = "<img src=x onerror=alert(1)>\n$\\frac{$ `x` [a](b) \x1b[2J\u202e\ud800 😀 **b**"


def views_of(raw):
    cap = capture_of([("client", raw), ("server", raw)])
    return [
        Ladder(cap, window=True),
        Layers(cap[0], NAMES),
        ByteMap(cap[0]),
        States(HOSTILE).add(HOSTILE, cap[0], {"client": HOSTILE}),
    ]


def mutations():
    """Real frames, cut and overwritten: they reach deeper than noise does."""
    frames = [raw for _, raw in Talk().open().say("client", "PA", b"GET / HTTP/1.1\r\n\r\n").sent] + [arp()]
    return st.tuples(
        st.sampled_from(frames), st.integers(0, 90), st.lists(st.tuples(st.integers(0, 89), st.integers(0, 255)), max_size=6)
    ).map(lambda t: bytes(dict(t[2]).get(at, byte) for at, byte in enumerate(t[0][: t[1]])))


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=200), mutations()))
def test_no_bytes_make_a_text_raise(raw):
    for view in views_of(raw):
        for line in view.text.splitlines() + [view.sentence]:
            assert line.isprintable()


@settings(max_examples=examples(12), deadline=None)
@given(st.one_of(st.binary(max_size=120), mutations()))
def test_no_bytes_make_a_picture_raise(raw):
    for view in views_of(raw):
        picture(view)


def test_hostile_names():
    cap = conversation()
    cap.names = {**NAMES, "10.0.0.1": HOSTILE}
    cap.hosts = (HOSTILE, "server")
    for frame in cap:
        frame.sender = HOSTILE if frame.sender == "client" else frame.sender
        frame.arrivals = [Arrival(a.time, HOSTILE if a.receiver == "client" else a.receiver) for a in frame.arrivals]
    cap.frames[2].arrivals, cap.frames[2].lost = [], HOSTILE
    view = Ladder(cap, title=HOSTILE)
    assert all(line.isprintable() for line in view.text.splitlines())
    assert len(view.text.splitlines()) == len(cap) + 2
    assert not set("<>*_`[]{}$\\|") & set(escape.markdown(view.sentence))
    picture(view)
    picture(Layers(cap[0], cap.names))


@given(st.text())
def test_escape(text):
    assert escape.plain(text).isprintable() and len(escape.plain(text)) <= 200
    assert not set("<>*_`[]{}$\\|\"'\n") & set(escape.markdown(text))


# --- pictures ---


def test_pictures():
    cap = conversation()
    for view in (Ladder(cap), Ladder(cap, limit=4, times=False), Layers(cap[3], NAMES), ByteMap(cap[3]), ByteMap(bytes(3000))):
        assert picture(view).height < 6000
    long = FakeCapture([frame_of(cap[2].raw, number) for number in range(1, 2001)])
    assert picture(Ladder(long, limit=None)).height < 6000


def test_colours_are_distinct_and_text_on_them_is_legible():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(
            k * (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4) for k, c in zip((0.2126, 0.7152, 0.0722), parts)
        )

    colours = [*palette.LAYER.values(), *palette.HOSTS]
    assert len(set(colours)) == len(colours) and set(palette.LAYER) == set(range(2, 8))
    for colour in colours:
        a, b = sorted((luminance(colour), luminance(palette.ink_on(colour))))
        assert (b + 0.05) / (a + 0.05) >= 4.5, colour


def test_display(monkeypatch):
    import sys

    shown = []
    fake = SimpleNamespace(display=lambda data, raw: shown.append(data))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=fake, version_info=(9, 0)))
    view = Ladder(conversation())
    view._ipython_display_()
    assert [sorted(data) for data in shown] == [["image/png", "text/plain"], ["text/markdown", "text/plain"]]
    assert shown[0]["text/plain"] == CONVERSATION and shown[1]["text/plain"] == view.sentence
    monkeypatch.setenv("LABS_PICTURES", "0")
    monkeypatch.setattr(Ladder, "figure", None)  # nothing is drawn
    view._ipython_display_()
    assert shown[2] == {"text/plain": CONVERSATION} and shown[3] == shown[1]


def test_import_is_light():
    import subprocess
    import sys

    code = "import sys, labs.views; print([m for m in ('matplotlib', 'scapy', 'IPython', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_ladder_of_messages():
    talk = Talk().open().say("client", "PA", b"GET / HTTP/1.0\r\n\r\n").say("client", "PA", b"\x17\x03\x03")
    cap = capture_of(talk.say("server", "PA", b"HTTP/1.0 200 OK\r\n\r\n").close().sent)
    words = {b"GET": ("HTTP", "GET  the rest"), b"\x17\x03\x03": ("TLS", "closed <b>")}
    ladder = Ladder(cap, title="Said", say=lambda frame: words.get(frame.payload[:3]))
    assert ladder.text == ("Said\n\n1  client:A → server:80  HTTP  GET  the rest\n2  client:A → server:80  TLS   closed <b>")
    assert ladder.summary() == "2 messages, HTTP on wire 0, TLS on wire 0: 2 frames between client and server, none lost."
    assert picture(ladder).size[0] <= 1100
    silent = Ladder(cap, say=lambda frame: None)
    assert silent.summary() == "No frame of this capture has anything to say here." and picture(silent)
    many = Ladder(cap, say=lambda frame: ("HTTP", "x"), limit=2)
    assert many.text.splitlines()[1] == " …  8 messages not shown …"
