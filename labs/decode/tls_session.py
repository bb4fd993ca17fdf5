"""A TLS connection, opened: every record of both directions, with what is inside, or with the reason why it stays closed.

Which keys a record needs follows from what came before it.  TLS 1.3 has up to three pairs of them, one after the other: for early
data, for the rest of the handshake, for the application (RFC 8446 §7.1).  TLS 1.2 has one, used behind ChangeCipherSpec.
Built in chapter 16-tls.
"""

from dataclasses import dataclass, field

from labs.decode.fields import DecodeError, Layer
from labs.decode.tls import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, leading
from labs.decode.tls_handshake import RETRY, messages
from labs.decode.tls_keys import Keys13, NotOpened, digest_size, keys12, secrets_of
from labs.decode.tls_names import ALERT_LEVELS, ALERTS, HANDSHAKES, SUITES, called

__all__ = ["Connection", "Opened", "TLS13", "open_streams"]

TLS13 = 0x0304
MISMATCH = "the secret is of another connection, or bytes were changed or are missing"


@dataclass(frozen=True, slots=True)
class Opened:
    """One record of a connection, opened if that was possible."""

    sender: str  # "client" or "server"
    index: int  # in its stream, from 0
    offset: int  # of its header in its stream
    type: int  # as the header says
    raw: bytes  # header and body, as they were on the wire
    encrypted: bool
    content_type: int | None  # the true one; None while closed
    plaintext: bytes | None  # None while closed
    what: str  # what it is: "ClientHello", "close_notify", …; "" while closed
    inner: int  # where the plaintext lies in `raw`: it lines up with the ciphertext
    keys: str  # whose key log line opened it: "CLIENT_TRAFFIC_SECRET_0"; "" if it was not encrypted
    problem: str  # why it is closed, or ""


@dataclass
class Connection:
    """What two streams say.  `hello`: the last ClientHello; `answer`: the ServerHello; each a Layer, or None."""

    records: list = field(default_factory=list)  # of Opened: the client's, then the server's
    problems: list = field(default_factory=list)  # what was wrong with the streams as such
    hello: Layer | None = None
    answer: Layer | None = None
    version: int | None = None  # that the server chose
    suite: int | None = None


def open_streams(keylog: str, client_bytes: bytes, server_bytes: bytes) -> Connection:
    """The Connection that these two streams are.  Never raises for what they or the key log hold."""
    found, streams = Connection(), {"client": bytes(client_bytes), "server": bytes(server_bytes)}
    cut = {}
    for sender, stream in streams.items():
        cut[sender], end = leading(stream)
        if end < len(stream):
            came = stream[end : end + 5].hex(" ")
            found.problems.append(f"a TLS record of the {sender} begins at byte {end} of its stream; {came} came")
    _read_hellos(found, streams, cut)
    secrets = {}
    if found.hello:
        try:
            secrets = secrets_of(keylog, found.hello["Random"])
        except DecodeError as error:
            found.problems.append(str(error))
    for sender, stream in streams.items():
        side = _Side(sender, found, secrets)
        for index, record in enumerate(cut[sender]):
            raw = stream[record.offset : record.body + record.length]
            found.records.append(side.read(index, record, raw))
    return found


def _read_hellos(found, streams, cut):
    """Both hellos travel in the clear; who asks twice (HelloRetryRequest) is answered once."""
    for sender, kind in (("client", 1), ("server", 2)):
        clear, name = b"", HANDSHAKES[kind]
        for record in cut[sender]:
            if record.type == HANDSHAKE and record.complete:
                clear += streams[sender][record.body : record.body + record.length]
            elif record.type != CHANGE_CIPHER_SPEC:
                break
        read = [layer for layer in messages(clear) if layer.name in (name, "HelloRetryRequest") and not layer.error]
        if not read:
            if not (sender == "server" and cut["server"] and cut["server"][0].type == ALERT):
                first = clear[:8].hex(" ") or "nothing of the kind"
                found.problems.append(
                    f"the {sender}'s stream begins with a whole {name}; {first} came. Capture from the first byte"
                )
        elif sender == "client":
            found.hello = read[-1]
        else:
            found.answer = read[-1]
            found.suite = found.answer["Cipher Suite"]
            chosen = [f.value for f in found.answer.fields if f.name == "Selected Version"]
            found.version = chosen[0] if chosen else TLS13 if found.suite >> 8 == 0x13 else found.answer["Legacy Version"]


