"""Plausible wrong answers to the exercises of chapter 22; each must get feedback of its own."""

# %% 22-wanted: gives back what the log says
def as_wanted(starts, latencies, every):
    return list(latencies)
labs.exercise("22-wanted").check(as_wanted)
# %% 22-wanted: takes the log to begin at 0
def as_wanted(starts, latencies, every):
    return [start + latency - number * every for number, (start, latency) in enumerate(zip(starts, latencies))]
labs.exercise("22-wanted").check(as_wanted)
# %% 22-wanted: only the delay until it was sent
def as_wanted(starts, latencies, every):
    return [start - (starts[0] + number * every) for number, start in enumerate(starts)]
labs.exercise("22-wanted").check(as_wanted)
# %% 22-wanted: corrects the slow one only, as if nobody had waited behind it
def as_wanted(starts, latencies, every):
    return [latency if latency < 0.1 else latency + every for latency in latencies]
labs.exercise("22-wanted").check(as_wanted)
# %% 22-wanted: one number
def as_wanted(starts, latencies, every):
    return max(latencies)
labs.exercise("22-wanted").check(as_wanted)
# %% 22-uneven: the load does not know who answered
mine = labs.network("client", "server")
with labs.workers("by_connection", on=mine["server"], count=1, code=designs):
    my_load = labs.load(mine["server"], "http://server/wait/1", connections=4, seconds=0.2)
labs.exercise("22-uneven").check(my_load)
# %% 22-uneven: balanced, and even
mine = labs.network("client", "server")
with labs.workers("by_connection", on=mine["server"], count=1, code=designs):
    my_load = labs.load(mine["server"], "http://server/wait/1", connections=4, seconds=0.3, worker="X-Worker")
labs.exercise("22-uneven").check(my_load)
# %% 22-uneven: requests are dealt, not connections
mine = labs.network("client", "server")
with labs.workers("by_request", on=mine["server"], count=1, code=designs):
    my_load = labs.load(mine["server"], "http://server/wait/1", connections=4, seconds=0.3, worker="X-Worker")
labs.exercise("22-uneven").check(my_load)
# %% 22-uneven: two connections here, one there
mine = labs.network("client", "server")
with labs.workers("by_connection", on=mine["server"], count=1, code=designs):
    my_load = labs.load(mine["server"], "http://server/wait/1", connections=3, seconds=0.3, worker="X-Worker")
labs.exercise("22-uneven").check(my_load)
# %% 22-uneven: one worker
mine = labs.network("client", "server")
with labs.workers("by_connection", on=mine["server"], count=1, code=designs):
    my_load = labs.load(mine["server"], "http://server/wait/1", connections=1, seconds=0.2, worker="X-Worker")
labs.exercise("22-uneven").check(my_load)
# %% 22-fewest: in turn
def deal(listening, workers):
    while True:
        workers.append(workers.pop(0))
        connection, _ = listening.accept()
        with connection:
            socket.send_fds(workers[-1], [b"+"], [connection.fileno()])
labs.exercise("22-fewest").check(deal)
# %% 22-fewest: in turn, from the first one
def deal(listening, workers):
    while True:
        for worker in workers:
            connection, _ = listening.accept()
            with connection:
                socket.send_fds(worker, [b"+"], [connection.fileno()])
