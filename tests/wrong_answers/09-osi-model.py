"""Plausible wrong answers to the exercises of chapter 09; each must get feedback of its own."""

# %% 09-spans: every IP header has 20 bytes, every TCP header too
def spans_of(raw):
    if raw[12:14] == b"\x08\x06":
        return {"Ethernet": (0, 14), "ARP": (14, 42)}
    name = {1: "ICMP", 6: "TCP", 17: "UDP"}.get(raw[23])
    size = {"ICMP": 8, "UDP": 8, "TCP": 20, None: 0}[name]
    found = {"Ethernet": (0, 14), "IPv4": (14, 34)} | ({name: (34, 34 + size)} if name else {})
    return found | ({"data": (34 + size, len(raw))} if len(raw) > 34 + size else {})
labs.exercise("09-spans").check(spans_of)
# %% 09-spans: reads Data Offset, forgets IHL
def spans_of(raw):
    if raw[12:14] == b"\x08\x06":
        return {"Ethernet": (0, 14), "ARP": (14, 42)}
    name = {1: "ICMP", 6: "TCP", 17: "UDP"}.get(raw[23])
    size = {"ICMP": 8, "UDP": 8, "TCP": (raw[46] >> 4) * 4, None: 0}[name]
    end = 14 + int.from_bytes(raw[16:18], "big")
    found = {"Ethernet": (0, 14), "IPv4": (14, 34)} | ({name: (34, 34 + size)} if name else {})
    return found | ({"data": (34 + size, end)} if end > 34 + size else {})
labs.exercise("09-spans").check(spans_of)
# %% 09-spans: takes padding for data
def spans_of(raw):
    if raw[12:14] == b"\x08\x06":
        return {"Ethernet": (0, 14), "ARP": (14, 42)}
    top = 14 + (raw[14] & 15) * 4
    name = {1: "ICMP", 6: "TCP", 17: "UDP"}.get(raw[23])
    size = {"ICMP": 8, "UDP": 8, "TCP": (raw[top + 12] >> 4) * 4 if name == "TCP" else 0, None: 0}[name]
    found = {"Ethernet": (0, 14), "IPv4": (14, top)} | ({name: (top, top + size)} if name else {})
    return found | ({"data": (top + size, len(raw))} if len(raw) > top + size else {})
labs.exercise("09-spans").check(spans_of)
# %% 09-spans: looks for TCP in ARP
def spans_of(raw):
    top = 14 + (raw[14] & 15) * 4
    return {"Ethernet": (0, 14), "IPv4": (14, top), "TCP": (top, top + (raw[top + 12] >> 4) * 4), "data": (top + 32, len(raw))}
labs.exercise("09-spans").check(spans_of)
# %% 09-by-hand: the kernel's own ping
mine = labs.network("client", "server")
asker = mine["client"].socket(type=socket.SOCK_RAW, proto=1)
with mine.capture() as my_ping:
    asker.sendto(bytes.fromhex("0800f7f600070001") + b"", (mine["server"].address, 0))
    mine.wire.settle()
labs.exercise("09-by-hand").check(my_ping)
# %% 09-by-hand: checksums left at zero
mine = labs.network("client", "server")
packed = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 1, 0) + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + struct.pack("!BBHHH", 8, 0, 0, 7, 1)
with mine.capture() as my_ping, mine.wire.socket() as wire:
    wire.send(bytes.fromhex("020000000002020000000001") + b"\x08\x00" + packed)
    mine.wire.settle()
labs.exercise("09-by-hand").check(my_ping)
# %% 09-by-hand: the IP checksum is right, ICMP's was forgotten
mine = labs.network("client", "server")
head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 1, 0) + bytes([10, 0, 0, 1, 10, 0, 0, 2])
head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
with mine.capture() as my_ping, mine.wire.socket() as wire:
    wire.send(bytes.fromhex("020000000002020000000001") + b"\x08\x00" + head + struct.pack("!BBHHH", 8, 0, 0, 7, 1))
    mine.wire.settle()
labs.exercise("09-by-hand").check(my_ping)
# %% 09-by-hand: the wrong MAC address
mine = labs.network("client", "server")
head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 1, 0) + bytes([10, 0, 0, 1, 10, 0, 0, 2])
head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
asked = struct.pack("!BBHHH", 8, 0, checksum(struct.pack("!BBHHH", 8, 0, 0, 7, 1)), 7, 1)
with mine.capture() as my_ping, mine.wire.socket() as wire:
    wire.send(bytes.fromhex("020000000009020000000001") + b"\x08\x00" + head + asked)
    mine.wire.settle()
labs.exercise("09-by-hand").check(my_ping)
# %% 09-by-hand: stops at ARP
mine = labs.network("client", "server")
asked = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes.fromhex("020000000001 0a000001 000000000000 0a000002")
with mine.capture() as my_ping, mine.wire.socket() as wire:
    wire.send(b"\xff" * 6 + bytes.fromhex("020000000001") + b"\x08\x06" + asked)
    mine.wire.settle()
