"""What a learner does to a kernel: stops it while it gets the first picture ready, runs a cell again."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import labs
from labs.interrupts import uninterrupted

ROOT = str(Path(labs.__file__).resolve().parents[1])


def test_it_comes_at_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append(True)
        done.append("too late")
    assert done == [True] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with uninterrupted():
        pass
    with pytest.raises(KeyboardInterrupt) as caught, uninterrupted():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError
    assert isinstance(caught.value.__context__, ZeroDivisionError)


def test_a_thread_has_no_signals():
    done = []

    def work():
        with uninterrupted():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start(), thread.join()
    assert done == [signal.default_int_handler]


STOPPED = """
import os, signal, sys, threading
from labs.views import Bars

class Stop:  # the learner presses stop while the {count}-th module is being imported
    seen = 0

    def find_spec(self, name, path=None, target=None):
        Stop.seen += name.split(".")[0] in ("matplotlib", "numpy", "PIL")
        if Stop.seen == {count}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Stop())
picture = Bars("Who got them?").bar("worker", "one", 5, "a")
try:
    picture.png()
except KeyboardInterrupt:
    print("interrupted")
for _ in range(2):
    assert picture.png()[:4] == b"\\x89PNG"
print("drawn")
"""


@pytest.mark.parametrize("count", [1, 3, 40, 150])
def test_the_first_picture_may_be_interrupted(count):
    ran = subprocess.run(
        [sys.executable, "-c", STOPPED.format(count=count)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout == "interrupted\ndrawn\n", ran.stderr


def test_a_kernel_runs_a_cell_again():
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=ROOT)
    try:

        def cell(source):
            reply = client.execute_interactive(source, timeout=60, output_hook=lambda message: None)["content"]
            return reply.get("evalue", "")

        assert not cell("import labs\nserver = labs.network('client', 'server')['server']")
        for _ in range(3):
            assert not cell("first = None\nlistener = server.listen(80)\nlistener")
        assert "port 80 of server is in use" in cell("listener = server.listen(80)")
        assert not cell("%%time\nlistener = server.listen(81)") and not cell("%%time\nlistener = server.listen(81)")
        assert not cell("assert listener.fileno() > 0")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
