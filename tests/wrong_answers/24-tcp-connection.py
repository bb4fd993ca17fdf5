"""Plausible wrong answers to the exercises of chapter 24; each must get feedback of its own."""

# %% 24-reset: the client resets, not the server
mine = labs.network("client", "server")
door = mine["server"].listen(80)
with mine.capture() as my_reset:
    end = mine["client"].connect(mine["server"], 80)
    other, _ = door.accept()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
labs.exercise("24-reset").check(my_reset)
# %% 24-reset: nobody listens, so the RST refuses a connection that never was
mine = labs.network("client", "server")
with mine.capture() as my_reset:
    try:
        mine["client"].connect(mine["server"], 81)
    except ConnectionRefusedError:
        pass
labs.exercise("24-reset").check(my_reset)
# %% 24-half-close: the client closes both directions
mine = labs.network("client", "server")
door = mine["server"].listen(80)
with mine.capture() as my_half_close:
    end = mine["client"].connect(mine["server"], 80)
    other, _ = door.accept()
    end.close()
    other.recv(1)
    other.sendall(bytes(5000))
labs.exercise("24-half-close").check(my_half_close)
# %% 24-half-close: the server says goodbye first
mine = labs.network("client", "server")
door = mine["server"].listen(80)
with mine.capture() as my_half_close:
    end = mine["client"].connect(mine["server"], 80)
    other, _ = door.accept()
    other.shutdown(socket.SHUT_WR)
    end.recv(1)
    end.sendall(bytes(5000))
    receive(other, 5000)
labs.exercise("24-half-close").check(my_half_close)
# %% 24-retransmission: the SYN is lost, not a data segment
mine = labs.network("client", "server")
door = mine["server"].listen(80)
with mine.wire.rule(lambda f: f.syn, drop=True, times=1), mine.capture() as my_retransmission:
    mine["client"].connect(mine["server"], 80)
labs.exercise("24-retransmission").check(my_retransmission)
# %% 24-retransmission: the capture is cut before the repetition
mine = labs.network("client", "server", delay=0.01)
door = mine["server"].listen(80)
with mine.wire.rule(nth_data_segment(2), drop=True), mine.capture() as my_retransmission:
    end = mine["client"].connect(mine["server"], 80)
    other, _ = door.accept()
    end.sendall(bytes(4000))
    my_retransmission.wait(lambda f: f.lost)
my_retransmission = my_retransmission.where(lambda f: f.payload_length)[:2]
labs.exercise("24-retransmission").check(my_retransmission)
# %% 24-zero-window: the window closes, and the capture ends before it opens
mine = labs.network("client", "server")
door = mine["server"].listen(80)
door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
with mine.capture() as my_zero_window:
    end = mine["client"].connect(mine["server"], 80)
    other, _ = door.accept()
    end.send(bytes(50_000))
    my_zero_window.wait(lambda f: f.sender == "server" and f.window == 0 and f.is_ack)
labs.exercise("24-zero-window").check(my_zero_window)
# %% 24-reorder: sorts by sequence number and keeps every copy
def put_in_order(frames):
    mine = [f for f in frames if f.sender == "client" and f.payload]
    return b"".join(f.payload for f in sorted(mine, key=lambda f: f.seq))
labs.exercise("24-reorder").check(put_in_order)
# %% 24-reorder: forgets that the numbers wrap
def put_in_order(frames):
    pieces = {f.seq: f.payload for f in frames if f.sender == "client" and f.payload}
    start, stream = min(pieces), b""
    for seq in sorted(pieces):
        stream += pieces[seq][len(stream) - (seq - start):] if seq - start <= len(stream) else b""
    return stream
labs.exercise("24-reorder").check(put_in_order)
