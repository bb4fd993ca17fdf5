"""Read values again and again in the background, and note when they change.  Lanes and Gauge use it."""

import threading
import time
from collections.abc import Callable
from typing import Self

__all__ = ["Watch"]

READS = 10  # what differs from reading to reading, such as a counter under load, is noted all the same


class Watch:
    """`with Watch(read, note, every):` notes what read() gives, {name: value}: note(name, value, ns) at first and at each change.

    It misses what lasts less than `every` seconds.  every=None: it reads only when look() is called.
    An error in read() ends the watch and is raised at the end of the `with`.
    """

    def __init__(
        self, read: Callable[[], dict[str, float]], note: Callable[[str, float, int], object], every: float | None = 0.001
    ):
        if not callable(read):
            raise TypeError(f"expected a function that gives {{name: value}}, got {read!r}")
        self._read, self._note, self._every = read, note, every
        self._over, self._error, self._last, self._lock = threading.Event(), None, {}, threading.Lock()
        self._thread = None if every is None else threading.Thread(target=self._run, name="watch", daemon=True)

    def look(self) -> None:
        """Read now; whoever has just changed something calls this, and need not wait for the next turn."""
        with self._lock:
            values, now = self._read(), time.time_ns()
            for _ in range(READS):
                if values == self._last or values == (again := self._read()):
                    break
                values, now = again, time.time_ns()  # it changed while it was being read: half old, half new
            for name, value in values.items():
                if name not in self._last or self._last[name] != value:
                    self._note(name, value, now)
            self._last = values

    def _run(self):
        try:
            while not self._over.wait(self._every):
                self.look()
        except Exception as error:  # said at the end of the `with`, not in the middle of somebody else's output
            self._error = error

    def __enter__(self) -> Self:
        self.look()
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()
        if kind is None:
            if self._error is not None:
                raise self._error
            self.look()
