"""labs.decode.websocket: the RFC's own examples, frames that wsproto makes, as tshark reads them, a real upgrade in the lab."""

import asyncio
import re

import pytest
from conftest import examples, not_run
from fakes import Talk, capture_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_decode import assert_tiled
from test_dns import by_tshark
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage

from labs import serve
from labs.captures.capture import Capture
from labs.captures.stream import said, streams
from labs.decode import peel, peel_application
from labs.decode.conversation import conversation
from labs.decode.websocket import frames, unmasked
from labs.views import Dialogue, Ladder


@pytest.fixture
def link():
    """The best link only: what these tests look at is above it."""
    from labs.network.links import choose

    if (best := choose()) == "recording":
        not_run("a live network", "this machine has none")
    return best


ASK = (
    b"GET /chat HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
EXAMPLES = {  # RFC 6455 §5.7
    "81 05 48 65 6c 6c 6f": ["text  Hello"],
    "81 85 37 fa 21 3d 7f 9f 4d 51 58": ["text  Hello"],
    "01 03 48 65 6c 80 02 6c 6f": ["text, more to come  Hel", "continuation, last  lo"],
    "89 05 48 65 6c 6c 6f": ["ping  Hello"],
    "8a 85 37 fa 21 3d 7f 9f 4d 51 58": ["pong  Hello"],
    "82 7e 01 00" + " 00" * 256: ["binary  256 bytes"],
    "82 7f 00 00 00 00 00 01 00 00" + " 00" * 65536: ["binary  65536 bytes"],
    "88 00": ["close"],
    "88 05 03 e8 62 79 65": ["close 1000 normal closure  bye"],
    "88 02 0f a0": ["close 4000"],
    "c1 07 f2 48 cd c9 c9 07 00": ["text, compressed  7 bytes"],  # RFC 7692 §7.2.3.1
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_rfc(example):
    raw = bytes.fromhex(example)
    assert list(map(str, frames(raw))) == EXAMPLES[example]
    layers = peel(raw, "WebSocket")
    assert not any(layer.error for layer in layers) and len(layers) == len(EXAMPLES[example])
    assert_tiled(layers, 0, len(raw))


def test_the_bit_figure():
    (layer,) = peel(bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58"), "WebSocket")
    told = [(field.name, field.value, field.offset, field.length, field.bits) for field in layer.fields]
    assert told == [
        ("FIN", 1, 0, 1, (0, 1)),
        ("RSV1", 0, 0, 1, (1, 1)),
        ("RSV2", 0, 0, 1, (2, 1)),
        ("RSV3", 0, 0, 1, (3, 1)),
        ("Opcode", 1, 0, 1, (4, 4)),
        ("MASK", 1, 1, 1, (0, 1)),
        ("Payload Length", 5, 1, 1, (1, 7)),
        ("Masking-key", bytes.fromhex("37fa213d"), 2, 4, None),
        ("Payload Data", b"Hello", 6, 5, None),
    ]
    payload = layer.fields[-1]
    assert (payload.meaning, payload.varies) == ("unmasked: 'Hello'", True)
    assert all(field.see.startswith("RFC 6455 §5.") for field in layer.fields)


@pytest.mark.parametrize(
    "raw, why",
    [
        ("09 00", "a control frame is whole"),
        ("89 7e 00 7e" + " 00" * 126, "up to 125 bytes; this one has 126"),
        ("81 7e 00 05 48 65 6c 6c 6f", "as short as it can be"),
        ("82 ff 80 00 00 00 00 00 00 00 01 02 03 04", "first bit of a payload length"),
        ("81", "takes 2 bytes; 1 came"),
        ("81 fe 00", "takes 8 bytes; 3 came"),
    ],
)
def test_what_is_wrong_is_said(raw, why):
    assert why in peel(bytes.fromhex(raw), "WebSocket")[0].error


# ── made by wsproto, read by tshark ──────────────────────────────────────────────────────────────────────────────────────


def exchange():
    """[(side, bytes, what was sent)] of a conversation: text, binary, fragments with a ping between them, lengths, close."""
    ends = {"client": Connection(ConnectionType.CLIENT), "server": Connection(ConnectionType.SERVER)}
    said = [
        ("client", TextMessage("two words")),
        ("server", BytesMessage(bytes(range(200)))),
        ("client", TextMessage("begun, ", message_finished=False)),
        ("client", Ping(b"still there?")),
        ("server", Pong(b"still there?")),
        ("client", TextMessage("ended")),
        ("client", BytesMessage(b"x" * 70_000)),
        ("server", TextMessage("\N{SNOWMAN} <b>")),
        ("server", CloseConnection(1001, "going home")),
        ("client", CloseConnection(1001)),
    ]
    out = []
    for side, event in said:
        other = "server" if side == "client" else "client"
        if isinstance(event, CloseConnection) and side == "client":
            list(ends[side].events())  # it has heard the other's close
        data = ends[side].send(event)
        ends[other].receive_data(data)
        out.append((side, data, event))
    return out


def captured(parts, size=1400):
    talk = Talk().open().say("client", "PA", ASK).say("server", "PA", SWITCH)
    for side, data, _ in parts:
        for at in range(0, len(data), size):
            talk.say(side, "PA", data[at : at + size])
    return capture_of(talk.close().sent)


WORDS = [
    ("client", "HTTP", "GET /chat"),
    ("server", "HTTP", "101 Switching Protocols"),
    ("client", "WebSocket", "text  two words"),
    ("server", "WebSocket", "binary  200 bytes"),
    ("client", "WebSocket", "text, more to come  begun,"),
    ("client", "WebSocket", "ping  still there?"),
    ("server", "WebSocket", "pong  still there?"),
    ("client", "WebSocket", "continuation, last  ended"),
    ("client", "WebSocket", "binary  70000 bytes"),
    ("server", "WebSocket", "text  \N{SNOWMAN} <b>"),
    ("server", "WebSocket", "close 1001 going away  going home"),
    ("client", "WebSocket", "close 1001 going away"),
]


def test_a_101_hands_over():
    stream = streams(captured(exchange()))[0]
    units = stream.units()
    assert [(unit.side, unit.protocol, unit.words) for unit in units] == WORDS
    for (_, data, event), unit in zip(exchange(), units[2:]):
        sent = stream.sent(unit.side)[unit.offset : unit.offset + unit.length]
        assert len(sent) == len(data) and unit.detail.complete and unit.detail.masked == (unit.side == "client")
        if isinstance(event, Message):
            wanted = event.data.encode() if isinstance(event.data, str) else event.data
            assert unit.detail.payload == wanted


def test_frames_as_tshark_reads_them(tshark, tmp_path):
    cap = captured(exchange())
    Capture(cap.frames, cap.hosts, cap.names, "").save(tmp_path / "ws.pcapng")
    names = ("fin", "opcode", "mask", "payload_length", "payload_length_ext_16", "payload_length_ext_64")
    theirs = []
    for row in by_tshark(tmp_path / "ws.pcapng", [f"websocket.{name}" for name in names]):
        fin, opcode, mask, *sizes = row.values()
        if fin:
            theirs.append((fin in ("1", "True"), int(opcode), mask in ("1", "True"), int([size for size in sizes if size][-1])))
    ours = [unit.detail for unit in streams(cap)[0].units() if unit.protocol == "WebSocket"]
    assert theirs == [(frame.fin, frame.opcode, frame.masked, frame.size) for frame in ours] and len(ours) == 10


def test_as_a_ladder_and_as_a_dialogue():
    cap = captured(exchange()[:6])
    ladder = Ladder(cap, say=said(cap))
    assert [re.sub(r".* (HTTP|WS) +", "", line) for line in ladder.text.splitlines()] == [words for *_, words in WORDS[:8]]
    assert ladder.summary() == "8 messages, HTTP on wire 0, WS on wire 0: 8 frames between client and server, none lost."
    view = Dialogue(("Chat", cap))
    assert "  client → server  text, more to come  begun,\n  client → server  ping  still there?" in view.text
    assert view.sentence == "Chat: 1 request, 1 response, 6 messages."
    assert ladder.png() and view.png()


def test_a_frame_shows_its_message():
    cap = captured(exchange()[:1])
    frame = next(f for f in cap if f.payload[:1] == b"\x81")
    (layer,) = peel_application(frame.payload, frame.payload_at, "WebSocket")
    assert layer.offset == frame.payload_at and layer["Payload Data"] == b"two words"


def test_what_is_cut_off():
    parts = exchange()
    whole = parts[0][1]
    units = conversation(ASK + whole[:-3], SWITCH + parts[1][1][:1])
    assert [unit.words for unit in units[2:]] == ["text  two wo  cut off", "1 byte"]
    assert [unit.words for unit in conversation(ASK, SWITCH)] == ["GET /chat", "101 Switching Protocols"]


# ── in the lab ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_aiohttp_in_the_lab(net):
    """aiohttp's server and client: what the two wrote is what the capture says."""
    from aiohttp import ClientSession, TCPConnector, web

    client, server = net

    async def chat(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"heard {message.data}")
            if message.data == "bye":
                await socket.close(code=1000, message=b"done")
        return socket

    app = web.Application()
    app.router.add_get("/chat", chat)

    async def talk():
        def made_in_host(info):
            return client.socket()

        async with ClientSession(connector=TCPConnector(socket_factory=made_in_host)) as session:
            async with session.ws_connect("http://10.0.0.2/chat") as socket:
                await socket.ping(b"there?")
                for words in ("one", "bye"):
                    await socket.send_str(words)
                    assert (await socket.receive_str()) == f"heard {words}"
                assert (await socket.receive()).extra == "done"

    with net.capture() as cap, serve(app, on=server, port=80):
        asyncio.run(asyncio.wait_for(talk(), 10))
    (stream,) = streams(cap)
    units = stream.units()
    by = lambda side: [unit.words for unit in units if unit.side == side]
    assert by("client") == ["GET /chat", "ping  there?", "text  one", "text  bye", "close 1000 normal closure"]
    assert by("server") == [
        "101 Switching Protocols",
        "pong  there?",
        "text  heard one",
        "text  heard bye",
        "close 1000 normal closure  done",
    ]
    for unit in units[2:]:
        raw = stream.sent(unit.side)[unit.offset : unit.offset + unit.length]
        assert_tiled(peel(raw, "WebSocket"), 0, len(raw))
    assert "WS    text  heard one" in cap.ladder(say=said(cap)).text and "text  heard bye" in Dialogue(("Chat", cap)).text


# ── bytes that nobody should send ────────────────────────────────────────────────────────────────────────────────────────


def survives(raw):
    assert_tiled(peel(raw, "WebSocket"), 0, len(raw))
    assert sum(f.header + len(f.payload) for f in frames(raw)) <= len(raw)
    for up, down in ((ASK + raw, SWITCH), (ASK, SWITCH + raw), (raw, raw)):
        units = conversation(up, down)
        for side, data in (("client", up), ("server", down)):
            places = [(unit.offset, unit.length) for unit in units if unit.side == side]
            assert all(length > 0 and 0 <= at <= len(data) - length for at, length in places)
            assert places == sorted(places) and all(a + n <= b for (a, n), (b, _) in zip(places, places[1:]))


@settings(max_examples=examples(300), deadline=2000)
@given(st.binary(max_size=200))
def test_any_bytes(raw):
    survives(raw)


def test_every_truncation():
    for raw in (b"".join(data for side, data, _ in exchange()[:6] if side == "client"), exchange()[8][1]):
        for size in range(len(raw)):
            survives(raw[:size])


def test_many_small_frames_end():
    raw = b"\x8a\x00" * 30_000
    assert len(frames(raw)) == 30_000 and len(peel(raw, "WebSocket")) == 30_000


@given(st.binary(max_size=40), st.binary(min_size=4, max_size=4))
def test_masking_twice_is_nothing(data, key):
    assert unmasked(unmasked(data, key), key) == data
    assert unmasked(data, key) == bytes(byte ^ key[at % 4] for at, byte in enumerate(data))
