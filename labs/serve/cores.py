"""How many cores programs may use here at once: labs.cores().

A machine may have 64 and give this notebook one: by its affinity (sched_setaffinity(2), taskset) or by a quota of its control
group, as containers have it (Documentation/admin-guide/cgroup-v2.rst, "cpu.max").  os.cpu_count() knows of neither.
Chapter 22-single-listener-multiple-workers.
"""

import os
from pathlib import Path

__all__ = ["cores"]

GROUPS = Path("/sys/fs/cgroup")


def cores():
    """Cores that may run at once, as a number: 0.5 is half of one.  What other programs take of them is not known here."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = os.cpu_count() or 1
    return min([allowed, *quotas(Path("/proc/self/cgroup"), GROUPS)])


def quotas(membership, groups):
    """The quota of every control group above this process, in cores."""
    found = []
    for line in _read(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / controllers if controllers else groups
        place = root / path.strip("/")
        while True:
            quota, period = _read(place / "cpu.max").split()[:2] or ("max", 1) if not controllers else _first_version(place)
            if quota not in ("max", "-1"):
                found.append(int(quota) / int(period))
            if place == root or place == place.parent:
                break
            place = place.parent
    return found


def _first_version(place):
    """The same of the first version of control groups."""
    return _read(place / "cpu.cfs_quota_us").strip() or "-1", _read(place / "cpu.cfs_period_us").strip() or "100000"


def _read(path):
    try:
        return path.read_text()
    except OSError:
        return ""
