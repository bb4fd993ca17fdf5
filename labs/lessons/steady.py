"""A timing experiment counts when the machine did not stand still meanwhile.

Other programs take the processor away for milliseconds, and then a time says something about them, not about the network.  No
margin mends that: a machine can stand still for as long as it likes.  So two hearts beat while an experiment runs, one in the
lab process, which is the cable, and one in this process, where clients and servers live.  A beat that comes late tells for how
long nothing could happen on time.  pyperf and hyperfine warn of runs that were disturbed; here such a run is done again.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from labs.errors import LabError

__all__ = ["Heart", "disturbed", "steady"]

BEAT = 0.001  # seconds between two beats of this process: short against all that a chapter measures
_unsteady: dict[Any, str] = {}  # experiment → what to say of it


def steady(experiment: Callable[[], Any], within: float = 0.005, runs: int = 4) -> Any:
    """Run experiment(), and again, up to `runs` times, until nothing was late by more than `within` seconds; its value.

    within: what the experiment can bear, small against the differences that it shall show.  If no run was that steady, the
    steadiest counts; then its captures say so in their `origin`, and so does a claim that fails.  What the experiment raises
    goes through.  Only the value of the run that counts is kept, so make in the experiment what it uses up.
    """
    if not callable(experiment):
        raise TypeError(f"expected a function without arguments, got {experiment!r}; labs.steady(lambda: measure(5))")
    if not within > 0 or not isinstance(runs, int) or runs < 1:
        raise ValueError(f"expected within in seconds and runs, both more than 0, got {within!r} and {runs!r}")
    who, best, least = getattr(experiment, "__code__", experiment), None, float("inf")
    for _ in range(runs):
        with Heart() as heart:
            value = experiment()
        if heart.late < least:
            best, least = value, heart.late
        if least <= within:
            _unsteady.pop(who, None)
            return best
    still = f"the machine stood still for {least * 1000:.0f} ms"
    _unsteady[who] = f"{still}, in the steadiest of {runs} runs of an experiment that can bear {within * 1000:.0f} ms"
    _mark(best, still)
    return best


def disturbed() -> str:
    """What a claim that fails shall add: experiments that never had a steady machine; "" if there was none."""
    return "; ".join(_unsteady.values())


def _mark(value: Any, words: str) -> None:
    """Let what shows the value tell: its views write their origin into the corner of the picture."""
    if isinstance(value, (tuple, list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            _mark(part, words)
    elif isinstance(getattr(value, "origin", None), str):
        value.origin = f"{value.origin}; {words}" if value.origin else words


class Heart:
    """Beats in this process and in all lab processes while its `with` block runs; `late`: seconds, of the latest beat of all."""

    def __enter__(self) -> "Heart":
        from labs.network.channel import running  # late: a machine that only shows recordings measures nothing

        self.late, self._labs, self._stop = 0.0, [], threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(threading.get_native_id(),), name="heart", daemon=True)
        try:
            for lab in running():
                with suppress(LabError):  # it has ended, by itself or just now
                    lab.ask("heartbeat", beating=True)
                    self._labs.append(lab)
            self._thread.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self):
        self._stop.set()
        if self._thread.ident:
            self._thread.join()
        for lab in self._labs:
            with suppress(LabError):
                reply, _ = lab.ask("heartbeat", beating=False)
                self.late = max(self.late, reply["late"] / 1e9)

    def _beat(self, asker):
        """Until told to stop.  Late is what the machine took; what this process computed meanwhile belongs to the experiment.
        The thread that runs the experiment may have waited for a processor while this one had it: its run delay counts, too."""
        waited = _RunDelay(asker)
        try:
            time_then, computed_then, waited_then = time.monotonic(), time.process_time(), waited.read()
            while not self._stop.wait(BEAT):
                time_now, computed, waited_now = time.monotonic(), time.process_time(), waited.read()
                late = time_now - time_then - BEAT - (computed - computed_then)
                self.late = max(self.late, late, waited_now - waited_then)
                time_then, computed_then, waited_then = time_now, computed, waited_now
        finally:
            waited.close()


class _RunDelay:
    """For how long a thread could run and had no processor (s; /proc/…/schedstat); 0 where the kernel does not say."""

    def __init__(self, thread):
        try:
            self.fd = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
        except OSError:
            self.fd = None

    def read(self):
        return 0.0 if self.fd is None else int(os.pread(self.fd, 100, 0).split()[1]) / 1e9

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
