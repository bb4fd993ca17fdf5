"""Plausible wrong answers to the exercises of chapter 16; each must get feedback of its own."""

# %% 16-negotiated: believes the legacy version
from labs.decode.tls import records
def negotiated(up, down):
    hello, answer = (messages(stream[5 : 5 + records(stream)[0].length])[0] for stream in (up, down))
    return answer["Legacy Version"], answer["Cipher Suite"], hello["Host Name"]
labs.exercise("16-negotiated").check(negotiated)
# %% 16-negotiated: takes the first suite that the client offers
from labs.decode.tls import records
def negotiated(up, down):
    hello, answer = (messages(stream[5 : 5 + records(stream)[0].length])[0] for stream in (up, down))
    return answer["Selected Version"], hello["Cipher Suites"][0], hello["Host Name"]
labs.exercise("16-negotiated").check(negotiated)
# %% 16-unknown-ca: the versions do not match
mine, other = contexts(TLS12)[0], contexts(TLS13)[1]
other.minimum_version = TLS13
my_refusal = labs.tls(*visit(mine, other, []))
labs.exercise("16-unknown-ca").check(my_refusal)
# %% 16-unknown-ca: a signer that is known, for another name
other = shop.authority.issue("other.test").server_context()
my_refusal = labs.tls(*visit(contexts(TLS13)[0], other, []))
labs.exercise("16-unknown-ca").check(my_refusal)
# %% 16-resumption: the first visit
labs.exercise("16-resumption").check(tls13)
# %% 16-resumption: a session of TLS 1.2
labs.exercise("16-resumption").check(tls12)
# %% 16-open-record: forgets the padding
def open_record(secret, number, record):
    key, iv = expand(secret, b"key", b"", 32), expand(secret, b"iv", b"", 12)
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    inner = AESGCM(key).decrypt(nonce, record[5:], record[:5])
    return inner[-1], inner[:-1]
labs.exercise("16-open-record").check(open_record)
# %% 16-open-record: lets the exception through
def open_record(secret, number, record):
    key, iv = expand(secret, b"key", b"", 32), expand(secret, b"iv", b"", 12)
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    inner = AESGCM(key).decrypt(nonce, record[5:], record[:5]).rstrip(b"\0")
    return inner[-1], inner[:-1]
labs.exercise("16-open-record").check(open_record)
# %% 16-open-record: believes the header's type
def open_record(secret, number, record):
    key, iv = expand(secret, b"key", b"", 32), expand(secret, b"iv", b"", 12)
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    return record[0], AESGCM(key).decrypt(nonce, record[5:], record[:5]).rstrip(b"\0")[:-1]
labs.exercise("16-open-record").check(open_record)
