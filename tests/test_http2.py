"""labs.decode.http1 and http2: made bytes, hostile bytes, and real conversations of httpx with hypercorn, against tshark."""

import subprocess

import pytest
from conftest import examples, not_run
from hypothesis import given, settings
from hypothesis import strategies as st

import labs
from labs import serve
from labs.captures.stream import streams
from labs.decode.fields import DecodeError
from labs.decode.http1 import exchange, messages
from labs.decode.http2 import PREFACE, Http2Frame, frames, representations


@pytest.fixture
def link():
    """The best link only: what these tests look at is above it."""
    from labs.network.links import choose

    if (best := choose()) == "recording":
        not_run("a live network", "this machine has none")
    return best


ASK = b"GET /a HTTP/1.1\r\nHost: server\r\nA: 1\r\na: 2\r\n\r\n"
SAY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n1\r\no\r\n0\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: server\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"


# ── HTTP/1.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_requests_and_responses():
    up, down = ASK + POST + ASK, SAY + b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + SAY
    found = exchange(up, down)
    assert [repr(m) for m in found] == [
        "GET /a, 0 bytes of body", "200 OK, 5 bytes of body", "POST /b, 3 bytes of body", "100 Continue, 0 bytes of body",
        "200 OK, 5 bytes of body", "GET /a, 0 bytes of body", "200 OK, 5 bytes of body",
    ]  # fmt: skip
    for side, data in (("client", up), ("server", down)):
        ours = [m for m in found if m.side == side]
        assert [m.offset for m in ours] == [sum(m.length for m in ours[:i]) for i in range(len(ours))]
        assert sum(m.length for m in ours) == len(data) and all(
            data[m.offset + m.head - 4 :].startswith(b"\r\n\r\n") for m in ours
        )
    assert found[0]["A"] == "1, 2" and found[4].method == "POST" and found[4].body == b"hello" and found[4].complete
    with pytest.raises(KeyError, match="no header field 'X'; it has host, a"):
        found[0]["X"]


@pytest.mark.parametrize(
    "up, down, ended, last",
    [
        (ASK, b"HTTP/1.0 200 OK\r\n\r\nuntil the end", True, "200 OK, 13 bytes of body"),
        (ASK, b"HTTP/1.0 200 OK\r\n\r\nuntil the end", False, "200 OK, 13 bytes of body; its end is not in the capture"),
        (b"HEAD / HTTP/1.1\r\nHost: s\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True, "200 OK, 0 bytes of body"),
        (ASK, SAY[:-2], False, "200 OK, 3 bytes of body; its end is not in the capture"),
        (ASK, b"", True, "GET /a, 0 bytes of body"),
        (ASK[:20], b"", True, " , 0 bytes of body; its end is not in the capture"),
        (b"GET / HTTP/1.0\r\n\r\n", SAY, True, "200 OK, 5 bytes of body"),
        (b"GET / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00",
         b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00", True,
         "101 Switching Protocols, 0 bytes of body"),
        (b"CONNECT s:1 HTTP/1.1\r\nHost: s\r\n\r\n\x16\x03", b"HTTP/1.1 200 OK\r\n\r\n\x16\x03", True, "200 OK, 0 bytes of body"),
    ],
)  # fmt: skip
def test_how_messages_end(up, down, ended, last):
    assert repr(exchange(up, down, ended)[-1]) == last


def test_what_is_not_http1():
    assert exchange(b"\x16\x03\x01", b"")[-1].error and exchange(PREFACE, b"")[-1].error
    assert exchange(ASK, b"SSH-2.0\r\n\r\n")[-1].error and exchange(b"GET / HTTP/1.1\r\n\r\n", SAY)[-1].error
    assert exchange(b"", b"") == []


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(0, 200), st.integers(0, 200), st.booleans())
def test_http1_never_raises(noise_up, noise_down, cut_up, cut_down, ended):
    exchange((ASK + POST)[:cut_up] + noise_up, (SAY + CHUNKED)[:cut_down] + noise_down, ended)


