"""What this machine allows the lab, why not more, and how to get it.

Two steps, so that the second can be tested on any machine: `examine` looks (it tries each link, walks the lab's own first steps
in a child, and reads /proc), `diagnose` turns what was seen into a cause and a remedy.
"""

import errno
import os
import platform
import shutil
import stat
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from importlib import metadata

from labs.network import links
from labs.tables import columns

__all__ = ["Evidence", "Report", "diagnose", "doctor", "examine"]

# What the lab process does first, one call at a time (labs.network.process.isolate); prints the step that failed, and errno.
STEPS = """
import ctypes, os
libc, uid, gid, step = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid(), "user namespace"
def unshare(flag):
    if libc.unshare(flag):
        raise OSError(ctypes.get_errno(), "")
try:
    unshare(0x10000000)  # CLONE_NEWUSER
    step = "uid map"
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    step = "network namespace"
    unshare(0x40000000)  # CLONE_NEWNET
    step = "process namespace"
    unshare(0x20000000)  # CLONE_NEWPID
    print()
except OSError as e:
    print(step, e.errno, sep="=")
"""
LIMITS = ("max_user_namespaces", "max_net_namespaces", "max_pid_namespaces")  # in /proc/sys/user
SYS_ADMIN, EVERY = 21, 0x1FFFFFF  # capabilities(7): CAP_SYS_ADMIN's bit; bits that every kernel of this decade has
WIDTH = 92


@dataclass
class Evidence:
    """What was seen on a machine."""

    system: str = "Linux"
    why_not: dict = field(default_factory=dict)  # link → "" or the error with which it failed
    step: str = ""  # the first step of the lab process that failed
    errno: int = 0
    limits: dict = field(default_factory=dict)  # "max_user_namespaces" → number, where the kernel tells it
    userns_clone: str = ""  # kernel.unprivileged_userns_clone: Debian's and Ubuntu's kernels had it
    apparmor: str = ""  # kernel.apparmor_restrict_unprivileged_userns: Ubuntu since 23.10
    seccomp: bool = False  # a filter decides which system calls may be made
    capabilities: int = 0  # effective, as a bit mask
    uid: int = 1000
    tun: str = "works"  # "missing", or the name of the error with which opening it failed: EACCES, EPERM, ENODEV …
    tun_mode: int = 0o666
    programs: dict = field(default_factory=dict)  # what else is here: name → text


def diagnose(link: str, seen: Evidence) -> tuple[str, str]:
    """Why `link` does not work, and how to get it: two texts, empty where it works."""
    if not seen.why_not.get(link):
        return "", ""
    module = links.named(link).module
    if seen.system != "Linux":
        name = {"Darwin": "macOS"}.get(seen.system, seen.system)
        way = "WSL 2 (wsl --install)" if name == "Windows" else "a Linux virtual machine or container"
        return f"this is {name}; the lab is made of Linux network namespaces", f"run the course in {way}"
    no_namespaces = all(seen.why_not.get(each.name) for each in links.LINKS if each.whole)
    if seen.step and no_namespaces:  # real root can do without a user namespace
        why, remedy = _namespaces(seen)
        if module == "tun" and seen.tun != "works":
            why, remedy = f"{why}; then, {_tun(seen)[0]}", f"{remedy}; then {_tun(seen)[1]}"
        return why, remedy
    if module == "tun" and seen.tun != "works":
        return _tun(seen)
    return (
        f"the kernel said: {seen.why_not[link]}",
        f"if the kernel lacks the module {module}: sudo modprobe {module}; in a container, on the machine that runs it",
    )


