"""labs.serve and host.http: real servers and clients in hosts; how they end, whatever the others do; that nothing is left."""

import asyncio
import gc
import os
import ssl
import subprocess
import sys
import threading
import time
import weakref

import httpx
import pytest
from aiohttp import web
from conftest import not_run
from traffic import in_thread, read_all, until

import labs
from labs import serve
from labs.errors import LabError
from labs.serve import background
from labs.serve.certificate import certificate


@pytest.fixture
def link():
    """The best link only: what these tests look at is above it."""
    from labs.network.links import choose

    if (best := choose()) == "recording":
        not_run("a live network", "this machine has none")
    return best


def make_app(text="hello"):
    async def hello(request):
        return web.Response(text=text)

    async def boom(request):
        raise ValueError("boom")

    async def wait(request):
        await asyncio.sleep(60)

    async def flood(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(bytes(65536))

    async def block(request):
        time.sleep(2.5)

    async def echo(request):
        return web.Response(body=await request.read())

    app = web.Application(client_max_size=1 << 24)
    for handler in (hello, boom, wait, flood, block):
        app.router.add_get("/" + handler.__name__.replace("hello", ""), handler)
    app.router.add_post("/", echo)
    return app


async def asgi(scope, receive, send):
    """Says which version it was asked in; /boom raises, /wait waits."""
    assert scope["type"] == "http"
    if scope["path"] == "/boom":
        raise ValueError("boom")
    if scope["path"] == "/wait":
        await asyncio.sleep(60)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["http_version"].encode()})


def shout(connection):
    """A plain handler: upper case, line by line; "boom" raises, "wait" waits for ever."""
    while data := connection.recv(1000):
        if b"boom" in data:
            raise ValueError("boom")
        if b"wait" in data:
            threading.Event().wait(3)
        connection.sendall(data.upper())


def other_threads():
    """Threads beside the main one; IPython's own, which other tests may have started, not counted."""
    return [thread for thread in threading.enumerate()[1:] if type(thread).__name__ != "HistorySavingThread"]


KINDS = {"aiohttp": make_app, "ASGI": lambda: asgi, "threads": lambda: shout}


def open_and_ask(client, port, path):
    """A connection that asked and does not read."""
    sock = client.connect("server", port)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: server\r\n\r\n".encode())
    return sock


# ── each kind of app ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_aiohttp(no_leaks, net):
    client, server = net
    with serve(make_app(), on=server) as running, client.http() as http:
        assert (running.host, running.port, running.closed) == ("server", 80, False)
        assert (
            http.get("http://server/").text == "hello"
            and http.post("http://server/", content=b"x" * 3_000_000).content == b"x" * 3_000_000
        )
        assert (
            repr(running) == "server (aiohttp) on server:80, 2 requests"
            and not running.log
            and str(running.log) == "(nothing went wrong)"
        )
        assert http.get("http://server/boom").status_code == 500
        assert len(running.log) == 1 and "raise ValueError" in running.log[0] and str(running.log).endswith("ValueError: boom")
        assert repr(running) == "server (aiohttp) on server:80, 3 requests; 1 in its log, the last: ValueError: boom"
    assert running.closed and background._current is None
    running.close()


def test_asgi(no_leaks, net):
    client, server = net
    with serve(asgi, on=server) as running, client.http() as one, client.http(http2="only") as two:
        assert one.get("http://server/").text == "1.1" and two.get("http://server/").text == "2"
        assert one.get("http://server/boom").status_code == two.get("http://server/boom").status_code == 500
        assert len(running.log) == 2 and running.log[1].endswith("ValueError: boom") and running.requests == 4


