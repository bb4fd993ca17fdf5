"""What is live, what can be written down, and that a recorded notebook shows on a bare machine what it showed live."""

import copy
import json
import shutil
import types

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import labs
import notebooks as harness
from labs.captures.capture import Capture, CapturedFrame
from labs.captures.frame import Arrival
from labs.errors import LabError
from labs.lessons import recorder, replay, store
from labs.lessons.liveness import Tracker, read
from labs.lessons.record import Refused, record_one
from labs.lessons.record_values import Files, Unrecordable, decode, encode, fingerprint
from labs.lessons.say import as_recorded

SLUG = "24-tcp-connection"


# ── which cells are live ─────────────────────────────────────────────────────────────────────────────────────────────────


def liveness(*cells, live=("net", "client", "server", "sock")):
    """Which of the cells are live, when every name of `live` that a live cell binds stays live."""
    tracker, found = Tracker(), []
    for source in cells:
        code = read(source)
        why = tracker.why(code)
        found.append(bool(why))
        tracker.after(code, live=(code.stores & set(live)) if why else ())
    return found


NET = "net = labs.network('client', 'server')\nclient, server = net"


@pytest.mark.parametrize(
    "source",
    [
        "sock = client.connect(server, 80)",
        "print(net.link)",
        "[host.name for host in net]",
        "with net.capture() as cap: pass",
        "measure(lambda: client.sockets())",
        "sorted([1], key=lambda n, host=client: n)",
        "net += 1",
        "del client",
        "{host: 1 for host in net}",
        "def f():\n    return [host for host in net]\nf()",
        "def f(at=server): pass",
        "@server.handler\ndef f(): pass",
        "class C(client.Base): pass",
        "class C:\n    name = client.name",
        "def f():\n    return client\nf()",
        "f = lambda: client\nf()",
        "class C:\n    def go(self): return client\nC().go()",
        "get_ipython().run_line_magic('timeit', 'client.sockets()')",
        "print(f'{client.address}')",
        "labs.network('a', 'b').close()",
        "from labs import network\nnetwork('a', 'b')",
        "import labs as course\ncourse.network('a', 'b')",
        "await client.ready()",
        "match net:\n    case None: pass",
    ],
)
def test_live(source):
    assert liveness(NET, source) == [True, True]


@pytest.mark.parametrize(
    "source",
    [
        "x = 1",
        "def f():\n    return client.connect(server, 80)",
        "async def f():\n    return client",
        "f = lambda: client",
        "class C:\n    def go(self): return client",
        "thing.client.net",
        "f(client=1)",
        "[client for client in (1, 2)]",
        "(lambda client: client)(1)",
        "{client: net for client, net in ()}",
        "def f(client):\n    client += 1\n    return [net for net in client]\nf(1)",
        "def f(client):\n    return client\nf(1)",
        "def f():\n    net = 1\n    return net\nf()",
        "labs.claim('x', True)",
        "other.network()",
        "'client'",
    ],
)
def test_not_live(source):
    assert liveness(NET, source) == [True, False]


def test_a_function_is_tainted_through_others_and_by_what_comes_later():
    ask, ask_twice = "def ask():\n    client.sockets()", "def ask_twice():\n    ask(); ask()"
    assert liveness(ask, ask_twice, NET, "ask_twice") == [False, False, True, True]
    assert liveness(ask, NET, "def ask(): pass", "ask()") == [False, True, False, False]
    assert liveness("def start():\n    return labs.network('a', 'b')", "net = start()", "net") == [False, True, True]


def test_a_name_that_is_bound_anew_is_live_no_more():
    assert liveness(NET, "client = 1", "client", "server") == [True, False, False, True]


# ── what can be written down ─────────────────────────────────────────────────────────────────────────────────────────────


