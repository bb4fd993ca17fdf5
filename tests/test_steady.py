"""labs.steady: an experiment during which the machine stood still is done again.  What stands still here is made to: a lab
process that is stopped (kill(2)), a processor that others have (sched_setaffinity(2))."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import not_run

import labs
from labs.lessons.steady import Heart, disturbed, steady


@pytest.fixture
def link():
    from labs.network.links import choose

    if (best := choose()) == "recording":
        not_run("a live network", "this machine has none")
    return best


@pytest.fixture(autouse=True)
def nothing_was_unsteady(monkeypatch):
    """What an experiment of another test could not bear is not told here."""
    monkeypatch.setattr(sys.modules[steady.__module__], "_unsteady", {})


def hearts():
    return [thread for thread in threading.enumerate() if thread.name == "heart"]


def stand_still(net, seconds):
    """Stop the lab process for so long; a beat of its own that is due meanwhile must come late by nearly as much."""
    pid = net._lab.pid
    (lab,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(lab), signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(int(lab), signal.SIGCONT)


def test_again_when_the_lab_stood_still(no_leaks, network):
    net, other = network("client", "server"), network("client", "server")
    stops, runs = iter([(net, 0.5), (other, 0.4), (net, 0)]), []

    def experiment():
        where, seconds = next(stops)
        if seconds:
            stand_still(where, seconds)
        runs.append(seconds)
        return seconds

    assert steady(experiment, within=0.2) == 0 and runs == [0.5, 0.4, 0], "either network counts, and then no more runs"
    assert not disturbed() and not hearts()


def test_the_steadiest_counts_and_says_so(network, capsys):
    net = network("client", "server")
    stops = iter([0.6, 0.3, 0.9])

    def experiment():
        seconds = next(stops)
        with net.capture() as cap:
            stand_still(net, seconds)
        return seconds, {"what": [cap]}

    seconds, captures = steady(experiment, within=0.1, runs=3)
    assert seconds == 0.3
    cap = captures["what"][0]
    assert cap.origin.startswith(f"live, {net.link}; the machine stood still for ") and cap.ladder().origin == cap.origin
    assert "in the steadiest of 3 runs of an experiment that can bear 100 ms" in disturbed()
    assert capsys.readouterr().out == "", "it prints nothing"
    with pytest.raises(labs.lessons.ClaimFailed):
        labs.claim("it was in time", False)
    assert "Run this section again when the machine has less to do." in capsys.readouterr().out
    stops = iter([0.0])
    steady(experiment, within=1)
    assert not disturbed(), "once it was steady, it was"


def test_a_processor_that_others_have(no_leaks):
    """No network, no lab process: the heart of this process hears it, whether the experiment computes or waits."""
    cpus = os.sched_getaffinity(0)
    one = min(cpus)
    others = [
        subprocess.Popen([sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{one}])\nwhile True: pass"])
        for _ in range(4)
    ]
    try:
        os.sched_setaffinity(0, [one])
        with Heart() as heart:
            until = time.monotonic() + 1
            while time.monotonic() < until:
                pass
    finally:
        os.sched_setaffinity(0, cpus)
        for other in others:
            other.kill()
            other.wait()
    assert heart.late > 0.002, "four others had this processor for four fifths of a second, a slice each"


def test_computing_is_not_standing_still():
    """The interpreter's lock keeps the heart from beating, and the processor works all the time: nothing stands still."""
    least = []
    for _ in range(5):
        with Heart() as heart:
            sum(range(10**7))
        least.append(heart.late)
    assert min(least) < 0.05


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_what_it_raises_goes_through(no_leaks, network, stop):
    net = network("client", "server")

    def experiment():
        raise stop("enough")

    began = time.monotonic()
    with pytest.raises(stop):
        steady(experiment)
    took = time.monotonic() - began
    assert not hearts()
    time.sleep(0.1)  # 20 beats
    assert net._lab.ask("heartbeat", beating=False)[0]["beats"] <= took / 0.005 + 1, "the lab's heart had been stopped"


def test_networks_that_come_and_go(no_leaks, network):
    closes = network("client", "server")

    def experiment():
        closes.close()
        with labs.network("client", "server", link=closes.link):
            return "done"

    assert steady(experiment, within=5) == "done" and not hearts()


def test_on_relay(no_leaks):
    with labs.network("client", "server", link="relay") as net:
        listener = net["server"].listen(80)

        def experiment():
            with net["client"].connect("server", 80), listener.accept()[0]:
                return "met"

        assert steady(experiment, within=5) == "met"
        listener.close()


def test_bad_arguments():
    for how, kind, said in [
        ((5,), TypeError, "expected a function without arguments, got 5"),
        ((time.time, 0), ValueError, "expected within in seconds and runs, both more than 0, got 0 and 4"),
        ((time.time, 1, 0), ValueError, "got 1 and 0"),
        ((time.time, 1, 2.5), ValueError, "got 1 and 2.5"),
    ]:
        with pytest.raises(kind, match=said):
            steady(*how)
