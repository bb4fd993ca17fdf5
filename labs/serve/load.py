"""Load from a separate process, and what came of it: labs.load(on=client, url="http://server/", connections=8, seconds=2).

What measures must not share the interpreter with what is measured: a busy load generator would make the server look slow.  So the
load comes from a process of its own inside the host (labs.serve.generator).  Chapter 22-single-listener-multiple-workers.
"""

import json
import math
import re
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labs.network.host import Host

__all__ = ["Load", "load"]

ROOT = str(Path(__file__).resolve().parents[2])
CODES = {"starts": "Q", "latencies": "Q", "connection_of": "H", "worker_of": "H"}  # name → kind of array
BOOT = "import sys; sys.path.append(sys.argv[1]); from labs.serve.generator import main; main(sys.argv[2])"


def load(
    on: "Host", url: str, connections: int = 8, seconds: float = 2.0, rate: float | None = None, requests: int = 100_000,
    timeout: float = 5.0, method: str = "GET", headers: Mapping[str, str] | None = None, worker: str = "",
) -> "Load":  # fmt: skip
    """Ask `url` from the host `on`, and return a Load.

    rate None: closed loop, each of the connections asks again as soon as it is answered.  rate: requests a second in all, on a
    fixed schedule; latency counts from when each was due.  requests: stop after so many; timeout: seconds until a request counts
    as failed; worker: the response header that names who answered, such as "X-Worker".  At most seconds + timeout + 10 s.
    """
    found = re.fullmatch(r"http://(\[[0-9a-fA-F:]+\]|[^/:?#]+)(?::(\d+))?(/[^#]*)?", url)
    if not found:
        raise ValueError(f"expected a URL such as 'http://server:80/path', got {url!r}; https is not spoken here")
    for name, value, least, most in (("connections", connections, 1, 1000), ("requests", requests, 1, 1_000_000)):
        if not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"expected {name} from {least} to {most}, got {value!r}")
    if not 0 < seconds <= 600 or not 0 < timeout <= 60 or (rate is not None and not 0 < rate <= 1_000_000):
        bounds = "seconds in (0, 600], timeout in (0, 60] and rate in (0, 1000000]"
        raise ValueError(f"expected {bounds}, got {seconds}, {timeout} and {rate}")
    name, port, path = found[1].strip("[]"), int(found[2] or 80), found[3] or "/"
    lines = {"Host": found[1] + (f":{port}" if port != 80 else ""), **(headers or {})}
    plan = {
        "address": on.resolve(name), "port": port, "connections": connections, "seconds": seconds, "rate": rate,
        "requests": requests, "timeout": timeout, "worker": worker,
        "request": f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n",
    }  # fmt: skip
    program = on.run([sys.executable, "-I", "-S", "-c", BOOT, ROOT, json.dumps(plan)])
    try:
        status = program.wait(seconds + timeout + 10)
    finally:
        program.kill()
    if status:
        raise RuntimeError(f"the load generator ended with status {status}: {program.output().strip()[-500:]}")
    return Load(**json.loads(program.output()), rate=rate, connections=connections)