def capture(numbers=(1, 2)):
    cards = [("client", 0, "02:00:00:00:00:01", ("10.0.0.1",)), ("server", 0, "02:00:00:00:00:02", ("10.0.0.2",))]
    names = {"02:00:00:00:00:01": "client", "10.0.0.1": "client", "02:00:00:00:00:02": "server", "10.0.0.2": "server"}
    frames = []
    for number in numbers:
        raw = bytes.fromhex("020000000002020000000001ffff") + bytes([number]) * 50
        frame = CapturedFrame(raw, number=number, time=1_700_000_000_000_000_000 + number, sender="client", wire=0)
        frame.names, frame.origin = names, "live, tap"
        frame.arrivals = [Arrival(frame.time + 5, "server", raw[:-1] + b"!" if number == 2 else None)]
        frames.append(frame)
    return Capture(frames, ("client", "server"), names, "live, tap", 0, cards)


VALUES = [
    None, True, 0, -(2**70), 1.5, 0.1 + 0.2, float("inf"), "", "ü\ud800", b"\x00\xff", bytearray(b"x"), [], [1, [2, (3,)]], (),
    {1, 2}, frozenset({"a"}), {}, {"a": 1, 2: b"b", (3, None): {"tuple": []}}, {"bytes": "00"},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_survive_json(value, tmp_path):
    again = decode(json.loads(json.dumps(encode(value, Files(tmp_path)))), Files(tmp_path))
    assert again == value and type(again) is type(value)


@pytest.mark.parametrize("value", [object(), print, open, [object()], {"a": {1: object()}}, type("L", (list,), {})(), types])
def test_values_that_cannot_be_written_down(value, tmp_path):
    with pytest.raises(Unrecordable):
        encode(value, Files(tmp_path))
    assert fingerprint(value) is None


def test_a_value_that_holds_itself_is_not_recordable():
    loop = []
    loop.append(loop)
    assert fingerprint(loop) is None


def test_captures_and_frames(tmp_path):
    cap, other, files = capture(), capture((7, 9)), Files(tmp_path)
    record = json.loads(json.dumps([encode(value, files, "cap") for value in (cap, cap, other, cap[1], other[0])]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cap-2.pcapng", "cap.pcapng"]
    assert record[0] == record[1] == {"capture": "cap.pcapng"} and record[2]["numbers"] == [7, 9]
    again = Files(tmp_path)
    one, same, two, frame, alone = [decode(item, again) for item in record]
    assert one is same
    assert (one.origin, one.hosts, one.names, one.missed, one[0].origin) == ("recorded", cap.hosts, cap.names, 0, "recorded")
    assert type(frame) is type(alone) is CapturedFrame and frame.origin == "recorded"
    for was, got in ((cap[0], one[0]), (cap[1], one[1]), (cap[1], frame), (other[1], two[1]), (other[0], alone)):
        assert (was.raw, was.number, was.time, was.sender, was.arrivals, was.names) == (
            got.raw, got.number, got.time, got.sender, got.arrivals, got.names,
        )  # fmt: skip


def test_a_capture_that_a_file_does_not_keep_is_refused(tmp_path):
    cap = capture()
    cap.names["10.9.9.9"] = "nobody"
    with pytest.raises(ValueError, match="does not keep the capture's names"):
        encode(cap, Files(tmp_path))


def test_a_recording_loads_only_what_is_listed(tmp_path):
    for record in (
        {"object": "os:system", "record": "x"},
        {"unknown": 1},
        {"frame": {"class": "os:system"}},
        {"capture": "../x"},
    ):
        with pytest.raises(ValueError):
            decode(record, Files(tmp_path))


def test_rows_of_sockets(tmp_path):
    from labs.network.kernel import SocketRow, SocketTable

    table = SocketTable([SocketRow("tcp", "0.0.0.0:80", "0.0.0.0:0", "LISTEN", 0, 0, "", 0)])
    for value in (table, table[0]):
        again = decode(json.loads(json.dumps(encode(value, Files(tmp_path)))), Files(tmp_path))
        assert again == value and type(again) is type(value)


@pytest.mark.parametrize(
    "other",
    ["a = f(1)  # why", "\n# what\na=f( 1 )\n\n", "a = (f(1))", "a = f(\n    1,\n)"],
)
def test_a_cell_that_differs_in_comments_and_spaces_is_the_same(other):
    assert store.cell_key(other) == store.cell_key("a = f(1)")


@pytest.mark.parametrize(
    "one, other",
    [
        ("a = f(1)", "a = f(1.0)"),
        ("a = f(1)", "a = f(True)"),
        ("a = 'x'", "a = b'x'"),
        ("f'{x}'", "f'{x!r}'"),
        ("f'{x}'", "f\"'{x}'\""),
        ("f()", "f() if a else None"),
        ("%timeit f()", "%timeit g()"),
        ("!ls", "!ls -l"),
        ("no python", "no  python"),
    ],
)
def test_a_cell_that_says_something_else_is_another(one, other):
    assert store.cell_key(one) != store.cell_key(other)


def test_the_keys_are_the_same_in_every_version_of_python():
    """Computed with Python 3.11, 3.12 and 3.13: a recording is made with one and played with another."""
    source = "def f(x):\n    return f'a{x!r:>{w}}b{{c}}{y=}' 'd', [i for i in x if i], ...\n\n\nclass A:\n    b: int = 1"
    assert store.cell_key(source)[:16] == "c9bd2b60f79a5702"


# ── record and replay in one process, with a network that is a stand-in ──────────────────────────────────────────────────


class Host:
    def __init__(self, name):
        self.name = name

    def ask(self):
        return f"{self.name} answers"


class Net:
    def __init__(self, *names):
        self.hosts = [Host(name) for name in names]

    def __iter__(self):
        return iter(self.hosts)

    def capture(self):
        return capture()


@pytest.fixture
def shell():
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    yield InteractiveShell.instance()
    for module in (recorder, replay):
        if module._current:
            module._current.end()
            module._current = None
    InteractiveShell.clear_instance()


def execute(shell, *cells):
    """Run cells; returns the text that each printed or evaluated to."""
    from IPython.utils.capture import capture_output

    shown = []
    for source in cells:
        with capture_output() as output:
            result = shell.run_cell(source, store_history=True)
        result.raise_error()
        shown.append(output.stdout)
    return shown


def recorded(shell, monkeypatch, tmp_path, *cells):
    """Record the cells, then begin to replay them in the same shell, emptied.  Returns what they printed live."""
    monkeypatch.setattr(labs, "network", Net, raising=False)
    monkeypatch.setenv("LABS_DATA", str(tmp_path))
    shell.user_ns["labs"] = labs
    recorder.begin(SLUG, "tap", tmp_path)
    printed = execute(shell, *cells)
    recorder._current.end()
    recorder._current = None
    recording = store.read(tmp_path / SLUG)
    assert not recording["problems"]
    shown = dict(zip(map(store.cell_key, cells), printed))
    for entry in recording["cells"]:
        entry["outputs"] = [{"output_type": "stream", "name": "stdout", "text": shown[entry["key"]]}]
    store.write(tmp_path / SLUG, recording)
    shell.reset()
    shell.user_ns["labs"] = labs
    monkeypatch.setattr(labs, "network", refuse)
    monkeypatch.setattr(replay, "_strip", lambda name: None)
    replay.begin(SLUG, whole=False, live=False)
    return printed


def unmarked(texts):
    """As the tests of the notebooks compare them."""
    return [
        harness.texts(nbformat.from_dict({"outputs": [{"output_type": "stream", "name": "stdout", "text": text}]}))["stdout"][0]
        for text in texts
    ]


def refuse(*_):
    raise LabError("this machine has no live network")


CELLS = (
    "log, box = [], {}\nalias = log\nclass Thing: pass\nthing = Thing()",
    "def ask(host):\n    log.append(host.ask())\n    return log[-1]",
    "import string as text\nnet = labs.network('client', 'server')\nclient, server = net\n"
    "def again(n):\n    return ask(client) * n\nprint(text.digits)",
    "answer = ask(server)\ncap = net.capture()\nbox['n'] = len(cap)\nthing.seen = server\nprint(answer)",
    "print(len(cap), cap[0].number, answer, log, alias is log, alias, box)",
    "print(again(2))",
    "print(thing.seen.name)",
    "print(log, text.digits)",
    "ask(client)\nprint(len(log))",
    "spare = 1\nprint(spare)",
)


def test_replay_shows_what_the_live_run_showed(shell, monkeypatch, tmp_path):
    live = recorded(shell, monkeypatch, tmp_path, *CELLS)
    shown = execute(shell, *CELLS)
    assert unmarked(shown) == live
    assert live[4].strip() == "2 1 server answers ['server answers'] True ['server answers'] {'n': 2}"
    seen = [False, False, True, True, False, True, True, False, True, False]
    live_cells = {entry["key"] for entry in store.read(tmp_path / SLUG)["cells"]}
    assert [store.cell_key(source) in live_cells for source in CELLS] == seen
    assert [text.endswith(" · recorded\n") for text in shown] == seen
    assert unmarked(execute(shell, *CELLS)) == live, "Run All twice"


def test_a_cell_with_a_comment_more_is_still_the_recorded_one(shell, monkeypatch, tmp_path):
    live = recorded(shell, monkeypatch, tmp_path, *CELLS)
    assert unmarked(execute(shell, *CELLS[:3], CELLS[3].replace("=", " = ") + "  # ask the server")) == live[:4]


def test_what_rests_on_the_recording_says_so(shell, monkeypatch, tmp_path):
    """Claims, predictions and heard at their ends; what a cell prints or shows, under a strip; the learner's own does not."""
    recorded(shell, monkeypatch, tmp_path, *CELLS)
    execute(shell, *CELLS)
    strips = []
    monkeypatch.setattr(replay, "_strip", strips.append)
    for source, marks, strip in (
        ("labs.claim('two frames', len(cap) == 2)", 1, False),
        ("labs.claim('it folds ' * 12, len(cap) == 2)", 1, False),
        ("labs.heard('a', 'refuted', 'b', len(cap) == 2); labs.claim('two frames', len(cap) == 2)", 2, False),
        ("labs.predict('How many?', None, len(cap), why='because')", 1, False),
        ("print(len(cap))", 0, True),
        ("len(cap)", 0, True),
        ("size = len(cap)", 0, False),
        ("def sizes():\n    return [size, size]", 0, False),
        ("sizes()", 0, True),
        ("labs.claim('sizes', sizes())", 1, False),
        ("own = [1]", 0, False),
        ("labs.claim('one', own == [1])", 0, False),
        ("own.append(size)", 0, True),
        ("labs.claim('two', len(own) == 2)", 1, False),
        ("cap = own = size = 1", 0, False),
        ("labs.claim('mine', [cap, own, size])\nprint(cap)", 0, False),
    ):
        (text,) = execute(shell, source)
        assert (text.count("· recorded"), strips) == (marks, ["rests"] if strip else []), source
        assert all(len(line) <= 100 for line in text.splitlines())
        strips.clear()
    execute(shell, CELLS[3])
    assert strips == ["recorded"]


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a  b\n1  2\n\n", "x" * 88, "x" * 89 + "\n", "x" * 100, "x\n" + "y" * 99])
def test_the_mark_is_taken_out_before_texts_are_compared(text, below):
    marked = as_recorded(text, below)
    assert unmarked([marked]) == [text] and ("· recorded" in marked) == bool(text.strip())
    assert max(map(len, marked.split("\n"))) <= 100 and ("\n  · recorded" in marked) >= (below and bool(text.strip()))


def test_an_edited_cell_meets_a_clear_error(shell, monkeypatch, tmp_path):
    recorded(shell, monkeypatch, tmp_path, *CELLS)
    execute(shell, *CELLS[:3])
    client = shell.user_ns["client"]
    for use in (
        lambda: client.ask(), lambda: client(), lambda: list(client), lambda: client[0], lambda: len(client), lambda: client + 1,
        lambda: bool(client), lambda: client.__enter__(), lambda: setattr(client, "a", 1), lambda: client == 1,
        lambda: f"{client:>9}",
    ):  # fmt: skip
        with pytest.raises(LabError, match="`client` belongs to a live network, which this machine lacks"):
            use()
    assert "labs.doctor()" in repr(client)
    result = shell.run_cell("answer = [ask(server)]  # edited")
    assert isinstance(result.error_in_exec, LabError)
    result = shell.run_cell("net = labs.network('client', 'other')")
    assert "no live network" in str(result.error_in_exec)


# ── a program that is not here ───────────────────────────────────────────────────────────────────────────────────────────

TOOL_CELLS = (
    "net = labs.network('client', 'server')\nclient, server = net\nbook = []",
    "envoy = labs.program('envoy')",
    "def start(host):\n    return [host.name, envoy]",
    "print(client.ask())",
    "running = start(client)\nbook.append(str(envoy) != '')\nprint(len(running))",
    "print(book, client.ask())",
    "print(len(running[0]))",
    "running = 3",
    "print(running, client.ask())",
)


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """A program called envoy, on PATH or not; no wheel brings it."""
    from labs.lessons import installed

    monkeypatch.setitem(installed.PROGRAMS, "envoy", ("envoy-server-that-is-not", "envoy_that_is_not", "path"))
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "envoy").write_text("#!/bin/sh\necho envoy version: abc/9.8.7/x\n")
    (folder / "envoy").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "envoy"


def test_without_a_program_the_cells_that_need_it_are_replayed(shell, monkeypatch, tmp_path, tool):
    live = recorded(shell, monkeypatch, tmp_path, *TOOL_CELLS)
    assert live[1] == "envoy · program: version 9.8.7, run as it is inside a host of the lab\n"
    replay.end()
    entries = {entry["begins"]: entry.get("programs") for entry in store.read(tmp_path / SLUG)["cells"]}
    assert [begins for begins, programs in entries.items() if programs] == [
        "running = start(client)", "print(len(running[0]))",
    ]  # fmt: skip
    assert str(tool) not in (tmp_path / SLUG / "cells.json").read_text()

    marks, how = [], "pip install envoy-server-that-is-not"
    monkeypatch.setattr(labs, "network", Net)
    monkeypatch.setattr(replay, "_strip", marks.append)
    replay.begin(SLUG, whole=True, live=True)
    tool.unlink()
    for _ in range(2):
        marks.clear()
        shown = execute(shell, *TOOL_CELLS)
        assert shown[1].startswith("envoy · program: not installed here; cells that need it show their recording")
        assert shown[1].endswith(f"To run them: {how}\n")
        assert unmarked(shown[:1] + shown[2:]) == live[:1] + live[2:] and marks == ["recorded", "rests", "recorded"]
    result = shell.run_cell("start(client)[1].path")
    assert f"`envoy` needs envoy, which is not installed here ({how})" in str(result.error_in_exec)
    replay.begin(SLUG, whole=True, live=True)  # the set-up cell runs again, and the program has come
    tool.write_text("#!/bin/sh\necho 1.2.3\n")
    tool.chmod(0o755)
    assert "version 1.2.3" in execute(shell, *TOOL_CELLS)[1] and replay._current is None


def test_a_program_that_is_missing_when_the_chapter_is_recorded(shell, monkeypatch, tmp_path, tool):
    monkeypatch.setattr(labs, "network", Net, raising=False)
    shell.user_ns["labs"] = labs
    monkeypatch.setenv("LABS_WITHOUT", "envoy")
    recorder.begin(SLUG, "tap", tmp_path)
    execute(shell, *TOOL_CELLS[:2])
    assert recorder._current.problems == ["envoy is not installed here: a chapter that uses it is recorded where it is"]


def test_finding_a_program(monkeypatch, tool):
    from labs.lessons.installed import find, program

    found, why = find("envoy")
    assert (str(found), repr(found), why) == (str(tool), "envoy 9.8.7", "")
    tool.write_text("#!/bin/sh\nexit 3\n")
    assert find("envoy") == (None, "it is here and ends with status 3")
    tool.write_text("no program")
    assert find("envoy")[1].startswith("it is here and cannot be started")
    with pytest.raises(ValueError, match="expected one of envoy, got 'nginx'"):
        program("nginx")


def test_cells_that_are_not_recorded_run_as_they_stand(shell, monkeypatch, tmp_path):
    recorded(shell, monkeypatch, tmp_path, *CELLS)
    assert execute(shell, "print(1)", "%timeit -n1 -r1 -q 1", "x = 5", "print(x)")[3] == "5\n"


def test_functions_of_a_replayed_cell_have_their_source(shell, monkeypatch, tmp_path):
    import inspect

    recorded(shell, monkeypatch, tmp_path, *CELLS)
    execute(shell, *CELLS[:3])
    assert inspect.getsource(shell.user_ns["again"]) == "def again(n):\n    return ask(client) * n\n"


def test_a_chapter_without_a_recording(shell, monkeypatch, tmp_path):
    monkeypatch.setenv("LABS_DATA", str(tmp_path))
    assert replay.begin(SLUG, whole=False, live=False) is False
    store.write(tmp_path / SLUG, {"chapter": SLUG, "link": "tap", "cells": []})
    assert replay.begin(SLUG, whole=False, live=False) is True, "a chapter may have no live cells"


# ── the command, and nbval, on the real thing ────────────────────────────────────────────────────────────────────────────

PICTURE = "display({{'image/png': 'aaaa', 'text/plain': {}}}, raw=True)"
SMALL = (
    harness.setup(SLUG, ""),
    "net = labs.network('client', 'server')\nclient, server = net\nlistener = server.listen(80)\nnet.hosts",
    "def shake():\n    return client.connect(server, 80)",
    "with net.capture() as cap:\n    sock = shake()\nprint(len(cap.where(lambda frame: frame.protocol == 'TCP')), 'frames')",
    "[frame.sender for frame in cap if frame.syn]",
    PICTURE.format("'a picture'"),
    "labs.claim('the listener waits', any(row.state == 'LISTEN' for row in server.sockets()))",
    "sock.close()\nlistener.close()\nnet.close()",
    # a widget that has a text, too, and one that has nothing else
    "for data in ({'text/plain': 'a slider'}, {}):\n"
    "    display({'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}} | data, raw=True)",
)


def notebook(folder, cells=SMALL, markdown=()):
    folder.mkdir(exist_ok=True)
    path = folder / f"{SLUG}.ipynb"
    parts = [new_markdown_cell("# A chapter"), *map(new_code_cell, cells), *map(new_markdown_cell, markdown)]
    nbformat.write(new_notebook(cells=parts), path)
    return path


@pytest.fixture(scope="module")
def recorded_notebook(tmp_path_factory):
    """(notebook, data): recorded once, read by several tests."""
    harness.need("tap")
    folder = tmp_path_factory.mktemp("course")
    path = notebook(folder / "notebooks")
    assert record_one(path, folder / "data") == "9 code cells, 4 of them live, 1 captures"
    return path, folder / "data"


def test_what_record_saves(recorded_notebook):
    path, data = recorded_notebook
    harness.check_recording(path, data / SLUG)
    saved = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in harness.code_cells(saved)] == list(range(1, 10))
    assert saved.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(not cell.metadata for cell in saved.cells) and sorted(entry.name for entry in data.iterdir()) == [SLUG]
    assert set(store.read(data / SLUG)) == {"format", "chapter", "link", "cells"}


def test_what_a_widget_adds_is_not_saved(recorded_notebook):
    saved = nbformat.read(recorded_notebook[0], as_version=4)
    assert [output.data for output in saved.cells[-1].outputs] == [{"text/plain": "a slider"}]


def test_nbval_catches_a_change(recorded_notebook, tmp_path):
    """A text that is altered in each cell that has one, and in no other.  nbval leaves out PNG and widgets; a display that has
    nothing else is nothing to it: the mark of what is recorded depends on that."""
    path, data = recorded_notebook
    changed, indices = harness.altered(nbformat.read(path, as_version=4))
    for cell in (changed.cells[3], changed.cells[-2]):  # they have no text
        cell.outputs.insert(0, nbformat.v4.new_output("display_data", {"image/png": "aaaa"}))
    nbformat.write(changed, tmp_path / path.name)
    cells, out = harness.nbval(tmp_path / path.name, "recording", tmp_path, data)
    assert [index for index, bad in cells.items() if bad] == indices and len(indices) == 7, harness.tell(cells, out)


def test_what_is_recorded_is_marked_and_nothing_else(recorded_notebook):
    path, data = recorded_notebook
    ran = harness.run(nbformat.read(path, as_version=4), path.parent, "recording", data)
    strips = [
        [output.metadata["image/png"]["alt"] for output in cell.outputs if set(output.get("data", ())) == {"image/png"}]
        for cell in harness.code_cells(ran)
    ]
    played, made = [replay.STRIPS["recorded"]], [replay.STRIPS["rests"]]
    assert strips == [[], played, [], played, made, [], played, played, []]
    texts = [
        "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)
        for cell in harness.code_cells(ran)
    ]
    assert [text.rstrip().endswith("· recorded") for text in texts] == [
        False,
        True,
        False,
        True,
        False,
        False,
        True,
        False,
        False,
    ]


RELAYED = (
    *SMALL[:2],
    "sock = client.connect(server, 80)\nconnection, _ = listener.accept()\ntype(sock), type(connection)",
    "labs.claim('it is connected', sock.getpeername() == (server.address, 80))",
    "net.wire.hold()\nprint(sock.getpeername()[1])",
    "labs.claim('one listens', any(row.state == 'LISTEN' for row in server.sockets()))",
    "sock.close(), connection.close(), listener.close()\nnet.close()",
)


def test_on_relay_a_chapter_is_live_until_a_cell_needs_a_wire(tmp_path):
    harness.need("tap")
    path, data = notebook(tmp_path / "notebooks", RELAYED), tmp_path / "data"
    record_one(path, data)
    saved = nbformat.read(path, as_version=4)
    assert harness.texts(saved.cells[3])["text/plain"] == ["(socket.socket, socket.socket)"]
    changed = copy.deepcopy(saved)
    changed.cells.insert(-1, new_code_cell("print(client.name)"))
    changed.cells.insert(-1, new_code_cell("with labs.network('a', 'b') as mine:\n    print(mine.link)"))
    changed.cells.insert(-1, new_code_cell("labs.claim('mine', True)"))
    ran = harness.code_cells(harness.run(changed, path.parent, "relay", data, allow_errors=True))
    shown = [[*harness.texts(cell).values()] for cell in ran]
    assert shown[:6] == [[*harness.texts(cell).values()] for cell in harness.code_cells(saved)[:6]]
    said = ["".join(output.get("text", "") for output in cell.outputs) for cell in ran]
    assert [text.endswith("· recorded\n") for text in said[3:6]] == [False, True, True]
    assert [any("image/png" in output.get("data", ()) for output in cell.outputs) for cell in ran[:6]] == [False] * 4 + [True] * 2
    (why,) = harness.texts(ran[6])["error"]
    assert 'recording, which goes on from the cell `net.wire.hold()`: the link "relay" cannot offer a wire' in why
    assert "this machine" not in why and (said[7], said[8]) == ("relay\n", "✓ mine\n")


@pytest.mark.parametrize(
    "cells, says",
    [
        ((*SMALL[:2], "1 / 0"), r"cell \[3\] '1 / 0' raised ZeroDivisionError"),
        (
            (*SMALL[:2], PICTURE.format("repr(len(net.hosts))")),
            r"cell \[3\].*because of net.*shows an image: split",
        ),
        ((SMALL[0], ""), "empty"),
        (("import labs",), "set-up cell"),
        ((*SMALL[:2], "x = 1", "print(x)", "x = client", "print(x)"), "is live and stands in the notebook twice"),
    ],
)
def test_record_refuses_and_leaves_everything(cells, says, tmp_path):
    harness.need("tap")
    path = notebook(tmp_path / "notebooks", cells)
    before = path.read_bytes()
    with pytest.raises(Refused, match=says):
        record_one(path, tmp_path / "data")
    assert path.read_bytes() == before and list((tmp_path / "data").iterdir()) == []


def test_recording_again_replaces_the_old_one(recorded_notebook, tmp_path):
    path, data = recorded_notebook[0], tmp_path / "data"
    shutil.copytree(recorded_notebook[1], data)
    (data / SLUG / "stale.pcapng").write_bytes(b"")
    copied = tmp_path / path.name
    shutil.copy(path, copied)
    record_one(copied, data)
    assert not (data / SLUG / "stale.pcapng").exists() and [entry.name for entry in data.iterdir()] == [SLUG]
    ids = [[cell.id for cell in nbformat.read(file, as_version=4).cells] for file in (path, copied)]
    assert ids[0] == ids[1]


def test_the_harness_tries_exercises(tmp_path, monkeypatch):
    harness.need("tap")
    monkeypatch.setattr(harness, "WRONG_ANSWERS", tmp_path)  # not those of the real chapter of this name
    stub = "double = None\nlabs.exercise('24-double').check(double)"
    define = (
        "from labs.lessons.exercise import Exercise, close, done\n"
        "class Double(Exercise):\n    id = '24-double'\n    title = 'Double it'\n"
        "    expects = callable\n    def grade(self, f):\n        return done('yes') if f(3) == 6 else close('f(3) is not 6')"
    )
    folded = "<details><summary>{}</summary>\n\n```python\ndouble = lambda n: {}\n"
    folded += "labs.exercise('24-double').check(double)\n```\n</details>"
    good, wrong = folded.format("One solution", "n + n"), folded.format("A plausible wrong answer", "n + 2")
    path = notebook(tmp_path / "a", ("import labs", define, stub), (good, wrong))
    assert harness.check_exercises(path, "tap", tmp_path) == 1
    path = notebook(tmp_path / "b", ("import labs", define, stub), (wrong.replace("wrong answer", "solution"), wrong))
    with pytest.raises(AssertionError, match="expected done, got close"):
        harness.check_exercises(path, "tap", tmp_path)
    path = notebook(tmp_path / "c", ("import labs", define, stub), (good,))
    with pytest.raises(AssertionError, match="has no wrong answer"):
        harness.check_exercises(path, "tap", tmp_path)


def test_the_harness_sees_what_needs_a_part_called_deeper(tmp_path, monkeypatch):
    harness.need("tap")
    monkeypatch.setattr(harness, "WRONG_ANSWERS", tmp_path)
    path = notebook(tmp_path / "a", ("x = 1", "x = 2", "print(x)"))
    chapter = nbformat.read(path, as_version=4)
    chapter.cells[3].outputs = [nbformat.v4.new_output("stream", text="2\n")]
    nbformat.write(chapter, path)
    assert harness.check_exercises(path, "tap", tmp_path) == 0
    chapter.cells.insert(3, new_markdown_cell("## Back again"))
    chapter.cells.insert(2, new_markdown_cell("## Deeper: what x is\n\nTwo."))
    nbformat.write(chapter, path)
    with pytest.raises(AssertionError, match=r"without the parts called Deeper:\s+print\(x\)"):
        harness.check_exercises(path, "tap", tmp_path)