def _namespaces(seen):
    what = f"{seen.step}: {errno.errorcode.get(seen.errno, seen.errno)}"
    for limit in LIMITS:
        if seen.limits.get(limit) == 0:
            return (
                f"namespaces are switched off: user.{limit} = 0",
                f"sudo sysctl -w user.{limit}=15000 (in a container: whoever runs it)",
            )
    if seen.errno == errno.ENOSPC:
        return (
            f"a limit on namespaces is reached, here or in a container around this one ({what})",
            "end what holds namespaces, or raise user.max_user_namespaces on the machine itself",
        )
    if seen.userns_clone == "0" and seen.errno == errno.EPERM:
        return (
            "ordinary users may not make namespaces: kernel.unprivileged_userns_clone = 0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        )
    made = seen.step != "user namespace"  # AppArmor refuses it, or lets it be made and takes away what it is for
    if seen.apparmor == "1" and (made or seen.errno in (errno.EPERM, errno.EACCES) and not seen.seccomp):
        does = "takes the capabilities away from what a user namespace starts" if made else "refuses user namespaces"
        return (
            f"AppArmor {does}: kernel.apparmor_restrict_unprivileged_userns = 1 ({what})",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (for the whole machine, until it restarts)",
        )
    if seen.errno == errno.EPERM and seen.seccomp:
        return (
            f"a seccomp filter refuses unshare(2), as Docker's default does ({what})",
            "docker run --security-opt seccomp=unconfined; or, stricter, Docker's default profile with unshare, setns and clone "
            "allowed: --security-opt seccomp=PROFILE.json",
        )
    if seen.errno == errno.EINVAL:
        return f"this kernel was built without namespaces ({what})", "use another kernel; the course runs on the relay meanwhile"
    if seen.errno == errno.EPERM:
        return (
            f"the kernel forbids namespaces here ({what}): a chroot, or a security module such as SELinux or AppArmor",
            "run outside the chroot, or ask whoever runs this machine",
        )
    return f"the kernel said: {os.strerror(seen.errno)} ({what})", "ask whoever runs this machine"


def _tun(seen):
    if seen.tun == "missing":
        return ("there is no /dev/net/tun", "sudo modprobe tun; in a container: docker run --device /dev/net/tun")
    if seen.tun == "EACCES":
        why = f"/dev/net/tun has mode {seen.tun_mode:04o}, so you may not open it"
        return why, "sudo chmod 0666 /dev/net/tun, as distributions have it"
    if seen.tun == "EPERM":
        return "the container may not use the device /dev/net/tun (EPERM)", "docker run --device /dev/net/tun"
    return f"/dev/net/tun does not answer ({seen.tun}): the module tun is not loaded", "sudo modprobe tun"


def _read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def examine() -> Evidence:
    """Look at this machine; takes a quarter of a second."""
    now = {link.name: link.try_now()[0] for link in links.LINKS}  # not as remembered from before a remedy
    seen = Evidence(system=platform.system(), why_not=now)
    if seen.system == "Linux":
        _examine_linux(seen)
    live = next((link.name for link in links.LINKS if link.whole and not now[link.name]), None)
    seen.programs = {
        "Python": platform.python_version(),
        "scapy": _version("scapy"),
        "tshark": shutil.which("tshark") or "not here; only the tests compare with it",
        **(_in_a_host(live) if live else {}),
        **({"user": _user(seen)} if seen.system == "Linux" else {}),
    }
    return seen


def _examine_linux(seen):
    tried = subprocess.run([sys.executable, "-I", "-S", "-c", STEPS], capture_output=True, text=True, timeout=10)
    seen.step, _, number = tried.stdout.strip().partition("=")
    seen.errno = int(number or 0)
    seen.limits = {name: int(text) for name in LIMITS if (text := _read(f"/proc/sys/user/{name}")).isdigit()}
    seen.userns_clone = _read("/proc/sys/kernel/unprivileged_userns_clone")
    seen.apparmor = _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    status = dict(line.split(":\t", 1) for line in _read("/proc/self/status").splitlines() if ":\t" in line)
    seen.seccomp = status.get("Seccomp", "0") == "2"
    seen.capabilities = int(status.get("CapEff", "0"), 16)
    seen.uid = os.getuid()
    try:
        seen.tun_mode = stat.S_IMODE(os.stat("/dev/net/tun").st_mode)
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        seen.tun = "missing"
    except OSError as e:
        seen.tun = errno.errorcode.get(e.errno, str(e.errno))


def _in_a_host(link):
    """What a host of the lab finds."""
    from labs import network

    with network("client", "server", link=link) as (host, _):
        algorithm = host.sysctl("net.ipv4.tcp_congestion_control")
        try:
            host.sysctl("net.ipv4.ip_forward", host.sysctl("net.ipv4.ip_forward"))
            writable = "writable: a host's kernel settings can be changed"
        except OSError as e:
            writable = f"read-only ({errno.errorcode.get(e.errno, e.errno)}): a host keeps the kernel's defaults"
    machine = _read("/proc/sys/net/ipv4/tcp_congestion_control") or "not told"
    return {"congestion control": f"{algorithm} in the hosts; {machine} on the machine", "/proc/sys in a host": writable}


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return f"not here; pip install {package}"


def _user(seen):
    if not seen.capabilities:
        held = "no capabilities"
    elif seen.capabilities & EVERY == EVERY:
        held = "all capabilities"
    else:
        admin = "with" if seen.capabilities >> SYS_ADMIN & 1 else "without"
        held = f"{seen.capabilities.bit_count()} capabilities, {admin} CAP_SYS_ADMIN"
    return f"uid {seen.uid}, {held}"


class Report:
    """What the doctor found: a table.  `links` maps each link to "" or why it does not work; `text` is all of it."""

    def __init__(self, seen: Evidence):
        self.seen = seen
        self.links = {link.name: diagnose(link.name, seen)[0] for link in links.LINKS}

    @property
    def text(self) -> str:
        best, *others = [link for link, why in self.links.items() if not why]
        rows = []
        for link, why in self.links.items():
            rows.append((link, "no: " + why if why else "works: " + links.named(link).offers))
            if remedy := diagnose(link, self.seen)[1]:
                rows.append(("", "to get it: " + remedy))
        forced = os.environ.get("LABS_LINK")
        other = f"; LABS_LINK={others[0]}, say, forces another" if others and links.named(others[0]).whole else ""
        rows.append(("in use", f"{forced}, as LABS_LINK says" if forced else best + other))
        rows += [("", ""), *self.seen.programs.items(), ("root would add", "nothing that the course needs")]
        wide = max(len(name) for name, _ in rows) + 2
        page = textwrap.TextWrapper(WIDTH, subsequent_indent=" " * wide, break_on_hyphens=False, break_long_words=False)
        return "\n".join(map(page.fill, columns(rows)))

    def __repr__(self):
        return self.text


def doctor() -> Report:
    """Try each link and say what works, why not more and how to get it: a Report, which prints as a table.  Chapter 00.

    A remedy takes effect in a new kernel: this one has chosen its link.
    """
    return Report(examine())
