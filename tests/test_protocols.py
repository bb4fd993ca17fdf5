"""A protocol is one module and one line: a toy one is seen everywhere, and what nobody knows is not taken for another."""

import ast
from pathlib import Path

import pytest
from fakes import Talk, capture_of
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

import labs.decode
from labs.captures.stream import said, streams
from labs.decode import peel
from labs.decode.conversation import conversation
from labs.decode.fields import Layer
from labs.decode.protocol import PROTOCOLS, Protocol, Unit, known, register
from labs.decode.protocols import MODULES
from labs.decode.reader import Reader
from labs.views import Dialogue, Ladder, Layers, palette

# ── the toy: a byte of length, then a word; over TCP where it begins with "*", over UDP at port 7777 ─────────────────────────


def decode(raw, at, end, below=()):
    r = Reader(raw, at, end, "the toy's own standard")
    r.data("Star", 1)
    r.vector("Word", 1)
    return Layer("Toy", 5, tuple(r.fields), at, r.at - at, r.at - at), None, r.at, r.at


def words(frame, past=None, window=False):
    return f"says {frame.payload[2:].decode('latin-1')}", "in toy"


def units(up, down, ended=True):
    found = []
    for side, data in (("client", up), ("server", down)):
        for at, piece in enumerate(data.split(b"*")[1:]):
            offset = sum(len(one) + 1 for one in data.split(b"*")[1 : at + 1])
            found.append(Unit("Toy", side, offset, len(piece) + 1, f"toy {piece[1:].decode()}"))
    return found, ("", ""), len(up), len(down)


@pytest.fixture
def toy():
    """The one line."""
    before = dict(PROTOCOLS)
    register(
        [
            Protocol("Toy", 5, decode, noun="toy message", begins=lambda raw, at, end: raw[at : at + 1] == b"*",
                     behind=lambda _: "Application", units=units, handed_over_by=("101", "toy")),
            Protocol("Toy datagram", 5, decode, label="TOY", noun="toy datagram", words=words, ports=(7777,),
                     begins=lambda raw, at, end: True),
        ]
    )  # fmt: skip
    yield
    PROTOCOLS.clear()
    PROTOCOLS.update(before)


def datagram(port):
    ends = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2")
    return bytes(ends / UDP(sport=40000, dport=port) / b"*\x03hey")


def conversed(up=b"*\x02hi*\x03you", down=b"*\x05hello"):
    return capture_of(Talk().open().say("client", "PA", up).say("server", "PA", down).close().sent)


def test_in_layers(toy):
    cap = conversed()
    layers = peel(cap[3].raw)
    assert [(layer.name, layer.number) for layer in layers[3:]] == [("Toy", 5), ("Toy", 5)] and layers[4]["Word"] == b"you"
    assert "Toy  layer 5, session: 4 bytes" in Layers(cap[3]).text
    assert [layer.name for layer in peel(datagram(7777))][-1] == "Toy" and [layer.name for layer in peel(datagram(7))][
        -1
    ] == "Data"


def test_in_a_ladder_its_sentence_and_its_colour(toy, monkeypatch):
    cap = capture_of([("client", datagram(7777)), ("client", datagram(7))])
    ladder = Ladder(cap)
    assert ladder.text.splitlines() == [
        "1  client:A → server:7777  TOY  says hey  in toy",
        "2  client:A → server:7     UDP  5 bytes",
    ]
    assert ladder.summary() == "1 toy datagram, 1 UDP datagram: 2 frames between client and server, none lost."
    assert boxes(ladder, monkeypatch) == [palette.LAYER[5], palette.LAYER[4]]


def boxes(ladder, monkeypatch):
    """The colours behind the protocols' names."""
    from labs.views.draw import Sheet

    seen, box = [], Sheet.box
    monkeypatch.setattr(
        Sheet, "box", lambda self, x, *a, **how: (x == 146 and seen.append(how["fill"]), box(self, x, *a, **how))[1]
    )
    ladder.figure()
    return seen