class _Side:
    """One direction: what its next record needs."""

    def __init__(self, sender, found, secrets):
        self.sender, self.found, self.secrets = sender, found, secrets
        self.suite = SUITES.get(found.suite)
        self.pending, self.complete = b"", []  # of a handshake message not yet whole; those that the last record made whole
        self.changed, self.made, self.now = False, {}, 0  # ChangeCipherSpec was seen; label → keys; which label is in use
        if found.version == TLS13:
            early = found.hello and any(f.name == "early_data" for f in found.hello.fields)
            self.labels = ["CLIENT_EARLY_TRAFFIC_SECRET"] if early and sender == "client" else []
            self.labels += [f"{sender.upper()}_HANDSHAKE_TRAFFIC_SECRET", f"{sender.upper()}_TRAFFIC_SECRET_0"]
        else:
            self.labels = ["CLIENT_RANDOM"]

    def read(self, index, record, raw):
        """The record as Opened."""
        body, inner = raw[5:], 5
        encrypted = self.changed or record.type == APPLICATION_DATA
        kind, text, keys, problem = record.type, body, "", ""
        if not record.complete:
            kind, text, problem = None, None, f"only {len(body)} of its {record.length} bytes are here"
        elif encrypted:
            kind, text, keys, problem = self.open(raw[:5], body)
            inner += self.made[keys].overhead if keys else 0
        self.complete = []
        what = self.told(kind, text) if text is not None else ""
        if record.type == CHANGE_CIPHER_SPEC and self.found.version != TLS13:
            self.changed = True
        if text is not None and keys:
            self.follow()
        return Opened(self.sender, index, record.offset, record.type, raw, encrypted, kind, text, what, inner, keys, problem)

    def open(self, header, body):
        """Try the keys of now, then later ones: a key log may lack lines, and a server may refuse early data."""
        reason = ""
        for at in range(self.now, len(self.labels)):
            label = self.labels[at]
            keys, why = self.keys(label)
            if keys:
                try:
                    text, kind = keys.open(header, body)
                except NotOpened as error:
                    why = f"{error}: {MISMATCH}"
                    if at > self.now:
                        keys.count -= 1  # these keys are not in use yet
                else:
                    self.now = at
                    return kind, text, label, ""
            reason = reason or why
        return None, None, "", reason

    def keys(self, label):
        """The keys that a line of the key log gives, and why there are none."""
        if label not in self.made:
            if self.suite is None or self.suite.cipher not in ("AES-GCM", "ChaCha20-Poly1305"):
                if self.found.suite is None:
                    return None, "the ServerHello, which names the cipher suite, is not in the capture"
                name = called(self.found.suite, SUITES)
                return None, f"{name} is not opened here, only suites with AES-GCM and ChaCha20-Poly1305 are"
            secret = self.secrets.get(label)
            if secret is None:
                return None, f"the key log has no {label} of this connection"
            size = digest_size(self.suite) if self.found.version == TLS13 else 48
            if len(secret) != size:
                return None, f"the key log's {label} should have {size} bytes, and has {len(secret)}"
            if self.found.version == TLS13:
                self.made[label] = Keys13(secret, self.suite)
            else:
                randoms = self.found.hello["Random"], self.found.answer["Random"]
                self.made[label] = keys12(secret, *randoms, self.suite)[self.sender]
        return self.made[label], ""

    def follow(self):
        """Which keys come next, RFC 8446 §2: Finished and EndOfEarlyData end one set, KeyUpdate makes the next from the last."""
        label = self.labels[self.now]
        done = "Finished" if "HANDSHAKE" in label else "EndOfEarlyData" if "EARLY" in label else ""
        if done and done in self.complete:
            self.now += 1
        elif "KeyUpdate" in self.complete and label.endswith("_0"):
            self.made[label] = self.made[label].updated()

    def told(self, kind, text):
        """What a record is, in a few words; remembers what of a handshake message is still to come."""
        if kind == CHANGE_CIPHER_SPEC:
            return "ChangeCipherSpec"
        if kind == ALERT and len(text) == 2:
            return f"{called(text[0], ALERT_LEVELS, 1)} alert: {called(text[1], ALERTS, 1)}"
        if kind != HANDSHAKE:
            others = {APPLICATION_DATA: "application data", ALERT: "an alert that is not one"}
            return others.get(kind, f"type {kind}")
        names, data, begun = [], self.pending + text, "end of " if self.pending else ""
        while len(data) >= 4:
            size, name = 4 + int.from_bytes(data[1:4], "big"), called(data[0], HANDSHAKES, 1)
            name = "HelloRetryRequest" if data[0] == 2 and data[6:38] == RETRY else name
            if len(data) < size:
                names.append(f"{name}, continued" if begun else f"start of {name}")
                break
            names.append(begun + name)
            self.complete.append(name)
            data, begun = data[size:], ""
        self.pending = data
        return ", ".join(names) or "part of a handshake message"