def test_asgi_lifespan(net):
    client, server = net
    seen = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for what in ("startup", "shutdown"):
                seen.append((await receive())["type"])
                await send({"type": f"lifespan.{what}.complete"})
        else:
            await asgi(scope, receive, send)

    with serve(app, on=server) as running, client.http() as http:
        assert seen == ["lifespan.startup"] and http.get("http://server/").text == "1.1"
    assert seen == ["lifespan.startup", "lifespan.shutdown"] and not running.log

    async def fails(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(Exception, match="no database"):
        serve(fails, on=server)
    assert background._current is None


def test_plain_handler(no_leaks, net):
    client, server = net
    with serve(shout, on=server, port=7) as running:
        socks = [client.connect("server", 7) for _ in range(20)]
        [sock.sendall(b"abc%d" % number) for number, sock in enumerate(socks)]
        assert [sock.recv(99) for sock in socks] == [b"ABC%d" % number for number in range(20)]
        socks[0].sendall(b"boom")
        assert socks[0].recv(9) == b""
        until(lambda: running.log, "the log")
        assert running.log[0].startswith("in shout: Traceback") and repr(running).startswith(
            "server (threads) on server:7, 20 connections; 1 in its log"
        )
    assert [sock.recv(9) for sock in socks[1:]] == [b""] * 19
    [sock.close() for sock in socks]


@pytest.mark.parametrize("app", [5, print, lambda: None, lambda a, b: None, int, web.Application])
def test_what_cannot_be_served(net, app):
    with pytest.raises(TypeError, match="expected an aiohttp web.Application, an ASGI app .* or a function handler"):
        serve(app, on=net["server"])


def test_what_cannot_be_asked_for(net):
    client, server = net
    with pytest.raises(ValueError, match="expected an ASGI app for http2=True: aiohttp does not speak HTTP/2"):
        serve(make_app(), on=server, http2=True)
    with pytest.raises(TypeError, match=r"expected tls to be a labs.certificate\(…\) or an ssl.SSLContext, got 'yes'"):
        serve(make_app(), on=server, tls="yes")
    with server.listen(80), pytest.raises(OSError, match="port 80 of server is in use"):
        serve(make_app(), on=server)
    assert background._current is None and not other_threads()


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_as_a_file(tmp_path):
    """For programs that want files; the key in it is for its owner only."""
    path = tmp_path / "shop.pem"
    for _ in "ab":  # a second one takes the first one's place
        shop = certificate("shop.test")
        shop.save(path)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
        assert path.read_text().startswith(shop.pem) and path.read_text().count("BEGIN") == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_tls_and_alpn(no_leaks, net):
    client, server = net
    mine, other = certificate("server", "shop.test"), certificate("server")
    with serve(asgi, on=server, port=443, tls=mine) as running, serve(make_app(), on=server, port=444, tls=mine) as plain:
        with client.http(verify=mine) as one, client.http(verify=mine, http2=True, names={"shop.test": server}) as two:
            assert one.get("https://server/").text == "1.1" and two.get("https://server/").http_version == "HTTP/2"
            assert two.get("https://shop.test/").text == "2" and two.get("https://server:444/").http_version == "HTTP/1.1"
        for verify in (True, other):
            with (
                client.http(verify=verify) as http,
                pytest.raises(httpx.ConnectError, match="the certificate of 10.0.0.2 port 443 is not to be trusted"),
            ):
                http.get("https://server/")
        until(lambda: len(running.log) == 2, "the handshakes that failed")
        assert running.log[0].startswith("TLS handshake failed: ") and not plain.log
        with client.http(verify=False) as http:
            assert http.get("https://server/").text == "1.1"
    with serve(asgi, on=server, port=443, tls=mine, http2=False), client.http(verify=mine, http2=True) as http:
        assert http.get("https://server/").text == "1.1"


def test_keys_for_programs_that_do_not_know_ed25519(net):
    client, server = net
    mine = certificate("server", key="P-256")
    with serve(shout, on=server, port=443, tls=mine):
        with mine.client_context().wrap_socket(client.connect("server", 443), server_hostname="server") as sock:
            der = sock.getpeercert(binary_form=True)
    from cryptography import x509

    assert x509.load_der_x509_certificate(der).public_key().curve.name == "secp256r1"
    assert mine.key_pem.startswith("-----BEGIN PRIVATE KEY-----") and mine.authority.issue("x").key_pem != mine.key_pem
    with pytest.raises(ValueError, match="expected key to be Ed25519 or P-256, got 'rsa'"):
        certificate("x", key="rsa")


def test_an_address_of_its_own(net):
    client, server = net
    with serve(shout, on=server, address="127.0.0.1"):
        with pytest.raises(ConnectionRefusedError):
            client.connect(server, 80)
        with server.connect("127.0.0.1", 80) as sock:
            sock.sendall(b"abc")
            assert sock.recv(9) == b"ABC"


def test_tls_of_a_plain_handler(no_leaks, net):
    client, server = net
    mine = certificate("server")
    with serve(shout, on=server, port=443, tls=mine) as running:
        with mine.client_context().wrap_socket(client.connect("server", 443), server_hostname="server") as sock:
            sock.sendall(b"abc")
            assert sock.recv(9) == b"ABC"
        with pytest.raises(ssl.SSLError):
            certificate("x").client_context().wrap_socket(client.connect("server", 443), server_hostname="server")
        until(lambda: running.log, "the log")
        assert running.log == [running.log[0]] and running.log[0].startswith("TLS handshake failed: ")
        with client.connect("server", 443):  # says nothing
            until(lambda: running.requests == 3, "it is accepted")
            began = time.monotonic()
            running.close()
            assert time.monotonic() - began < 1.5


def test_mutual_tls(net):
    """Only who shows a certificate of the lab is served; the others hear why, and so does the log."""
    client, server = net
    mine = certificate("server")
    context = mine.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=mine.authority.pem)
    with serve(make_app(), on=server, port=443, tls=context) as running, client.http(verify=mine) as http:
        with pytest.raises(httpx.HTTPError):
            http.get("https://server/")
        until(lambda: running.log, "the log")
        assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in running.log[0].upper()


