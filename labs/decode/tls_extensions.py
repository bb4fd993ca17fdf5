"""The extensions of TLS messages: RFC 8446 §4.2, RFC 6066, RFC 7301, RFC 8422.

TLS 1.3 is, to a good part, TLS 1.2's hello with other extensions: the version, the key exchange and the resumption all moved
there, because every server skips an extension that it does not know.  Built in chapter 16-tls.
"""

from labs.decode.reader import Reader
from labs.decode.tls_names import EXTENSIONS, GROUPS, SIGNATURES, VERSIONS, called

__all__ = ["extensions"]

MODES = {0: "psk_ke", 1: "psk_dhe_ke"}
POINTS = {0: "uncompressed", 1: "compressed_prime", 2: "compressed_char2"}
NAME_TYPES = {0: "host_name"}
RESPONSES = {1: "ocsp"}


def extensions(r: Reader, message: str) -> None:
    """The extensions block that fills the rest of `r`: a length, then type, length and content of each.

    `message` is the name of the handshake message: an extension says different things in different messages.
    """
    if not r.left:
        return  # in TLS 1.2 a hello may end without any
    block = r.inside(r.number("Extensions Length", 2))
    while block.left:
        kind = int.from_bytes(block.peek(2), "big")
        block.number(called(kind, EXTENSIONS), 2, meaning="type of an extension")
        length = block.number("Length", 2, meaning="bytes")
        content = block.inside(length)
        outer, content.see = block.see, SEE.get(kind, block.see)
        decode = DECODERS.get(kind)
        if decode and content.left:
            decode(content, message)
        content.rest(f"{called(kind, EXTENSIONS)} data")
        block.see = outer


def _server_name(r, message):
    names = r.inside(r.number("Server Name List Length", 2))
    while names.left:
        names.number("Name Type", 1, NAME_TYPES)
        length = names.number("Host Name Length", 2)
        name = names.peek(length).decode("latin-1")
        names.data("Host Name", length, text=name, meaning="the site, readable for everyone on the way", value=name)


def _alpn(r, message):
    names = r.inside(r.number("Protocol List Length", 2))
    while names.left:
        length = names.number("Protocol Length", 1)
        name = names.peek(length).decode("latin-1")
        names.data("Protocol", length, text=name, value=name)


def _supported_versions(r, message):
    if message == "ClientHello":
        r.list("Supported Versions", 1, 2, VERSIONS)
    else:
        r.number("Selected Version", 2, VERSIONS)


def _key_share(r, message):
    if message == "HelloRetryRequest":
        r.number("Selected Group", 2, GROUPS)
        return
    shares = r.inside(r.number("Key Shares Length", 2)) if message == "ClientHello" else r
    while shares.left:
        shares.number("Group", 2, GROUPS)
        shares.vector("Key Exchange", 2, meaning="a public key, made for this connection", varies=True)


def _pre_shared_key(r, message):
    if message != "ClientHello":
        r.number("Selected Identity", 2, meaning="counted from 0 in the client's list")
        return
    identities = r.inside(r.number("Identities Length", 2))
    while identities.left:
        identities.vector("Identity", 2, meaning="the ticket", varies=True)
        identities.number("Obfuscated Ticket Age", 4, meaning="milliseconds, plus the ticket's age_add", varies=True)
    binders = r.inside(r.number("Binders Length", 2))
    while binders.left:
        binders.vector("Binder", 1, meaning="HMAC over the hello so far: proves knowledge of the key", varies=True)


def _early_data(r, message):
    r.number("Max Early Data Size", 4, meaning="bytes that may come as 0-RTT data")


def _status_request(r, message):
    if message == "ClientHello":
        r.number("Status Type", 1, RESPONSES)
        r.vector("Responder IDs", 2)
        r.vector("Request Extensions", 2)


DECODERS = {
    0: _server_name,
    5: _status_request,
    10: lambda r, message: r.list("Supported Groups", 2, 2, GROUPS),
    11: lambda r, message: r.list("EC Point Formats", 1, 1, POINTS),
    13: lambda r, message: r.list("Signature Algorithms", 2, 2, SIGNATURES),
    16: _alpn,
    35: lambda r, message: r.rest("Session Ticket", varies=True),
    41: _pre_shared_key,
    42: _early_data,
    43: _supported_versions,
    44: lambda r, message: r.vector("Cookie", 2, varies=True),
    45: lambda r, message: r.list("PSK Modes", 1, 1, MODES),
    50: lambda r, message: r.list("Certificate Signature Algorithms", 2, 2, SIGNATURES),
    51: _key_share,
    0xFF01: lambda r, message: r.vector("Renegotiated Connection", 1, varies=True),
}
SEE = {
    0: "RFC 6066 §3", 5: "RFC 6066 §8", 10: "RFC 8446 §4.2.7", 11: "RFC 8422 §5.1.2", 13: "RFC 8446 §4.2.3",
    16: "RFC 7301 §3.1", 22: "RFC 7366 §2", 23: "RFC 7627 §5.1", 35: "RFC 5077 §3.2", 41: "RFC 8446 §4.2.11",
    42: "RFC 8446 §4.2.10", 43: "RFC 8446 §4.2.1", 44: "RFC 8446 §4.2.2", 45: "RFC 8446 §4.2.9", 51: "RFC 8446 §4.2.8",
    0xFF01: "RFC 5746 §3.2",
}  # fmt: skip