class Load:
    """What a load run saw.

    requests: answered; errors: not answered, for whatever reason in `why`; statuses: how often each status came;
    seconds: from when it could send to its end or, with a rate, as long as requests were due; starts, latencies: seconds, one
    for each answered request, in the order of the answers (starts from the beginning of the run: when it was sent or, with a
    rate, due); connection_of, worker_of: who carried, who answered each; late: how many seconds after the end the last answer
    came; starved: the connections that got none.
    """

    def __init__(
        self, seconds: float, starts: Iterable[int], latencies: Iterable[int], connection_of: Iterable[int],
        worker_of: Iterable[int], workers: Iterable[str], errors: Any, statuses: Any, rate: float | None, connections: int,
    ) -> None:  # fmt: skip
        self.seconds, self.rate, self.connections = seconds, rate, connections
        self.why, self.statuses = dict(errors), dict(statuses)
        self._starts, self._latencies = array("Q", starts), array("Q", latencies)  # µs
        self._connection_of, self._worker_of, self.workers = array("H", connection_of), array("H", worker_of), list(workers)

    @property
    def requests(self) -> int:
        return len(self._latencies)

    @property
    def errors(self) -> int:
        return sum(self.why.values())

    @property
    def starts(self) -> list[float]:
        return [micros / 1e6 for micros in self._starts]

    @property
    def latencies(self) -> list[float]:
        return [micros / 1e6 for micros in self._latencies]

    @property
    def connection_of(self) -> list[int]:
        return list(self._connection_of)

    @property
    def worker_of(self) -> list[str]:
        return [self.workers[index] for index in self._worker_of]

    @property
    def in_time(self) -> int:
        """Requests that were answered until the end.  With a rate, a slow server answers some of them later."""
        end = self.seconds * 1e6
        return sum(start + latency <= end for start, latency in zip(self._starts, self._latencies))

    @property
    def late(self) -> float:
        last = max((start + latency for start, latency in zip(self._starts, self._latencies)), default=0)
        return max(0.0, last / 1e6 - self.seconds)

    @property
    def starved(self) -> list[int]:
        return [index for index, count in enumerate(self.per_connection) if not count]

    @property
    def throughput(self) -> float:
        """Requests a second that were answered until the end: what came later says what was due, not what the server can do."""
        return self.in_time / self.seconds

    def percentile(self, percent: float) -> float:
        """The latency (s) that this share of the answered requests did not exceed: the nearest rank.  ValueError without any."""
        if not 0 < percent <= 100:
            raise ValueError(f"expected a percentage above 0, up to 100, got {percent!r}")
        if not self._latencies:
            raise ValueError(f"no request was answered, so there is no latency; {self!r}")
        ranked = sorted(self._latencies)
        return ranked[math.ceil(len(ranked) * percent / 100) - 1] / 1e6

    @property
    def p50(self) -> float:
        return self.percentile(50)

    @property
    def p90(self) -> float:
        return self.percentile(90)

    @property
    def p99(self) -> float:
        return self.percentile(99)

    @property
    def per_connection(self) -> list[int]:
        """Answered requests of each connection: a list."""
        counts = Counter(self._connection_of)
        return [counts[index] for index in range(self.connections)]

    @property
    def per_worker(self) -> dict[str, int]:
        """Answered requests of each worker: {name: count}, in the order in which they first answered."""
        counts = Counter(self._worker_of)
        return {worker: counts[index] for index, worker in enumerate(self.workers)}

    def __repr__(self) -> str:
        why = f" ({', '.join(f'{count} {what}' for what, count in self.why.items())})" if self.why else ""
        late = f", p50 {self.p50 * 1e3:.2f} ms, p99 {self.p99 * 1e3:.2f} ms" if self.requests else ""
        if self.in_time < self.requests:
            late += f", {self.requests - self.in_time} of them after the end, the last {self.late:.2f} s after it"
        if self.requests and self.starved:
            few = ", ".join(map(str, self.starved[:8])) + (", …" if len(self.starved) > 8 else "")
            late += f", no answer on {'connection' if len(self.starved) == 1 else 'connections'} {few}"
        run = f"{self.requests} requests in {self.seconds:.2f} s over {self.connections} connections"
        return f"{run}{late}, {self.errors} errors{why}"

    def to_record(self) -> dict:
        """As plain values, exactly: the recording of a chapter keeps it."""
        packed = {name: zlib.compress(getattr(self, f"_{name}").tobytes()) for name in CODES}
        plain = {name: getattr(self, name) for name in ("seconds", "rate", "connections", "workers", "statuses")}
        return {**packed, **plain, "errors": self.why}

    @classmethod
    def from_record(cls, record: dict) -> "Load":
        return cls(**{**record, **{name: array(code, zlib.decompress(record[name])) for name, code in CODES.items()}})