# ── again, and the end ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_serving_again_replaces(no_leaks, net, kind):
    client, server = net
    app, before = KINDS[kind](), None
    for _ in range(3):
        running = serve(app, on=server)
        assert before is None or before.closed
        with open_and_ask(client, 80, "/") as sock:
            assert sock.recv(99)
        before = running
    running.close()
    with serve(app, on=server), open_and_ask(client, 80, "/") as sock:  # on a new loop
        assert sock.recv(99)
    with serve(app, on=server, port=0) as one, serve(app, on=client) as two:
        assert one.port != 80 and not one.closed and (two.host, two.port) == ("client", 80)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["", "/wait", "half"])
def test_close_with_clients_that_hang(no_leaks, net, kind, path):
    """Idle, waiting for an answer, or in the middle of a request: close() takes a second at most, and they hear of it."""
    client, server = net
    running = serve(KINDS[kind](), on=server)
    if path == "/wait" and kind != "threads":
        socks = [open_and_ask(client, 80, path) for _ in range(5)]
    else:
        socks = [client.connect("server", 80) for _ in range(5)]
        [sock.sendall(b"GET / HT") for sock in socks if path == "half" and kind != "threads"]
    until(lambda: len(running._listener.open()) == 5, "they are accepted")
    began = time.monotonic()
    running.close()
    assert time.monotonic() - began < 1.5 and not running.log
    for sock in socks:
        try:
            while sock.recv(9999):
                pass
        except ConnectionResetError:
            pass
        sock.close()


@pytest.mark.parametrize("tls", [False, True])
def test_close_while_clients_do_not_read(no_leaks, net, tls):
    """The server's buffers are full, and would never empty."""
    client, server = net
    mine = certificate("server")
    running = serve(make_app(), on=server, tls=mine if tls else None)
    socks = [client.connect("server", 80) for _ in range(3)]
    if tls:
        socks = [mine.client_context().wrap_socket(sock, server_hostname="server") for sock in socks]
    [sock.sendall(b"GET /flood HTTP/1.1\r\nHost: server\r\n\r\n") for sock in socks]
    queues = []

    def full():
        time.sleep(0.05)
        queues.append(sorted(row.send_queue for row in server.sockets() if row.state == "ESTABLISHED"))
        return all(queues[-1][-3:]) and queues[-1] == queues[-2:][0] and len(queues) > 3

    until(full, "the buffers are full")
    began = time.monotonic()
    running.close()
    assert time.monotonic() - began < 1.5
    [sock.close() for sock in socks]


def test_close_under_load(no_leaks, net):
    client, server = net
    running, stop, failures = serve(make_app(), on=server), threading.Event(), []

    def ask():
        with client.http() as http:
            while not stop.is_set():
                try:
                    http.get("http://server/")
                except httpx.HTTPError as error:
                    failures.append(error)
                    return

    threads = [in_thread(ask) for _ in range(4)]
    until(lambda: running.requests > 50, "traffic")
    running.close()
    [thread.join(5) for thread in threads]
    stop.set()
    assert len(failures) == 4 and running.requests > 50 and not running.log


def test_a_handler_that_blocks_the_loop(no_leaks, net):
    client, server = net
    running = serve(make_app(), on=server)
    with open_and_ask(client, 80, "/block") as sock:
        until(lambda: len(running._listener.open()) == 1, "it is accepted")
        time.sleep(0.1)  # now the handler sleeps
        began = time.monotonic()
        running.close()
        assert time.monotonic() - began < 1.8 and "blocks the event loop" in running.log[0]
        with serve(make_app("again"), on=server), client.http() as http:
            assert http.get("http://server/").text == "again"
        sock.close()
    until(lambda: not other_threads(), "the blocked thread ends by itself")


