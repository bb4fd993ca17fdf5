"""Plausible wrong answers to the exercises of chapter 00; each must get feedback of its own."""

# %% 00-one-segment: connected, and sent nothing
mine = labs.network("client", "server")
door = mine["server"].listen(80)
with mine.capture() as my_segment:
    mine["client"].connect(mine["server"], 80)
labs.exercise("00-one-segment").check(my_segment)
# %% 00-one-segment: one sendall() that is too long for one segment
mine = labs.network("client", "server")
door = mine["server"].listen(80)
with mine.capture() as my_segment:
    end = mine["client"].connect(mine["server"], 80)
    end.sendall(bytes(3000))
labs.exercise("00-one-segment").check(my_segment)
# %% 00-one-segment: the server speaks instead
mine = labs.network("client", "server")
door = mine["server"].listen(80)
with mine.capture() as my_segment:
    end = mine["client"].connect(mine["server"], 80)
    other, _ = door.accept()
    other.sendall(b"one")
    end.recv(100)
labs.exercise("00-one-segment").check(my_segment)
# %% 00-one-segment: the segment is lost
mine = labs.network("client", "server")
door = mine["server"].listen(80)
end = mine["client"].connect(mine["server"], 80)
with mine.capture() as my_segment:
    mine.wire.cut()
    end.sendall(b"one")
my_segment = my_segment[:1]
labs.exercise("00-one-segment").check(my_segment)
# %% 00-one-segment: the capture of another pair of hosts
pair = labs.network("alice", "bob")
door = pair["bob"].listen(80)
with pair.capture() as my_segment:
    pair["alice"].connect(pair["bob"], 80).sendall(b"one")
labs.exercise("00-one-segment").check(my_segment)
# %% 00-lost: cut when the frame was through
mine = labs.network("client", "server")
door = mine["server"].listen(80)
end = mine["client"].connect(mine["server"], 80)
with mine.capture() as my_loss:
    end.sendall(b"anyone?")
    mine.wire.cut()
labs.exercise("00-lost").check(my_loss)
# %% 00-lost: held, not lost
mine = labs.network("client", "server")
door = mine["server"].listen(80)
end = mine["client"].connect(mine["server"], 80)
with mine.capture() as my_loss:
    mine.wire.hold()
    end.sendall(b"anyone?")
my_loss = my_loss[:1]
labs.exercise("00-lost").check(my_loss)
# %% 00-lost: cut, and nothing sent
mine = labs.network("client", "server")
with mine.capture() as my_loss:
    mine.wire.cut()
labs.exercise("00-lost").check(my_loss)
# %% 00-half-open: the wire is not held
mine = labs.network("client", "server")
door = mine["server"].listen(80)
end = mine["client"].connect(mine["server"], 80)
labs.exercise("00-half-open").check(mine)
# %% 00-half-open: forgets that ARP comes first
mine = labs.network("client", "server")
door = mine["server"].listen(80)
mine.wire.hold()
end = mine["client"].connect(mine["server"], 80, wait=False)
mine.wire.step()
labs.exercise("00-half-open").check(mine)
# %% 00-half-open: all steps to the end
mine = labs.network("client", "server")
door = mine["server"].listen(80)
mine.wire.hold()
end = mine["client"].connect(mine["server"], 80, wait=False)
for _ in range(5):
    mine.wire.step()
labs.exercise("00-half-open").check(mine)
# %% 00-half-open: closed before it is handed in
with labs.network("client", "server") as mine:
    door = mine["server"].listen(80)
    mine.wire.hold()
    end = mine["client"].connect(mine["server"], 80, wait=False)
    for _ in range(3):
        mine.wire.step()
labs.exercise("00-half-open").check(mine)
# %% 00-half-open: a capture instead of the network
mine = labs.network("client", "server")
with mine.capture() as my_loss:
    pass
labs.exercise("00-half-open").check(my_loss)
