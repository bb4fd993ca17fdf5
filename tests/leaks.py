"""What this process and its descendants hold: to be compared before and after."""

import collections
import ctypes
import functools
import gc
import os
import subprocess
import threading
import time


@functools.cache
def warm_up():
    """Once: open what Python and scapy keep open for good; adopt the orphans of killed owners, so that none hides from us."""
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    try:
        import scapy.all  # noqa: F401
    except ImportError:
        pass
    gc.collect()
    gc.freeze()  # what there is now is not searched again and again


def children(pid):
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return [int(child) for task in tasks for child in open(f"/proc/{pid}/task/{task}/children").read().split()]
    except OSError:
        return []


def descendants(pid=None):
    """The process ids below `pid` (this process), zombies left out; they are buried on the way."""
    found = []
    for child in children(pid or os.getpid()):
        if state(child) == "Z":
            if pid is None and child not in {
                process.pid for process in gc.get_objects() if isinstance(process, subprocess.Popen)
            }:
                os.waitpid(child, os.WNOHANG)
        elif state(child):
            found += [child, *descendants(child)]
    return found


def state(pid):
    """ "R", "S", "Z" …; "" when there is no such process."""
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def namespaces(pids):
    """The namespaces that these processes, or descriptors of ours, keep, without our own."""
    kinds, found = ("net", "user", "pid"), set()
    for pid in pids:
        for kind in kinds:
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                pass
    return found - {os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}


def descriptors():
    """The kinds of our descriptors, counted: numbers do not matter."""
    kinds = collections.Counter()
    for fd in os.listdir("/proc/self/fd"):
        try:
            kinds[os.readlink(f"/proc/self/fd/{fd}").split("[")[0]] += 1
        except OSError:
            pass  # the one with which we look
    return kinds


def everything():
    gc.collect()
    pids = descendants()
    return set(pids), namespaces(pids), set(threading.enumerate()), descriptors()


def left_after(seconds, before):
    """What there is more than before, when it has not gone within `seconds`; "" if nothing."""
    deadline = time.monotonic() + seconds
    while True:
        now = everything()
        more = [after - earlier for after, earlier in zip(now, before)]
        if not any(more):
            return ""
        if time.monotonic() > deadline:
            return "; ".join(
                f"{kind} {thing}" for kind, thing in zip(("processes", "namespaces", "threads", "descriptors"), more) if thing
            )
        time.sleep(0.01)
