"""How a learner's function is tried: its exception with its line, its time limit, what it may return; no thread is left."""

import linecache
import threading
import time

import pytest

from labs.lessons.exercise import Verdict, exercise, is_empty
from labs.lessons.graders.tools import Running, call, raised, time_limit

FUNCTIONS = (
    "02-backoff 02-events 07-hops 07-retry 09-spans 09-forward 16-negotiated 16-open-record 18-backlog 22-wanted 24-reorder"
)


@pytest.fixture
def cell():
    """cell("def f(): …") → f, as a notebook defines it: its source is where tracebacks look for it."""
    count = 0

    def define(source):
        nonlocal count
        count += 1
        file, names = f"<cell {count}>", {}
        linecache.cache[file] = len(source), None, source.splitlines(True), file
        exec(compile(source, file, "exec"), names)
        return names["f"]

    return define


@pytest.mark.parametrize("id", FUNCTIONS.split())
def test_a_mistake_is_told_with_its_line(id, cell, any_net):
    wrong = cell("def f(*arguments, **how):\n    some = 1\n    return some + undefined_name\n")
    found = exercise(id).feedback(wrong)
    assert found.status == "close"
    assert "f" in found.text and "raised NameError: name 'undefined_name' is not defined" in found.text
    assert "(line 3: return some + undefined_name)" in found.text


@pytest.mark.parametrize("id", ["22-fewest", "22-pool", "18-acceptor"])
def test_a_mistake_in_a_server_is_told_with_its_line(id, cell, any_net):
    found = exercise(id).feedback(cell("def f(*arguments):\n    raise KeyError('lamp')\n"))
    assert "KeyError: 'lamp' (line 2: raise KeyError('lamp'))" in found.text


def test_what_does_not_come_back_is_stopped(cell):
    endless = cell("def f():\n    while True:\n        try:\n            while True: pass\n        except Exception: pass\n")
    begun = time.monotonic()
    with pytest.raises(Verdict, match=r"f on a wire did not come back within 0\.2 s"):
        call(endless, on="a wire", seconds=0.2)
    assert time.monotonic() - begun < 5


def test_the_line_is_the_learners_own(cell):
    """What fails deep inside a library is told with the line that called it."""
    outer = cell("import json\ndef f(text):\n    return json.loads(text)\n")
    with pytest.raises(Verdict, match=r"JSONDecodeError: .* \(line 3: return json\.loads\(text\)\)"):
        call(outer, "{")
    try:
        outer("{")
    except ValueError as error:
        assert raised(error, print).endswith("(char 1)")  # no line of a function that has none


def test_what_may_be_returned():
    assert call(lambda: 3, returns=int) == 3 and call(lambda: None, returns=(bytes, type(None))) is None
    for function, returns, says in (
        (lambda: None, int, "returned nothing yet"),
        (lambda: "3", int, "should return an int, it returned a str"),
        (lambda: True, int, "should return an int, it returned a bool"),
        (lambda: [], (bytes, type(None)), "should return a bytes or None, it returned a list"),
    ):
        with pytest.raises(Verdict, match=says) as caught:
            call(function, returns=returns)
        assert caught.value.feedback.status == "missing"


def test_a_limit_is_for_the_main_thread_and_leaves_no_timer(cell):
    import signal

    before = signal.getsignal(signal.SIGALRM)
    with time_limit(5):
        pass
    assert signal.getsignal(signal.SIGALRM) is before and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    got = []
    thread = threading.Thread(target=lambda: got.append(call(lambda: 5, seconds=1)))
    thread.start()
    thread.join(5)
    assert got == [5]


def test_a_server_that_ignores_errors_ends(cell, any_net):
    """A loop round accept() that swallows every error would go on after its socket is closed."""
    _, server = any_net
    stubborn = cell("def f(listener):\n    while True:\n        try: listener.accept()\n        except Exception: pass\n")
    listener = server.listen(80)
    with Running(stubborn, listener, sockets=(listener,)) as run:
        assert run.why("it hangs") == "it hangs"
    run.thread.join(5)
    assert not run.thread.is_alive() and listener.fileno() == -1


def test_stub():
    def stub(): ...

    assert is_empty(stub) and not is_empty(lambda: 1) and not is_empty(print)
