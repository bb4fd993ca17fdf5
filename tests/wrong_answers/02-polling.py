"""Plausible wrong answers to the exercises of chapter 02; each must get feedback of its own."""

# %% 02-held: short polling, the client waits
async def handler(request):
    return web.Response(text="running")

mine = labs.network("client", "server")
app = web.Application()
app.add_routes([web.get("/", handler)])
labs.serve(app, on=mine["server"])
with mine["client"].http() as http, mine.capture() as my_capture:
    for _ in range(3):
        http.get("http://server/")
        time.sleep(0.15)
labs.exercise("02-held").check(my_capture)
# %% 02-held: one request, answered at once
with mine["client"].http() as http, mine.capture() as my_capture:
    http.get("http://server/")
labs.exercise("02-held").check(my_capture)
# %% 02-held: held for longer than the client waits
async def handler(request):
    await asyncio.sleep(5)
    return web.Response(text="done")

mine = labs.network("client", "server")
app = web.Application()
app.add_routes([web.get("/", handler)])
labs.serve(app, on=mine["server"])
with mine["client"].http(timeout=0.4) as http, mine.capture() as my_capture:
    try:
        http.get("http://server/")
    except httpx.ReadTimeout:
        pass
labs.exercise("02-held").check(my_capture)
# %% 02-held: the header at once, the rest later
async def handler(request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    await asyncio.sleep(0.4)
    await answer.write(b"done")
    await answer.write_eof()
    return answer

mine = labs.network("client", "server")
app = web.Application()
app.add_routes([web.get("/", handler)])
labs.serve(app, on=mine["server"])
with mine["client"].http() as http, mine.capture() as my_capture:
    http.get("http://server/")
labs.exercise("02-held").check(my_capture)
# %% 02-held: a connection, and no HTTP
mine = labs.network("client", "server")
listener = mine["server"].listen(80)
with mine.capture() as my_capture:
    mine["client"].connect(mine["server"], 80).close()
labs.exercise("02-held").check(my_capture)
# %% 02-backoff: a fixed pause
def poll(http, handle, sleep):
    while http.get(handle).text != "done":
        sleep(1)
    return "done"
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: a fixed pause that keeps to the budget
def poll(http, handle, sleep):
    while http.get(handle).text != "done":
        sleep(5)
    return "done"
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: no jitter
def poll(http, handle, sleep):
    pause = 0.25
    while http.get(handle).text != "done":
        sleep(pause)
        pause = min(2 * pause, 10)
    return "done"
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: jitter at the beginning only
def poll(http, handle, sleep):
    sleep(random.uniform(0, 0.5))
    pause = 0.25
    while http.get(handle).text != "done":
        sleep(pause)
        pause = min(2 * pause, 10)
    return "done"
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: grows for ever
def poll(http, handle, sleep):
    pause = 0.25
    while http.get(handle).text != "done":
        sleep(pause * random.uniform(0.9, 1.1))
        pause *= 2
    return "done"
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: grows too slowly
def poll(http, handle, sleep):
    pause = 0.25
    while http.get(handle).text != "done":
        sleep(pause * random.uniform(0.75, 1.25))
        pause = min(1.1 * pause, 10)
    return "done"
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: no pause
def poll(http, handle, sleep):
    while http.get(handle).text != "done":
        pass
    return "done"
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: sleeps for real
def poll(http, handle, sleep):
    while http.get(handle).text != "done":
        time.sleep(1)
    return "done"
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: gives up
def poll(http, handle, sleep):
    for attempt in range(4):
        if http.get(handle).text == "done":
            return "done"
        sleep(0.05 * 2 ** attempt)
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: returns nothing
def poll(http, handle, sleep):
    pause = 0.25
    while http.get(handle).text != "done":
        sleep(pause * random.uniform(0.75, 1.25))
        pause = min(2 * pause, 10)
labs.exercise("02-backoff").check(poll)
# %% 02-backoff: a mistake in it
def poll(http, handle, sleep):
    while http.get(handle)["state"] != "done":
        sleep(1)
labs.exercise("02-backoff").check(poll)
# %% 02-events: tells those who wait, keeps nothing
def make_app():
    listeners = []

    async def publish(request):
        text = await request.text()
        while listeners:
            listeners.pop().set_result([[1, text]])
        return web.Response(status=201)

    async def read(request):
        listeners.append(asyncio.get_running_loop().create_future())
        try:
            return web.json_response(await asyncio.wait_for(listeners[-1], float(request.query["wait"])))
        except TimeoutError:
            listeners.clear()
            return web.json_response([])

    app = web.Application()
    app.add_routes([web.post("/events", publish), web.get("/events", read)])
    return app
labs.exercise("02-events").check(make_app)
# %% 02-events: a queue, from which each event is taken once
def make_app():
    queue, numbers = asyncio.Queue(), []

    async def publish(request):
        numbers.append(1)
        queue.put_nowait([len(numbers), await request.text()])
        return web.Response(status=201)

    async def read(request):
        try:
            got = [await asyncio.wait_for(queue.get(), float(request.query["wait"]))]
        except TimeoutError:
            return web.json_response([])
        while not queue.empty():
            got.append(queue.get_nowait())
        return web.json_response(got)

    app = web.Application()
    app.add_routes([web.post("/events", publish), web.get("/events", read)])
    return app
labs.exercise("02-events").check(make_app)
# %% 02-events: keeps the last one only
def make_app():
    state, changed = [0, ""], asyncio.Condition()

    async def publish(request):
        async with changed:
            state[:] = [state[0] + 1, await request.text()]
            changed.notify_all()
        return web.Response(status=201)

    async def read(request):
        async with changed:
            try:
                await asyncio.wait_for(changed.wait_for(lambda: state[0] > int(request.query["after"])), float(request.query["wait"]))
                return web.json_response([state])
            except TimeoutError:
                return web.json_response([])

    app = web.Application()
    app.add_routes([web.post("/events", publish), web.get("/events", read)])
    return app
labs.exercise("02-events").check(make_app)
# %% 02-events: does not hold
def make_app():
    events = []

    async def publish(request):
        events.append([len(events) + 1, await request.text()])
        return web.Response(status=201)

    async def read(request):
        return web.json_response(events[int(request.query["after"]):])

    app = web.Application()
    app.add_routes([web.post("/events", publish), web.get("/events", read)])
    return app
labs.exercise("02-events").check(make_app)
# %% 02-events: waits, and is not woken
def make_app():
    events = []

    async def publish(request):
        events.append([len(events) + 1, await request.text()])
        return web.Response(status=201)

    async def read(request):
        after = int(request.query["after"])
        if not events[after:]:
            await asyncio.sleep(float(request.query["wait"]))
        return web.json_response(events[after:])

    app = web.Application()
    app.add_routes([web.post("/events", publish), web.get("/events", read)])
    return app
labs.exercise("02-events").check(make_app)
# %% 02-events: no time limit
def make_app():
    events, changed = [], asyncio.Condition()

    async def publish(request):
        async with changed:
            events.append([len(events) + 1, await request.text()])
            changed.notify_all()
        return web.Response(status=201)

    async def read(request):
        async with changed:
            await changed.wait_for(lambda: len(events) > int(request.query["after"]))
            return web.json_response(events[int(request.query["after"]):])

    app = web.Application()
    app.add_routes([web.post("/events", publish), web.get("/events", read)])
    return app
labs.exercise("02-events").check(make_app)
# %% 02-events: wakes one reader only
def make_app():
    events, changed = [], asyncio.Condition()

    async def publish(request):
        async with changed:
            events.append([len(events) + 1, await request.text()])
            changed.notify()
        return web.Response(status=201)

    async def read(request):
        after, seconds = int(request.query["after"]), float(request.query["wait"])
        async with changed:
            try:
                await asyncio.wait_for(changed.wait_for(lambda: len(events) > after), seconds)
            except TimeoutError:
                return web.json_response([])
            return web.json_response(events[after:])

    app = web.Application()
    app.add_routes([web.post("/events", publish), web.get("/events", read)])
    return app
labs.exercise("02-events").check(make_app)
# %% 02-events: a mistake in it
def make_app():
    events = []

    async def publish(request):
        events.append([len(events), request.text])
        return web.Response(status=201)

    async def read(request):
        return web.json_response(events)

    app = web.Application()
    app.add_routes([web.post("/events", publish), web.get("/events", read)])
    return app
labs.exercise("02-events").check(make_app)
# %% 02-events: an app, not a function that makes one
def make_app():
    return "app"
labs.exercise("02-events").check(make_app)