def test_a_plain_handler_that_does_not_return(net):
    client, server = net
    running = serve(shout, on=server)
    with client.connect("server", 80) as sock:
        sock.sendall(b"wait")
        until(lambda: running.requests, "it is accepted")
        began = time.monotonic()
        running.close()
        assert time.monotonic() - began < 1.5 and "1 handler has not returned" in running.log[0]
    until(lambda: not other_threads(), "its thread ends")


@pytest.mark.parametrize("how", ["close", "forget", "kill"])
def test_servers_end_with_their_network(no_leaks, link, how):
    net = labs.network("client", "server", link=link)
    client, server = net
    servers = [serve(KINDS[kind](), on=server, port=80 + i) for i, kind in enumerate(KINDS)]
    http = client.http()
    assert http.get("http://server/").text == "hello"
    gone = weakref.ref(net._lab)
    if how == "close":
        net.close()
    elif how == "forget":
        http.close()
        del net, client, server, http
        gc.collect()
        assert gone() is None
    else:
        os.kill(net._lab.pid, 9)
        until(
            lambda: not os.path.exists(f"/proc/{gone().pid}/ns/net") or open(f"/proc/{gone().pid}/stat").read().split()[2] == "Z",
            "it is dead",
        )
        with pytest.raises((LabError, httpx.HTTPError)):
            client.http().get("http://server:81/")
        [one.close() for one in servers]
        net.close()
    assert all(one.closed for one in servers) and background._current is None


def test_run_all_twice(no_leaks, link):
    for _ in range(2):
        net = labs.network("client", "server", link=link)
        client, server = net
        for _ in range(2):
            running = serve(make_app(), on=server)
            assert client.http().get("http://server/").text == "hello"
    del client, server, net
    gc.collect()
    assert running.closed


def test_the_interpreter_ends_with_servers_running(link):
    code = f"""if True:
        import labs
        from labs import serve
        net = labs.network("client", "server", link={link!r})
        client, server = net
        def handler(connection):
            while connection.recv(9): pass
        serve(handler, on=server)
        sock = client.connect(server, 80)
        print("served")
    """
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "served\n", "") and time.monotonic() - began < 8