labs.exercise("09-by-hand").check(my_ping)
# %% 09-through: one wire, no router
mine = labs.network("client", "server")
with mine.capture() as my_journey:
    pass
labs.exercise("09-through").check(my_journey)
# %% 09-through: addressed to the server's MAC address, which is on the other wire
mine = labs.network("client", labs.router("r1"), "server")
head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 1, 0) + bytes([10, 0, 0, 1, 10, 0, 1, 1])
head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
asked = struct.pack("!BBHHH", 8, 0, checksum(struct.pack("!BBHHH", 8, 0, 0, 7, 1)), 7, 1)
with mine.capture() as my_journey, mine.wires[0].socket() as wire:
    wire.send(bytes.fromhex(mine["server"].mac.replace(":", "") + "020000000001") + b"\x08\x00" + head + asked)
    mine.wires[0].settle()
labs.exercise("09-through").check(my_journey)
# %% 09-through: pings the router, not the server
mine = labs.network("client", labs.router("r1"), "server")
head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 1, 0) + bytes([10, 0, 0, 1, 10, 0, 0, 254])
head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
asked = struct.pack("!BBHHH", 8, 0, checksum(struct.pack("!BBHHH", 8, 0, 0, 7, 1)), 7, 1)
with mine.capture() as my_journey, mine.wires[0].socket() as wire:
    wire.send(bytes.fromhex(mine["r1"].mac.replace(":", "") + "020000000001") + b"\x08\x00" + head + asked)
    mine.wires[0].settle()
labs.exercise("09-through").check(my_journey)
# %% 09-through: TTL 1
mine = labs.network("client", labs.router("r1"), "server")
head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 1, 1, 0) + bytes([10, 0, 0, 1, 10, 0, 1, 1])
head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
asked = struct.pack("!BBHHH", 8, 0, checksum(struct.pack("!BBHHH", 8, 0, 0, 7, 1)), 7, 1)
with mine.capture() as my_journey, mine.wires[0].socket() as wire:
    wire.send(bytes.fromhex(mine["r1"].mac.replace(":", "") + "020000000001") + b"\x08\x00" + head + asked)
    mine.wires[0].settle()
labs.exercise("09-through").check(my_journey)
# %% 09-forward: new MAC addresses and TTL, old checksum
def forward(raw, own_mac, next_mac):
    return next_mac + own_mac[1] + raw[12:22] + bytes([raw[22] - 1]) + raw[23:]
labs.exercise("09-forward").check(forward)
# %% 09-forward: passes on whatever comes
def forward(raw, own_mac, next_mac):
    end = 14 + (raw[14] & 15) * 4
    head = bytearray(raw[14:end])
    head[8] = max(head[8] - 1, 0)
    head[10:12] = b"\0\0"
    head[10:12] = struct.pack("!H", checksum(head))
    return next_mac + own_mac[1] + raw[12:14] + bytes(head) + raw[end:]
labs.exercise("09-forward").check(forward)
# %% 09-forward: a checksum over 20 bytes, whatever IHL says
def forward(raw, own_mac, next_mac):
    head = bytearray(raw[14:34])
    head[8] -= 1
    head[10:12] = b"\0\0"
    head[10:12] = struct.pack("!H", checksum(head))
    return next_mac + own_mac[1] + raw[12:14] + bytes(head) + raw[34:]
labs.exercise("09-forward").check(forward)
# %% 09-forward: a switch, not a router
def forward(raw, own_mac, next_mac):
    return raw
labs.exercise("09-forward").check(forward)
# %% 09-forward: lets damaged headers pass
def forward(raw, own_mac, next_mac):
    if raw[:6] != own_mac[0] or raw[12:14] != b"\x08\x00" or raw[22] <= 1:
        return None
    end = 14 + (raw[14] & 15) * 4
    head = bytearray(raw[14:end])
    head[8] -= 1
    head[10:12] = b"\0\0"
    head[10:12] = struct.pack("!H", checksum(head))
    return next_mac + own_mac[1] + raw[12:14] + bytes(head) + raw[end:]
labs.exercise("09-forward").check(forward)
# %% 09-by-hand: everything right, but from an address that nobody has
mine = labs.network("client", "server")
head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 1, 0) + bytes([10, 0, 0, 9, 10, 0, 0, 2])
head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
asked = struct.pack("!BBHHH", 8, 0, checksum(struct.pack("!BBHHH", 8, 0, 0, 7, 1)), 7, 1)
with mine.capture() as my_ping, mine.wire.socket() as wire:
    wire.send(bytes.fromhex("020000000002020000000001") + b"\x08\x00" + head + asked)
    mine.wire.settle()
labs.exercise("09-by-hand").check(my_ping)
