"""From the secrets of a key log to the keys of records, and one record opened.  RFC 8446 §7 (TLS 1.3), RFC 5246 §6.3 (TLS 1.2).

Both versions do the same three things: expand a secret into a key and an initialization vector (IV) for each direction; combine
the IV with the number of the record into a nonce that is never used twice; and open the record with an AEAD cipher (RFC 5116),
which refuses it if one bit differs.  Built in chapter 16-tls.
"""

import hashlib
import hmac
from struct import pack

from labs.decode.fields import DecodeError
from labs.decode.tls_names import Suite

__all__ = ["Keys12", "Keys13", "NotOpened", "expand_label", "keys12", "prf", "secrets_of"]


class NotOpened(Exception):
    """The cipher refused a record: another key, another record number, or changed bytes."""


def secrets_of(keylog: str, client_random: bytes) -> dict[str, bytes]:
    """The lines "LABEL CLIENT_RANDOM SECRET" of one connection in an NSS key log: {label: secret}."""
    found = {}
    for line in keylog.splitlines():
        parts = line.split()
        if len(parts) != 3 or line.startswith("#") or parts[1].lower() != client_random.hex():
            continue
        try:
            found[parts[0]] = bytes.fromhex(parts[2])
        except ValueError:
            raise DecodeError(
                f"a key log line is LABEL CLIENT_RANDOM SECRET in hexadecimal; that of {parts[0]} is not. The file is damaged."
            ) from None
    return found


def expand_label(secret: bytes, label: bytes, length: int, digest: str) -> bytes:
    """HKDF-Expand-Label of RFC 8446 §7.1 with an empty context: `length` bytes; `digest` is "SHA256" or "SHA384"."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return HKDFExpand(getattr(hashes, digest)(), length, info).derive(secret)


def prf(secret: bytes, label: bytes, seed: bytes, length: int, digest: str) -> bytes:
    """The pseudo-random function of TLS 1.2, RFC 5246 §5: as many bytes as wanted, from HMACs of HMACs."""
    out, link, seed = b"", label + seed, label + seed
    while len(out) < length:
        link = hmac.digest(secret, link, digest.lower())
        out += hmac.digest(secret, link + seed, digest.lower())
    return out[:length]


class Keys13:
    """What one traffic secret of TLS 1.3 yields: a key, an IV, and a record counter from 0 (RFC 8446 §5.3, §7.3)."""

    overhead = 0  # bytes of a record's body before the ciphertext

    def __init__(self, secret: bytes, suite: Suite):
        self.secret, self.suite, self.count = secret, suite, 0
        self.key = expand_label(secret, b"key", suite.key, suite.hash)
        self.iv = expand_label(secret, b"iv", 12, suite.hash)
        self.cipher = _cipher(suite, self.key)

    def open(self, header: bytes, body: bytes) -> tuple[bytes, int]:
        """The plaintext and the true content type.  Raises NotOpened, and then still counts the record: its sender did."""
        nonce, self.count = _xor(self.iv, self.count), self.count + 1
        inner = _decrypt(self.cipher, nonce, body, header).rstrip(b"\0")
        if not inner:
            raise NotOpened("it holds only padding, and no content type (RFC 8446 §5.4)")
        return inner[:-1], inner[-1]

    def updated(self) -> "Keys13":
        """The keys after a KeyUpdate, RFC 8446 §7.2."""
        return Keys13(expand_label(self.secret, b"traffic upd", len(self.secret), self.suite.hash), self.suite)


class Keys12:
    """One direction's key of TLS 1.2.  GCM sends eight bytes of nonce in each record (RFC 5288 §3), ChaCha20 none."""

    def __init__(self, key: bytes, iv: bytes, suite: Suite):
        self.key, self.iv, self.suite, self.count = key, iv, suite, 0
        self.overhead = 8 if suite.cipher == "AES-GCM" else 0
        self.cipher = _cipher(suite, key)

    def open(self, header: bytes, body: bytes) -> tuple[bytes, int]:
        """The plaintext; the content type is the header's.  Raises NotOpened, and then still counts the record."""
        number, self.count = self.count, self.count + 1
        nonce = self.iv + body[:8] if self.overhead else _xor(self.iv, number)
        size = len(body) - self.overhead - 16
        authenticated = pack("!Q", number) + header[:3] + pack("!H", max(size, 0))  # RFC 5246 §6.2.3.3
        return _decrypt(self.cipher, nonce, body[self.overhead :], authenticated), header[0]


def keys12(master: bytes, client_random: bytes, server_random: bytes, suite: Suite) -> dict:
    """The keys of both directions, {"client": Keys12, "server": Keys12}, from the master secret: RFC 5246 §6.3."""
    iv = 4 if suite.cipher == "AES-GCM" else 12
    block = prf(master, b"key expansion", server_random + client_random, 2 * (suite.key + iv), suite.hash)
    parts, at = [], 0
    for size in (suite.key, suite.key, iv, iv):  # client's key, server's key, client's IV, server's IV
        parts.append(block[at : at + size])
        at += size
    return {"client": Keys12(parts[0], parts[2], suite), "server": Keys12(parts[1], parts[3], suite)}


def digest_size(suite: Suite) -> int:
    """Bytes of a TLS 1.3 secret: as many as its hash has."""
    return hashlib.new(suite.hash.lower()).digest_size


def _xor(iv, number):
    return (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")


def _cipher(suite, key):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

    return (AESGCM if suite.cipher == "AES-GCM" else ChaCha20Poly1305)(key)


def _decrypt(cipher, nonce, body, authenticated):
    from cryptography.exceptions import InvalidTag

    try:
        return cipher.decrypt(nonce, body, authenticated)
    except (InvalidTag, ValueError):  # ValueError: shorter than a tag
        raise NotOpened("its authentication tag does not match") from None