def test_a_word_that_no_protocol_has_is_of_no_layer(monkeypatch):
    ladder = Ladder(conversed(), say=lambda frame: ("magic", "x") if frame.payload else None)
    assert set(boxes(ladder, monkeypatch)).isdisjoint(palette.LAYER.values())


def test_in_a_dialogue_and_a_ladder_of_messages(toy):
    cap = conversed()
    assert "  client → server  toy hi\n  client → server  toy you\n  server → client  toy hello\n" in Dialogue(("Toys", cap)).text
    assert [line.split("  ", 1)[1] for line in Ladder(cap, say=said(cap)).text.splitlines()] == [
        "client:A  → server:80  Toy  toy hi; toy you",
        "server:80 → client:A   Toy  toy hello",
    ]


def test_http_hands_over(toy):
    ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: toy\r\n\r\n"
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
    told = lambda name: [unit.words for unit in conversation(ask + b"*\x02hi", switch % name + b"*\x02ho")]
    assert told(b"Toy") == ["GET /", "101 Switching Protocols", "toy hi", "toy ho"]
    assert told(b"Toy")[:2] == told(b"other")[:2]


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_protocol_of_the_room_is_in_the_list():
    folder = Path(labs.decode.__file__).parent
    having = {path.stem for path in folder.glob("*.py") if "\nPROTOCOLS = (" in path.read_text(encoding="utf-8")}
    assert having == {module.__name__.rpartition(".")[2] for module in MODULES}
    assert all(known(name) is protocol and protocol.layer in palette.LAYER for name, protocol in PROTOCOLS.items())
    assert all(known(protocol.label) is protocol for protocol in PROTOCOLS.values() if protocol.label)


def test_nothing_else_knows_protocols_by_name():
    """No name that a registered protocol has is a text of the modules that ask the list."""
    names = {*PROTOCOLS, *(protocol.label for protocol in PROTOCOLS.values())} - {"", "Ethernet"}  # where peeling begins
    rooms = Path(labs.decode.__file__).parent.parent
    for place in ("decode/peel", "decode/conversation", "views/ladder_sentence", "views/ladder_figure", "views/dialogue"):
        texts = {
            node.value for node in ast.walk(ast.parse((rooms / f"{place}.py").read_text())) if isinstance(node, ast.Constant)
        }
        assert not names & texts, (place, names & texts)


def test_a_conversation_of_nobody_knows_what():
    assert [(unit.protocol, unit.words) for unit in conversation(b"\0\1\2", b"\3")] == [("Data", "3 bytes"), ("Data", "1 byte")]
    assert conversation(b"", b"") == []
    cap = conversed(b"\0\1\2", b"\3")
    assert [unit.side for unit in streams(cap)[0].units()] == ["client", "server"]
    assert "Data  3 bytes" in Ladder(cap, say=said(cap)).text


def test_behind_connect_anything_may_follow():
    ask, yes = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"
    said = conversation(ask + bytes.fromhex("1603010004") + b"abcd", yes + b"not TLS")
    assert [unit.words for unit in said] == ["CONNECT a:443", "200 OK", "handshake  4 bytes", "7 bytes"]


def test_what_is_not_http_any_more_is_said():
    ask, yes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"
    (*_, wrong), (*_, cut) = conversation(ask + b"\0\0\r\n\r\n", yes), conversation(ask + b"GET /b HT", yes)
    assert "illegal request line" in wrong.words and cut.words == "cut off"


def test_tls_and_http2_are_conversations_too():
    from labs.decode.http2 import PREFACE

    record = bytes.fromhex("1603010004") + b"abcd"
    assert [unit.words for unit in conversation(record + record[:7], record)] == [
        "handshake  4 bytes",
        "handshake  4 bytes  cut off",
        "handshake  4 bytes",
    ]
    settings = bytes.fromhex("000000040000000000")
    for how in ({}, {"handed_over_by": ("ALPN", "h2")}):
        assert [unit.words for unit in conversation(PREFACE + settings, settings, **how)] == ["SETTINGS  stream 0"] * 2
