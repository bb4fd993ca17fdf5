"""Does this machine stand still now and then?  A heartbeat in the lab process, by which a timing experiment can tell.

While it beats, the loop is to be woken every 5 ms, and notes how late it was.  Late is what the machine took: time in which this
process had no CPU although its moment had come (another program's turn, a virtual machine that stood still).  What the process
itself computed is taken off (CLOCK_PROCESS_CPUTIME_ID, clock_gettime(2)): a burst of frames is not lateness, nor is a busy
notebook as long as there is a CPU left for the lab.
"""

from time import monotonic_ns as now
from time import process_time_ns as computed

from labs.network.loop import Loop

__all__ = ["Heartbeat"]

EVERY = 5_000_000  # ns


class Heartbeat:
    """One for the whole lab process: who starts it anew begins to count anew."""

    def __init__(self, loop: Loop) -> None:
        self.next: int | None = None  # the moment of the next beat (ns, monotonic); None: it does not beat
        self.late = self.beats = self.computed = 0
        loop.clock(lambda: self.next, self.beat)

    def do_heartbeat(self, beating: bool) -> dict:
        """Start to count from nothing; or stop, and say the longest lateness (ns) and how many beats there were."""
        if beating:
            self.next, self.late, self.beats, self.computed = now() + EVERY, 0, 0, computed()
            return {}
        self.beat()  # one that is overdue counts
        self.next = None
        return {"late": self.late, "beats": self.beats}

    def beat(self) -> None:
        time = now()
        if self.next is None or time < self.next:
            return
        before, self.computed = self.computed, computed()
        self.late = max(self.late, time - self.next - (self.computed - before))
        self.beats += 1
        self.next = time + EVERY