# ── HTTP/2 by hand ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_examples_of_rfc_7541():
    """Appendix C.3 and C.4: the same three requests, without and with Huffman coding, on one connection each."""
    plain = "828684410f7777772e6578616d706c652e636f6d 828684be58086e6f2d6361636865 "
    plain += "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"
    huffman = "828684418cf1e3c2e5f23a6ba0ab90f4ff 828684be5886a8eb10649cbf 828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"
    for blocks in (plain, huffman):
        blocks = [bytes.fromhex(block) for block in blocks.split()]
        data = PREFACE + b"".join(head(len(b), 1, 0x5, 2 * i + 1) + b for i, b in enumerate(blocks))
        found = frames(data, "client")
        assert [f.block for f in found] == [len(b) for b in blocks] and not any(f.error for f in found)
        assert [(h.name, h.value) for h in found[2].headers] == [
            (":method", "GET"), (":scheme", "https"), (":path", "/index.html"), (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ]  # fmt: skip
        assert [h.how for h in found[2].headers] == ["indexed"] * 4 + ["literal, indexed from now on"]
        for frame in found:
            assert [h.offset for h in frame.headers] == [
                sum(x.size for x in frame.headers[:i]) for i in range(len(frame.headers))
            ]
            assert sum(h.size for h in frame.headers) == frame.block


def head(length, kind, flags, stream):
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")


def test_every_type_of_frame():
    from hyperframe import frame as hf

    made = [
        hf.SettingsFrame(0, settings={1: 8192, 4: 65535}), hf.SettingsFrame(0, flags=["ACK"]), hf.WindowUpdateFrame(0, 1000),
        hf.PingFrame(0, b"12345678"),
        hf.HeadersFrame(1, b"\x82\x84", flags=["PRIORITY", "PADDED"], pad_length=3, depends_on=3, stream_weight=7),
        hf.ContinuationFrame(1, b"\x86", flags=["END_HEADERS"]),
        hf.DataFrame(1, b"hello", flags=["END_STREAM", "PADDED"], pad_length=2),
        hf.PriorityFrame(5, 1, 15, True), hf.RstStreamFrame(1, 8), hf.PushPromiseFrame(1, 2, b"\x82", flags=["END_HEADERS"]),
        hf.GoAwayFrame(0, 7, 99, b"bye"),
    ]  # fmt: skip
    found = frames(b"".join(f.serialize() for f in made) + head(6, 0x21, 0, 0) + b"grease", "server")
    assert [f.type for f in found] == [
        "SETTINGS", "SETTINGS", "WINDOW_UPDATE", "PING", "HEADERS", "CONTINUATION", "DATA", "PRIORITY", "RST_STREAM",
        "PUSH_PROMISE", "GOAWAY", "unknown type 33",
    ]  # fmt: skip
    assert not any(f.error for f in found)
    assert found[0].fields == {"SETTINGS_HEADER_TABLE_SIZE": 8192, "SETTINGS_INITIAL_WINDOW_SIZE": 65535}
    assert found[4].fields == {"Pad Length": 3, "Exclusive": False, "Stream Dependency": 3, "Weight": 8} and found[4].block == 3
    assert [h.value for h in found[4].headers] == ["GET", "/", "http"] and found[6].fields["Data"] == b"hello"
    assert (
        found[8].fields == {"Error Code": "CANCEL"}
        and found[10].fields["Error Code"] == "error 99"
        and found[11].fields == {"Payload": b"grease"}
    )
    assert repr(found[6]) == "DATA [END_STREAM, PADDED] stream 1, 8 bytes"
    assert [f.offset for f in found] == [sum(9 + x.length for x in found[:i]) for i in range(len(found))]


@pytest.mark.parametrize(
    "data, error",
    [
        (b"\0\0", "a frame begins with 9 bytes, 2 came"),
        (head(5, 0, 0, 1) + b"abc", "its payload has 5 bytes, 3 came"),
        (head(0, 0, 0, 0), "Stream ID must be non-zero"),
        (head(3, 6, 0, 0) + b"abc", "PING"),
        (head(1, 1, 4, 1) + b"\xff", "HPACK: "),
        (head(1, 1, 4, 1) + b"\xbe", "HPACK: "),
        (head(1, 1, 0, 1) + b"\x82", "the rest of its header block is not in the capture"),
        (head(1, 9, 0, 1) + b"\x82", "no header block is open"),
        (head(1, 1, 0, 1) + b"\x82" + head(0, 0, 0, 1), "was not finished before another frame came"),
    ],
)
def test_what_is_wrong_is_said(data, error):
    found = frames(data, "server")
    assert any(error in f.error for f in found), found


def test_after_a_block_that_cannot_be_read_no_other_is():
    found = frames(head(1, 1, 4, 1) + b"\xff" + head(1, 1, 4, 3) + b"\x82", "server")
    assert [bool(f.error) for f in found] == [True, True] and "earlier" in found[1].error and found[1].headers == ()


def test_the_preface():
    assert frames(PREFACE, "client") == frames(PREFACE[:5], "client") == frames(b"", "client") == []
    with pytest.raises(DecodeError, match="expected HTTP/2's preface .* got b'GET /a HTTP/1.1"):
        frames(ASK, "client")
    with pytest.raises(ValueError, match='expected side to be "client" or "server"'):
        frames(b"", "both")


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=40)), max_size=6),
    st.binary(max_size=12),
)
def test_http2_never_raises(made, noise):
    data = b"".join(head(len(payload), *how) + payload for *how, payload in made) + noise
    for cut in {0, len(data) // 2, len(data)}:
        for frame in frames(data[:cut], "server"):
            assert isinstance(repr(frame), str) and isinstance(frame, Http2Frame)


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=40))
def test_representations_agree_with_hpack(block):
    import hpack

    try:
        lines = hpack.Decoder().decode(block, raw=True)
    except Exception:
        try:
            representations(block)
        except DecodeError:
            pass
        return
    assert len(lines) == len(representations(block))


