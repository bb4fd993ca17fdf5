"""Certificates for servers of the lab, signed by an authority (CA) that only the lab's own clients trust.

    shop = labs.certificate("shop.test")                     a new CA, and a certificate that it signed
    mail = shop.authority.issue("mail.test", "10.0.0.2")     another one from the same CA

Keys are Ed25519 (RFC 8410): their signatures always have 64 bytes, so a handshake has the same length in every run.  For programs
that do not offer those, key="P-256" makes keys for ECDSA (RFC 5480), whose signatures differ by a byte or two.
Private keys live in memory.  OpenSSL reads them from a file only, so for that moment there is one that no folder lists.
Chapter 09-osi-model uses it as it is; 14-why-do-we-need-certificates looks into what is signed.
"""

import os
import ssl
import tempfile
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["KEYS", "Authority", "Certificate", "certificate"]

KEYS = ("Ed25519", "P-256")
VALID = timedelta(days=30)


def certificate(*names: str, key: str = "Ed25519") -> "Certificate":
    """A certificate for `names` (host names or IP addresses), signed by a CA made for it.  See Authority.issue."""
    return Authority(key=key).issue(*names)


class Authority:
    """A certificate authority: a key, and a certificate for it that the authority signed itself (RFC 5280 §3.2).

    key: "Ed25519" or "P-256", for the authority and for all that it issues.
    """

    def __init__(self, name="labs CA", key="Ed25519"):
        if key not in KEYS:
            raise ValueError(f"expected key to be {' or '.join(KEYS)}, got {key!r}")
        self.name, self.key_kind, self._key = name, key, _new_key(key)
        self._made = _sign(_subject(name), self._key.public_key(), _subject(name), self._key, _basics(ca=True))
        self.pem = _pem(self._made)  # str; public

    def issue(self, *names: str) -> "Certificate":
        """A certificate for one name or several: "shop.test", "10.0.0.2".  Chapter 14-why-do-we-need-certificates.

        The names stand in subjectAltName, where clients look for them (RFC 9525 §6.3).
        """
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"expected one name or more, such as 'shop.test' or '10.0.0.2', got {names!r}")
        key, alternatives = _new_key(self.key_kind), x509.SubjectAlternativeName([_general_name(name) for name in names])
        extensions = [*_basics(ca=False), (alternatives, False)]
        made = _sign(_subject(names[0]), key.public_key(), self._made.subject, self._key, extensions)
        return Certificate(self, names, made, key)

    def client_context(self) -> ssl.SSLContext:
        """An SSLContext that trusts this CA and no other, and checks the server's name."""
        return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=self.pem)

    def __repr__(self):
        return f"certificate authority {self.name!r}"


class Certificate:
    """A certificate, its private key and the CA that signed it.

    names: what it is for; pem: the certificate as text; key_pem: the private key as text, for a program that needs it in a file.
    """

    def __init__(self, authority, names, made, key):
        self.authority, self.names, self.pem, self._key = authority, tuple(names), _pem(made), key

    @property
    def key_pem(self) -> str:
        return _key_pem(self._key).decode()

    def server_context(self) -> ssl.SSLContext:
        """A new SSLContext for the server's side: it shows this certificate, and sends no session tickets unless told to.

        Tickets (num_tickets > 0) are records that the server sends by itself behind the handshake, RFC 8446 §4.6.1.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0
        with _unlisted(self.pem.encode() + _key_pem(self._key)) as path:
            context.load_cert_chain(path)
        return context

    def save(self, path: str | os.PathLike) -> None:
        """Write the certificate and its private key to one PEM file, for programs that want files: openssl, NGINX, …"""
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(self.pem.encode() + _key_pem(self._key))

    def client_context(self) -> ssl.SSLContext:
        """A new SSLContext for the client's side: it trusts the CA that signed this certificate, and no other."""
        return self.authority.client_context()

    def __repr__(self):
        return f"certificate for {', '.join(self.names)}, signed by {self.authority.name!r}"


def _new_key(kind):
    return ed25519.Ed25519PrivateKey.generate() if kind == "Ed25519" else ec.generate_private_key(ec.SECP256R1())


def _subject(name):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])  # RFC 5280 §A.1: 64 characters at most


def _general_name(name):
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _basics(ca):
    """What the key may do, as (extension, critical): RFC 5280 §4.2.1.3, §4.2.1.9.  Python 3.13 insists (VERIFY_X509_STRICT)."""
    may = x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return [(x509.BasicConstraints(ca=ca, path_length=None), True), (may, True)]


def _sign(subject, public_key, issuer, signer, extensions):
    """A certificate.  Its serial number has a fixed length, because lengths on the wire should not differ from run to run."""
    now = datetime.now(timezone.utc)
    serial = int.from_bytes(b"\x40" + os.urandom(15), "big")
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key).serial_number(serial)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + VALID)  # a day for clocks that differ
    known = x509.SubjectKeyIdentifier.from_public_key(public_key)
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    for extension, critical in [*extensions, (known, False), (by, False)]:
        made = made.add_extension(extension, critical)
    return made.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else SHA256())  # Ed25519 brings its own hash


def _pem(made):
    return made.public_bytes(Encoding.PEM).decode()


def _key_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def _unlisted(content):
    """A path that OpenSSL can open while the `with` lasts: a file in memory (memfd_create(2)), or else one that is deleted."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("key", os.MFD_CLOEXEC), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.TemporaryDirectory() as folder:  # not NamedTemporaryFile, which Windows does not open a second time
        path = os.path.join(folder, "key.pem")
        with open(path, "wb") as file:
            file.write(content)
        yield path
