"""A real TLS 1.3 connection in memory; prints its key log and both streams as JSON.  OPENSSL_CONF chooses the cipher suite."""

import datetime
import json
import os
import ssl
import sys
import tempfile


def certificate(folder):
    """A self-signed certificate for "server" and its key, as one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = os.path.join(folder, "server.pem")
    with open(path, "wb") as file:
        file.write(pem)
    return path


def converse(folder, version=ssl.TLSVersion.TLSv1_3, curve=None, messages=((b"GET / HTTP/1.1\r\n\r\n", b'{"ok": true}'),)):
    """Handshake, then request and response a few times, then both closes.  → key log, client's bytes, server's bytes, suite."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(certificate(folder))
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    client.keylog_filename = log = os.path.join(folder, "keys.log")
    if curve:
        server.set_ecdh_curve(curve)  # one that the client did not guess: HelloRetryRequest
    inbox, outbox, sent = ({"client": make(), "server": make()} for make in (ssl.MemoryBIO, ssl.MemoryBIO, bytearray))
    ends = {
        "client": client.wrap_bio(inbox["client"], outbox["client"], server_hostname="server"),
        "server": server.wrap_bio(inbox["server"], outbox["server"], server_side=True),
    }

    def attempt(action, *arguments):
        """Call, then carry what was written to the other end; None if the end wants more bytes first."""
        try:
            return action(*arguments)
        except ssl.SSLWantReadError:
            return None
        finally:
            for sender, receiver in (("client", "server"), ("server", "client")):
                data = outbox[sender].read()
                sent[sender] += data
                inbox[receiver].write(data)

    for _ in range(4):
        for end in ends.values():
            attempt(end.do_handshake)
    for request, response in messages:
        for sender, receiver, text in (("client", "server", request), ("server", "client", response)):
            attempt(ends[sender].write, text)
            got = b""
            for _ in range(len(text)):  # a read gives one record at most
                if got != text:
                    got += attempt(ends[receiver].read, 1 << 20) or b""
            assert got == text
    for end in ends.values():
        attempt(end.unwrap)
    with open(log) as file:
        return file.read(), bytes(sent["client"]), bytes(sent["server"]), ends["client"].cipher()[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        keylog, up, down, suite = converse(folder, curve=sys.argv[1] if len(sys.argv) > 1 else None)
    print(json.dumps([keylog, up.hex(), down.hex(), suite]))
