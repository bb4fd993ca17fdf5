"""The numbers of TLS and what they are called: RFC 8446 §4 and §B, RFC 5246 §A, and IANA's registries for what came later.

TLS says everything in small numbers.  These tables hold what OpenSSL, browsers and the course's own traffic use; a number that
is not here is shown as a number.
"""

from dataclasses import dataclass

__all__ = [
    "ALERTS", "ALERT_LEVELS", "CERTIFICATE_TYPES", "CONTENT_TYPES", "EXTENSIONS", "GROUPS", "HANDSHAKES", "SIGNATURES", "SUITES",
    "Suite", "VERSIONS", "called", "is_grease",
]  # fmt: skip

CONTENT_TYPES = {20: "change_cipher_spec", 21: "alert", 22: "handshake", 23: "application_data"}
VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
HANDSHAKES = {
    0: "HelloRequest", 1: "ClientHello", 2: "ServerHello", 4: "NewSessionTicket", 5: "EndOfEarlyData",
    8: "EncryptedExtensions", 11: "Certificate", 12: "ServerKeyExchange", 13: "CertificateRequest", 14: "ServerHelloDone",
    15: "CertificateVerify", 16: "ClientKeyExchange", 20: "Finished", 22: "CertificateStatus", 24: "KeyUpdate",
}  # fmt: skip
ALERT_LEVELS = {1: "warning", 2: "fatal"}
ALERTS = {  # RFC 8446 §6; 21, 22, 30, 41, 60 and 100 are of older versions
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
    30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
    60: "export_restriction", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 112: "unrecognized_name", 113: "bad_certificate_status_response",
    115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip
EXTENSIONS = {
    0: "server_name", 1: "max_fragment_length", 5: "status_request", 10: "supported_groups", 11: "ec_point_formats",
    13: "signature_algorithms", 16: "alpn", 18: "signed_certificate_timestamp", 21: "padding", 22: "encrypt_then_mac",
    23: "extended_master_secret", 27: "compress_certificate", 35: "session_ticket", 41: "pre_shared_key", 42: "early_data",
    43: "supported_versions", 44: "cookie", 45: "psk_key_exchange_modes", 47: "certificate_authorities",
    49: "post_handshake_auth", 50: "signature_algorithms_cert", 51: "key_share", 0xFF01: "renegotiation_info",
}  # fmt: skip
GROUPS = {  # RFC 8446 §4.2.7; 4587 to 4589: key exchanges that combine a curve with ML-KEM
    23: "secp256r1", 24: "secp384r1", 25: "secp521r1", 29: "x25519", 30: "x448",
    256: "ffdhe2048", 257: "ffdhe3072", 258: "ffdhe4096", 259: "ffdhe6144", 260: "ffdhe8192",
    4587: "SecP256r1MLKEM768", 4588: "X25519MLKEM768", 4589: "SecP384r1MLKEM1024",
}  # fmt: skip
SIGNATURES = {  # RFC 8446 §4.2.3; those with SHA-1 and SHA-224 from RFC 5246 §7.4.1.4.1
    0x0201: "rsa_pkcs1_sha1", 0x0202: "dsa_sha1", 0x0203: "ecdsa_sha1", 0x0301: "rsa_pkcs1_sha224", 0x0302: "dsa_sha224",
    0x0303: "ecdsa_sha224", 0x0401: "rsa_pkcs1_sha256", 0x0402: "dsa_sha256", 0x0403: "ecdsa_secp256r1_sha256",
    0x0501: "rsa_pkcs1_sha384", 0x0502: "dsa_sha384", 0x0503: "ecdsa_secp384r1_sha384", 0x0601: "rsa_pkcs1_sha512",
    0x0602: "dsa_sha512", 0x0603: "ecdsa_secp521r1_sha512", 0x0804: "rsa_pss_rsae_sha256", 0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512", 0x0807: "ed25519", 0x0808: "ed448", 0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384", 0x080B: "rsa_pss_pss_sha512",
}  # fmt: skip
CERTIFICATE_TYPES = {1: "rsa_sign", 2: "dss_sign", 64: "ecdsa_sign"}


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite.  In TLS 1.2 it names the key exchange as well; in TLS 1.3 (key_exchange "") that is agreed on apart."""

    name: str
    key_exchange: str  # "", "ECDHE", "DHE", "RSA"
    cipher: str  # "AES-GCM", "ChaCha20-Poly1305", or another one, which is not opened here
    key: int  # bytes
    hash: str  # "SHA256" or "SHA384": of HKDF or of the PRF


def _suites():
    found = {
        0x1301: Suite("TLS_AES_128_GCM_SHA256", "", "AES-GCM", 16, "SHA256"),
        0x1302: Suite("TLS_AES_256_GCM_SHA384", "", "AES-GCM", 32, "SHA384"),
        0x1303: Suite("TLS_CHACHA20_POLY1305_SHA256", "", "ChaCha20-Poly1305", 32, "SHA256"),
        0x00FF: Suite("TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "", "a signal, no cipher", 0, "SHA256"),
        0x5600: Suite("TLS_FALLBACK_SCSV", "", "a signal, no cipher", 0, "SHA256"),
    }
    gcm = {"RSA": 0x009C, "DHE_RSA": 0x009E, "ECDHE_RSA": 0xC02F, "ECDHE_ECDSA": 0xC02B}  # RFC 5288 and 5289
    for name, number in gcm.items():
        exchange = name.partition("_")[0]
        found[number] = Suite(f"TLS_{name}_WITH_AES_128_GCM_SHA256", exchange, "AES-GCM", 16, "SHA256")
        found[number + 1] = Suite(f"TLS_{name}_WITH_AES_256_GCM_SHA384", exchange, "AES-GCM", 32, "SHA384")
    for name, number in {"ECDHE_RSA": 0xCCA8, "ECDHE_ECDSA": 0xCCA9, "DHE_RSA": 0xCCAA}.items():  # RFC 7905
        exchange, cipher = name.partition("_")[0], "ChaCha20-Poly1305"
        found[number] = Suite(f"TLS_{name}_WITH_CHACHA20_POLY1305_SHA256", exchange, cipher, 32, "SHA256")
    cbc = (  # RFC 5246 §A.5, RFC 5289 §3.1, RFC 8422 §6: listed by their names only, for what a hello offers
        ("RSA", 0x002F, 0x0035, 0x003C, 0x003D), ("DHE_RSA", 0x0033, 0x0039, 0x0067, 0x006B),
        ("ECDHE_RSA", 0xC013, 0xC014, 0xC027, 0xC028), ("ECDHE_ECDSA", 0xC009, 0xC00A, 0xC023, 0xC024),
    )  # fmt: skip
    for name, *numbers in cbc:
        last = "SHA384" if "EC" in name else "SHA256"
        for number, rest in zip(numbers, ("AES_128_CBC_SHA", "AES_256_CBC_SHA", "AES_128_CBC_SHA256", f"AES_256_CBC_{last}")):
            found[number] = Suite(f"TLS_{name}_WITH_{rest}", name.partition("_")[0], "AES-CBC", 0, "SHA256")
    return found


SUITES = _suites()  # number → Suite


def is_grease(number: int) -> bool:
    """True for values that mean nothing and are offered so that peers learn to skip what they do not know (RFC 8701)."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


def called(number: int, names: dict, size: int = 2) -> str:
    """The name of a number, or the number: called(0x1301, SUITES) → "TLS_AES_128_GCM_SHA256"."""
    name = names.get(number)
    if name is not None:
        return getattr(name, "name", name)
    return "GREASE" if size == 2 and is_grease(number) else f"0x{number:0{2 * size}x}"