def test_a_forked_child_keeps_no_server(no_leaks, net):
    client, server = net
    running = serve(shout, on=server)
    with client.connect("server", 80) as sock:
        until(lambda: running.requests, "it is accepted")
        child = os.fork()
        if not child:
            time.sleep(10)
            os._exit(0)
        running.close()
        assert sock.recv(9) == b"", "the child does not hold the connection"
        with pytest.raises(ConnectionRefusedError):
            client.connect("server", 80)
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_nothing_is_printed(link):
    """Handlers that raise, clients that go away, TLS that fails: not a byte on the notebook's outputs."""
    code = f"""if True:
        import sys, threading
        sys.path.insert(0, "tests")
        from test_serve import asgi, make_app, shout, certificate, labs, open_and_ask, serve
        net = labs.network("client", "server", link={link!r})
        client, server = net
        mine = certificate("server")
        for port, app in enumerate((asgi, make_app(), shout), 80):
            for tls in (None, mine):
                with serve(app, on=server, port=port, tls=tls) as running:
                    for path in ("/boom", "/wait", "/flood", "nonsense"):
                        sock = open_and_ask(client, port, path)
                        sock.settimeout(0.05)
                        try: sock.recv(10)
                        except OSError: pass
                        sock.close()
        net.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=os.path.dirname(os.path.dirname(__file__))
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_errors_of_clients_are_plain(net):
    client, server = net

    def hangs_up(connection):
        connection.recv(999)

    with serve(shout, on=server, port=7), serve(hangs_up, on=server, port=8), client.http(timeout=0.3) as http:
        for url, kind, said in [
            ("http://server:9/", httpx.ConnectError, "10.0.0.2 answered with RST: nothing listens on its port 9"),
            ("http://nobody/", httpx.ConnectError, r"expected a host of this network \(client, server\) or an address"),
            ("http://10.0.0.9/", httpx.HTTPError, "10.0.0.9|No route"),
            ("https://server:7/", httpx.ConnectError, "SSL|WRONG_VERSION|record"),
            ("http://server:8/", httpx.RemoteProtocolError, "Server disconnected without sending a response"),
            ("http://server:7/", httpx.RemoteProtocolError, "illegal|Server"),
            ("ftp://server/", httpx.UnsupportedProtocol, "ftp"),
        ]:
            with pytest.raises(kind, match=said):
                http.get(url)
    with serve(make_app(), on=server), client.http(timeout=0.2) as http:
        with pytest.raises(httpx.ReadTimeout, match=r"10.0.0.2 port 80 sent nothing for 0.2 s"):
            http.get("http://server/wait")
        net.wire.cut()
        with pytest.raises(httpx.TimeoutException, match="10.0.0.2 port 80 "):
            http.get("http://10.0.0.2/")
        net.wire.mend()
    with pytest.raises(ValueError, match='expected http2 to be False, True or "only"'):
        client.http(http2="yes")
    with pytest.raises(TypeError, match="expected verify to be True, False"):
        client.http(verify="ca.pem")


def test_connections_are_kept_and_start_in_the_host(net, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client, server = net
    with net.capture() as cap, serve(make_app(), on=server), client.http() as http:
        for _ in range(5):
            assert http.get("http://server/").status_code == 200
        with http.stream("GET", "http://server/flood") as answer:
            assert sum(len(part) for part, _ in zip(answer.iter_raw(65536), range(5))) >= 5 * 65536
    assert [(f.sender, f.dport) for f in cap if f.syn and not f.is_ack] == [("client", 80)]


def test_a_server_that_closed_an_idle_connection(net):
    """The client notices, and connects again."""
    client, server = net
    with client.http() as http:
        for _ in range(3):
            with serve(make_app(), on=server):
                assert http.get("http://server/").text == "hello"


def test_names(net):
    client, server = net
    assert (
        client.resolve("server") == "10.0.0.2"
        and client.resolve("10.9.9.9") == "10.9.9.9"
        and server.resolve("localhost") == "127.0.0.1"
    )
    with serve(shout, on=server, port=7), client.connect("server", 7) as sock, server.connect("localhost", 7) as local:
        sock.sendall(b"a"), local.sendall(b"b")
        assert (sock.recv(9), local.recv(9)) == (b"A", b"B")
    for call in (client.resolve, lambda name: client.connect(name, 80)):
        with pytest.raises(
            ValueError, match=r"expected a host of this network \(client, server\) or an address such as '10.0.0.2', got 'nobody'"
        ):
            call("nobody")


def test_sockets_for_programs(net):
    """Host.run hands them over as descriptors 3, 4, …; the notebook's own may be closed."""
    client, server = net
    code = """if True:
        import socket
        listening = socket.socket(fileno=3)
        listening.setblocking(True)
        listening.accept()[0].sendall(open(4).read(5).encode())
    """
    read, write = os.pipe()
    with server.listen(80) as listening:
        program = server.run([sys.executable, "-I", "-S", "-c", code], sockets=[listening, read])
    os.write(write, b"hello")
    with client.connect(server, 80) as sock:
        assert read_all(sock, 5) == b"hello" and program.wait() == 0
    os.close(read), os.close(write)
    assert server.run([sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"]).wait() == 0
    with pytest.raises(ValueError, match="expected 3 sockets at most for 'true', got 4"):
        server.run(["true"], sockets=[0, 0, 0, 0])


OUT_OF_DESCRIPTORS = """
import os, resource, threading, time
import labs

net = labs.network("client", "server")
client, server = net
held = threading.Event()
running = labs.serve(lambda connection: held.wait(30), on=server, port=80, backlog=1000)
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, most))
kept = []
try:
    while True:
        kept.append(client.connect(server, 80, wait=False))
except Exception:
    pass
end, began = time.monotonic() + 10, time.process_time()
while not running.log and time.monotonic() < end:
    time.sleep(0.01)
begun = time.process_time()
time.sleep(1.0)
assert time.process_time() - begun < 0.3, f"{time.process_time() - begun:.2f} s of CPU in an idle second"
assert 1 <= len(running.log) <= 4 and "Too many open files" in running.log[0], running.log
for sock in kept:
    sock.close()
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held.set()
before = running.requests
with client.connect(server, 80):  # it accepts again
    while running.requests == before and time.monotonic() < end:
        time.sleep(0.01)
assert running.requests > before
net.close()
"""


def test_a_server_without_descriptors_waits_and_says_so(tmp_path):
    """accept() fails with EMFILE, and the connection stays in the queue: the loop must not ask again at once, for ever."""
    done = subprocess.run([sys.executable, "-c", OUT_OF_DESCRIPTORS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