labs.exercise("22-fewest").check(deal)
# %% 22-fewest: counts those that come and not those that end, though it reads the bytes
def deal(listening, workers):
    ready, opened = selectors.DefaultSelector(), {worker: 0 for worker in workers}
    for sock in (listening, *workers):
        ready.register(sock, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is not listening:
                key.fileobj.recv(100)
                continue
            connection, _ = listening.accept()
            with connection:
                fewest = min(workers, key=opened.get)
                socket.send_fds(fewest, [b"+"], [connection.fileno()])
            opened[fewest] += 1
labs.exercise("22-fewest").check(deal)
# %% 22-fewest: two bytes that come together count as one
def deal(listening, workers):
    ready, opened = selectors.DefaultSelector(), {worker: 0 for worker in workers}
    for sock in (listening, *workers):
        ready.register(sock, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is not listening:
                key.fileobj.recv(100)
                opened[key.fileobj] -= 1
                continue
            connection, _ = listening.accept()
            with connection:
                fewest = min(workers, key=opened.get)
                socket.send_fds(fewest, [b"+"], [connection.fileno()])
            opened[fewest] += 1
labs.exercise("22-fewest").check(deal)
# %% 22-fewest: keeps a copy of every descriptor
def deal(listening, workers):
    kept, turn = [], 0
    while True:
        connection, _ = listening.accept()
        kept.append(connection)
        socket.send_fds(workers[turn % len(workers)], [b"+"], [connection.fileno()])
        turn += 1
labs.exercise("22-fewest").check(deal)
# %% 22-fewest: all to one
def deal(listening, workers):
    while True:
        connection, _ = listening.accept()
        with connection:
            socket.send_fds(workers[0], [b"+"], [connection.fileno()])
labs.exercise("22-fewest").check(deal)
# %% 22-fewest: a mistake in it
def deal(listening, workers):
    connection = listening.accept()
    socket.send_fds(workers[0], [b"+"], [connection.fileno()])
labs.exercise("22-fewest").check(deal)
# %% 22-pool: one line after the other
def serve(listening, workers):
    ready = selectors.DefaultSelector()
    ready.register(listening, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is listening:
                ready.register(listening.accept()[0], selectors.EVENT_READ)
            elif line := key.fileobj.recv(1000):
                workers[0].sendall(line)
                key.fileobj.sendall(workers[0].recv(1000))
            else:
                ready.unregister(key.fileobj)
                key.fileobj.close()
labs.exercise("22-pool").check(serve)
# %% 22-pool: balances by connection: each client has its worker
from threading import Lock
def serve(listening, workers):
    locks = [(worker, Lock()) for worker in workers]
    def talk(connection, worker, lock):
        with connection:
            while line := connection.recv(1000):
                with lock:
                    worker.sendall(line)
                    connection.sendall(worker.recv(1000))
    turn = 0
    while True:
        connection, _ = listening.accept()
        Thread(target=talk, args=(connection, *locks[turn % len(locks)]), daemon=True).start()
        turn += 1
labs.exercise("22-pool").check(serve)
# %% 22-pool: balances by request, and forgets that workers die: the client gets nothing
from queue import SimpleQueue
def serve(listening, workers):
    lines = SimpleQueue()
    def work_with(worker):
        while True:
            connection, line = lines.get()
            worker.sendall(line)
            connection.sendall(worker.recv(1000))
    def listen_to(connection):
        while line := connection.recv(1000):
            lines.put((connection, line))
    for worker in workers:
        Thread(target=work_with, args=(worker,), daemon=True).start()
    while True:
        Thread(target=listen_to, args=(listening.accept()[0],), daemon=True).start()
labs.exercise("22-pool").check(serve)
# %% 22-pool: tells the client instead of asking another worker
def serve(listening, workers):
    lines = SimpleQueue()
    def work_with(worker):
        while True:
            connection, line = lines.get()
            try:
                worker.sendall(line)
                said = worker.recv(1000)
            except OSError:
                said = b""
            connection.sendall(said or b"503 try again\n")
            if not said:
                return
    def listen_to(connection):
        while line := connection.recv(1000):
            lines.put((connection, line))
    for worker in workers:
        Thread(target=work_with, args=(worker,), daemon=True).start()
    while True:
        Thread(target=listen_to, args=(listening.accept()[0],), daemon=True).start()
labs.exercise("22-pool").check(serve)
# %% 22-pool: asks the same, dead worker again
def serve(listening, workers):
    lines = SimpleQueue()
    def work_with(worker):
        while True:
            connection, line = lines.get()
            said = b""
            for _ in range(3):
                with suppress(OSError):
                    if not said:
                        worker.sendall(line)
                        said = worker.recv(1000)
            connection.close() if not said else connection.sendall(said)
    def listen_to(connection):
        try:
            while line := connection.recv(1000):
                lines.put((connection, line))
        except OSError:
            pass
    for worker in workers:
        Thread(target=work_with, args=(worker,), daemon=True).start()
    while True:
        Thread(target=listen_to, args=(listening.accept()[0],), daemon=True).start()
labs.exercise("22-pool").check(serve)
# %% 22-pool: waits until it returns
def serve(listening, workers):
    connection, _ = listening.accept()
    return connection
labs.exercise("22-pool").check(serve)