# ── real conversations ───────────────────────────────────────────────────────────────────────────────────────────────────


async def app(scope, receive, send):
    """Answers with its path, and with as many bytes as that says."""
    if scope["type"] == "http":
        body = scope["path"].encode() * 3
        headers = [
            (b"content-length", str(len(body)).encode()),
            (b"x-path", scope["path"].encode()),
            (b"x-same", b"a value that repeats"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def asked_at_once(sock, paths):
    """All of these requests at once on one connection, by h2: path → body.  (httpx's HTTP/2 is not meant for several threads.)"""
    import h2.config
    import h2.connection
    import h2.events

    machine = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    machine.initiate_connection()
    path_of, got = {}, dict.fromkeys(paths, b"")
    for path in paths:
        stream = machine.get_next_available_stream_id()
        path_of[stream] = path
        machine.send_headers(
            stream, [(":method", "GET"), (":scheme", "http"), (":authority", "server"), (":path", path)], end_stream=True
        )
    left = set(path_of)
    while left:
        sock.sendall(machine.data_to_send())
        for event in machine.receive_data(sock.recv(65536)):
            if isinstance(event, h2.events.DataReceived):
                got[path_of[event.stream_id]] += event.data
            elif isinstance(event, h2.events.StreamEnded):
                left.remove(event.stream_id)
    machine.close_connection()
    sock.sendall(machine.data_to_send())
    return got


def tshark_frames(path, *options):
    """tshark's list of HTTP/2 frames: (captured frame, sender, type, stream, length), in order of appearance, both directions."""
    command = ["tshark", "-r", str(path), "-d", "tcp.port==80,http2", *options, "-T", "fields"]
    for field in ("frame.number", "ip.src", "http2.type", "http2.streamid", "http2.length"):
        command += ["-e", field]
    rows = []
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        number, source, *columns = line.split("\t")
        values = [map(int, column.split(",")) if column else () for column in columns]
        rows += [(int(number), source, *row) for row in zip(*values)]
    return rows


TYPES = (
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
)


def test_a_hundred_streams_as_tshark_reads_them(net, tshark, tmp_path):
    client, server = net
    paths = [f"/{number}" for number in range(100)]
    with net.capture() as cap, serve(app, on=server), client.connect(server, 80) as sock:
        got = asked_at_once(sock, paths)
    assert got == {path: path.encode() * 3 for path in paths}
    (stream,) = streams(cap)
    cap.save(tmp_path / "h2.pcapng")
    said, lines = tshark_frames(tmp_path / "h2.pcapng"), 0
    for side, address in (("client", client.address), ("server", server.address)):
        found = frames(stream.sent(side), side)
        assert not any(f.error for f in found)
        theirs = [(TYPES[t], s, n) for _, source, t, s, n in said if source == address]
        assert [(f.type, f.stream_id, f.length) for f in found] == theirs
        for f in found:
            assert f.block == f.length if f.type == "HEADERS" else not f.block
        lines += sum(len(f.headers) for f in found)
    asked = {h.value for f in frames(stream.sent("client"), "client") for h in f.headers if h.name == ":path"}
    assert asked == set(paths)
    done = subprocess.run(
        ["tshark", "-r", str(tmp_path / "h2.pcapng"), "-d", "tcp.port==80,http2", "-T", "fields", "-e", "http2.header.name"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert sum(len(line.split(",")) for line in done.splitlines() if line) == lines


def test_http2_inside_tls_as_tshark_reads_it(net, tshark, tmp_path):
    """Which captured frame brought which HTTP/2 frame."""
    client, server = net
    certificate, log = labs.certificate("server.test"), tmp_path / "keys.log"
    context = certificate.client_context()
    context.set_alpn_protocols(["h2"])
    context.keylog_filename = str(log)
    paths = [f"/{number}" for number in range(20)]
    with net.capture() as cap, serve(app, on=server, port=443, tls=certificate.server_context()):
        with context.wrap_socket(client.connect(server, 443), server_hostname="server.test") as sock:
            asked_at_once(sock, paths)
    cap.save(tmp_path / "h2.pcapng")
    said = [(n, *frame) for n, _, *frame in tshark_frames(tmp_path / "h2.pcapng", "-o", f"tls.keylog_file:{log}")]
    found = labs.tls(cap, log.read_text()).http2()
    numbers = {frame.number: at for at, frame in enumerate(cap, 1)}  # tshark counts from 1
    assert sorted((numbers[n], TYPES.index(f.type), f.stream_id, f.length) for n, f in found) == sorted(said)
    assert [n for n, _ in found] == sorted(n for n, _ in found)
    ladder = cap.ladder(say=labs.tls(cap, log.read_text()).said(), limit=None).text
    assert "HTTP/2  SETTINGS stream 0; HEADERS: GET /0 stream 1; and 19 more\n" in ladder
    assert {f.start_line for _, f in found if f.headers} == {"200", *(f"GET {path}" for path in paths)}


def test_hpack_learns(net):
    """The second answer with the same header lines is smaller; the sizes are those of the frames."""
    client, server = net
    with net.capture() as cap, serve(app, on=server), client.http(http2="only") as http:
        [http.get("http://server/x") for _ in range(3)]
    answers = [f for f in frames(streams(cap)[0].sent("server"), "server") if f.type == "HEADERS"]
    repeated = [next(h for h in f.headers if h.name == "x-same") for f in answers]
    assert [h.how for h in repeated] == ["literal, indexed from now on", "indexed", "indexed"] and repeated[1].size == 1
    assert answers[0].block > answers[1].block


def test_http1_as_it_was_said(net):
    client, server = net
    with net.capture() as cap, serve(app, on=server), client.http() as http:
        bodies = [http.get(f"http://server/{n}").content for n in range(5)]
    found = messages(streams(cap)[0])
    assert [m.body for m in found if m.status] == bodies and [m.target for m in found if not m.status] == [
        f"/{n}" for n in range(5)
    ]
    assert all(m.complete and not m.error for m in found) and found[1]["X-Path"] == "/0"
