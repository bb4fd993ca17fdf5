"""Load from a separate process, and what came of it: labs.load(on=client, url="http://server/", connections=8, seconds=2).

What measures must not share the interpreter with what is measured: a busy load generator would make the server look slow.  So the
load comes from a process of its own inside the host (labs.serve.generator).  Chapter 22-single-listener-multiple-workers.
"""

import json
import re
import sys
import zlib
from array import array
from pathlib import Path

__all__ = ["Load", "load"]

ROOT = str(Path(__file__).resolve().parents[2])
BOOT = "import sys; sys.path.append(sys.argv[1]); from labs.serve.generator import main; main(sys.argv[2])"


def load(on, url, connections=8, seconds=2.0, rate=None, requests=100_000, timeout=5.0, method="GET", headers=None, worker=""):
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
        raise ValueError(
            f"expected seconds in (0, 600], timeout in (0, 60] and rate in (0, 1000000], got {seconds}, {timeout} and {rate}"
        )
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
    rate, due); connection_of, worker_of: who carried, who answered each.
    """

    def __init__(self, seconds, starts, latencies, connection_of, worker_of, workers, errors, statuses, rate, connections):
        self.seconds, self.rate, self.connections, self.why, self.statuses = (
            seconds,
            rate,
            connections,
            dict(errors),
            dict(statuses),
        )
        self._starts, self._latencies = array("Q", starts), array("Q", latencies)  # µs
        self._connection_of, self._worker_of, self.workers = array("H", connection_of), array("H", worker_of), list(workers)

    requests = property(lambda self: len(self._latencies))
    errors = property(lambda self: sum(self.why.values()))
    starts = property(lambda self: [micros / 1e6 for micros in self._starts])
    latencies = property(lambda self: [micros / 1e6 for micros in self._latencies])
    connection_of = property(lambda self: list(self._connection_of))
    worker_of = property(lambda self: [self.workers[index] for index in self._worker_of])

    @property
    def throughput(self):
        """Answered requests a second."""
        return self.requests / self.seconds

    def percentile(self, percent):
        """The latency (s) that this share of the answered requests did not exceed: the nearest rank.  ValueError without any."""
        if not 0 < percent <= 100:
            raise ValueError(f"expected a percentage above 0, up to 100, got {percent!r}")
        if not self._latencies:
            raise ValueError(f"no request was answered, so there is no latency; {self!r}")
        ranked = sorted(self._latencies)
        return ranked[max(0, -(-len(ranked) * percent // 100).__trunc__() - 1)] / 1e6

    p50 = property(lambda self: self.percentile(50))
    p90 = property(lambda self: self.percentile(90))
    p99 = property(lambda self: self.percentile(99))

    @property
    def per_connection(self):
        """Answered requests of each connection: a list."""
        counts = [0] * self.connections
        for index in self._connection_of:
            counts[index] += 1
        return counts

    @property
    def per_worker(self):
        """Answered requests of each worker: {name: count}, in the order in which they first answered."""
        counts = dict.fromkeys(self.workers, 0)
        for index in self._worker_of:
            counts[self.workers[index]] += 1
        return counts

    def __repr__(self):
        why = f" ({', '.join(f'{count} {what}' for what, count in self.why.items())})" if self.why else ""
        late = f", p50 {self.p50 * 1e3:.2f} ms, p99 {self.p99 * 1e3:.2f} ms" if self.requests else ""
        run = f"{self.requests} requests in {self.seconds:.2f} s over {self.connections} connections"
        return f"{run}{late}, {self.errors} errors{why}"

    def to_record(self):
        """As plain values, exactly: the recording of a chapter keeps it."""
        packed = {
            name: zlib.compress(getattr(self, f"_{name}").tobytes())
            for name in ("starts", "latencies", "connection_of", "worker_of")
        }
        plain = {name: getattr(self, name) for name in ("seconds", "rate", "connections", "workers", "statuses")}
        return {**packed, **plain, "errors": self.why}

    @classmethod
    def from_record(cls, record):
        codes = {"starts": "Q", "latencies": "Q", "connection_of": "H", "worker_of": "H"}
        return cls(
            **{name: array(codes[name], zlib.decompress(value)) if name in codes else value for name, value in record.items()}
        )
