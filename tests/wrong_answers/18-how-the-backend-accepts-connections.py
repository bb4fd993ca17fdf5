"""Plausible wrong answers to the exercises of chapter 18; each must get feedback of its own."""

# %% 18-backlog: counts what fits, and forgets that Linux lets one more in
def measure(client, server, port):
    inside = []
    try:
        while len(inside) < 50:
            inside.append(client.connect(server, port, timeout=0.3))
    except TimeoutError:
        return len(inside)
labs.exercise("18-backlog").check(measure)
# %% 18-backlog: does not wait for an answer, so that every connect() seems to succeed
def measure(client, server, port):
    return len([client.connect(server, port, wait=False) for _ in range(20)])
labs.exercise("18-backlog").check(measure)
# %% 18-backlog: returns the sockets
def measure(client, server, port):
    return [client.connect(server, port)]
labs.exercise("18-backlog").check(measure)
# %% 18-backlog: lets the error out
def measure(client, server, port):
    for n in range(50):
        client.connect(server, port, timeout=0.2)
labs.exercise("18-backlog").check(measure)
# %% 18-overflow: the SYN is lost on the wire, not in the queue
mine = labs.network("client", "server")
listener = mine["server"].listen(80, backlog=0)
my_overflow = {"before": mine["server"].counters()}
with mine.wire.rule(lambda f: f.syn, drop=True, times=1), mine.capture() as my_overflow["capture"]:
    mine["client"].connect(mine["server"], 80)
my_overflow["after"] = mine["server"].counters()
labs.exercise("18-overflow").check(my_overflow)
# %% 18-overflow: the client's counters
mine = labs.network("client", "server")
listener = mine["server"].listen(80, backlog=0)
my_overflow = {"before": mine["client"].counters()}
with mine.capture() as my_overflow["capture"]:
    inside = mine["client"].connect(mine["server"], 80)
    mine.wire.settle()
    outside = mine["client"].connect(mine["server"], 80, wait=False)
my_overflow["after"] = mine["client"].counters()
labs.exercise("18-overflow").check(my_overflow)
# %% 18-overflow: the capture ends too early
mine = labs.network("client", "server")
listener = mine["server"].listen(80, backlog=0)
my_overflow = {"before": mine["server"].counters()}
with mine.capture() as my_overflow["capture"]:
    inside = mine["client"].connect(mine["server"], 80)
    mine.wire.settle()
    outside = mine["client"].connect(mine["server"], 80, wait=False)
    mine.wire.settle()
my_overflow["after"] = mine["server"].counters()
labs.exercise("18-overflow").check(my_overflow)
# %% 18-overflow: the counters were read too early
mine = labs.network("client", "server")
listener = mine["server"].listen(80, backlog=0)
my_overflow = {"before": mine["server"].counters()}
with mine.capture() as my_overflow["capture"]:
    inside = mine["client"].connect(mine["server"], 80)
    mine.wire.settle()
    outside = mine["client"].connect(mine["server"], 80, wait=False)
    mine.wire.settle()
    my_overflow["after"] = mine["server"].counters()
    another = mine["client"].connect(mine["server"], 80, wait=False)
    mine.wire.settle()
labs.exercise("18-overflow").check(my_overflow)
# %% 18-overflow: no capture
my_overflow = {"before": mine["server"].counters(), "after": mine["server"].counters()}
labs.exercise("18-overflow").check(my_overflow)
# %% 18-reset: nobody listens
mine = labs.network("client", "server")
with mine.capture() as my_reset:
    try:
        mine["client"].connect(mine["server"], 81)
    except ConnectionRefusedError:
        pass
labs.exercise("18-reset").check(my_reset)
# %% 18-reset: the server's program resets, after accept()
mine = labs.network("client", "server")
listener = mine["server"].listen(80)
with mine.capture() as my_reset:
    inside = mine["client"].connect(mine["server"], 80)
    accepted, _ = listener.accept()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted.close()
    mine.wire.settle()
labs.exercise("18-reset").check(my_reset)
# %% 18-reset: the client resets
mine = labs.network("client", "server")
listener = mine["server"].listen(80)
with mine.capture() as my_reset:
    inside = mine["client"].connect(mine["server"], 80)
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    inside.close()
    mine.wire.settle()
labs.exercise("18-reset").check(my_reset)
# %% 18-reset: the setting alone; the SYN that finds the queue full is dropped all the same
mine = labs.network("client", "server")
mine["server"].sysctl("net.ipv4.tcp_abort_on_overflow", 1)
listener = mine["server"].listen(80, backlog=0)
with mine.capture() as my_reset:
    inside = mine["client"].connect(mine["server"], 80)
    mine.wire.settle()
    outside = mine["client"].connect(mine["server"], 80, wait=False)
    mine.wire.settle()
labs.exercise("18-reset").check(my_reset)
# %% 18-acceptor: answers one after the other
def serve(listener, answer):
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(answer(connection.recv(1000)))
labs.exercise("18-acceptor").check(serve)
# %% 18-acceptor: accepts quickly and never answers
def serve(listener, answer):
    kept = []
    while True:
        kept.append(listener.accept())
labs.exercise("18-acceptor").check(serve)
# %% 18-acceptor: one connection only
def serve(listener, answer):
    connection, _ = listener.accept()
    with connection:
        connection.sendall(answer(connection.recv(1000)))
labs.exercise("18-acceptor").check(serve)
# %% 18-acceptor: a mistake in it
def serve(listener, answer):
    connection = listener.accept()
    connection.sendall(answer(connection.recv(1000)))
labs.exercise("18-acceptor").check(serve)
