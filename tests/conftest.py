"""What the tests of the network room share: the links, networks that are closed at the end, the oracle, the search for leaks.

Run as any user: pytest tests.  What could not run here is listed by name at the end.  LABS_REQUIRE_ORACLES=1 makes a missing
tshark or a missing link a failure: so it is where the project is built.
"""

import collections
import fcntl
import itertools
import os
import sys
import warnings
from pathlib import Path

import pytest

import labs
from labs.captures.capture import Capture

# Where jsonschema finds this package it parses a grammar for a second, in every process that reads notebooks, for a format that
# they do not have; without it jsonschema leaves that format unchecked.
sys.modules.setdefault("rfc3987_syntax", None)

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = os.environ.get("LABS_REQUIRE_ORACLES") == "1"
STACKS = os.environ.get("LABS_STACKS") == "1"  # there is time for everything: .ci/run
where_there_is_time = pytest.mark.skipif(not STACKS, reason="NOT RUN HERE  what takes its time: LABS_STACKS=1 asks for it")


def examples(number):
    """How many examples hypothesis tries: all where there is time, else a quarter; their seeds differ from run to run."""
    return number if STACKS else max(4, number // 4)


def not_run(what, why):
    """Skip with a reason, or fail where everything must run.  -ra (pyproject.toml) lists the reasons at the end."""
    (pytest.fail if REQUIRED else pytest.skip)(f"NOT RUN HERE  {what}: {why}")


# ── one chapter ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def pytest_addoption(parser):
    parser.addoption("--chapter", metavar="NN", help="test one chapter: 24, or 24-tcp-connection")


def pytest_configure(config):
    """What --chapter names goes into LABS_CHAPTER, for tests/notebooks.py, which is imported later; and for xdist's workers."""
    if asked := config.getoption("chapter"):
        os.environ["LABS_CHAPTER"] = find_chapter(asked)
    else:
        os.environ.pop("LABS_CHAPTER", None)


def find_chapter(asked):
    """The slug of a chapter that is here, by its slug or its number."""
    here = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
    found = [slug for slug in here if asked in (slug, slug[:2])]
    if not found:
        raise pytest.UsageError(f"no chapter {asked} is here; there are {', '.join(here)}")
    return found[0]


LONG = ("test_nbval", "test_as_an_ordinary_user", "test_exercises", "test_on_tap_twice_with_pictures", "test_mypy",
        "test_a_chapter_has_four_places", "test_on_other_links")  # fmt: skip


def of_the_chapter(item, slug):
    """Whether a test is about this chapter: run with its notebook, or named after it (test_chapter_24_…)."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    paths = [params.get("path"), *params.get("paths", ())]
    return any(isinstance(path, Path) and path.stem == slug for path in paths) or f"chapter_{slug[:2]}" in item.nodeid


# ── who runs beside whom ─────────────────────────────────────────────────────────────────────────────────────────────────


def spread(items, workers):
    """The tests in an order in which all workers have enough to do.

    xdist gives each an equal part of the row, and lets it take from others when it is through.  Chapters wait more than they
    work: two workers of three begin with them, the others with the rest.  JupyterLab, and Colab's environment, are one worker's
    each.
    """
    alone = [item for item in items if item.get_closest_marker("alone")]  # first, so that others wait for it least
    chapters = [item for name in LONG for item in items if item.originalname == name and item not in alone]
    stacks = [
        [item for item in items if item.path.stem == name and item not in chapters] for name in ("test_browser", "test_colab")
    ]
    rest = [item for item in items if item not in {*alone, *chapters, *stacks[0], *stacks[1]}]
    first = [*stacks[::-1], *[[] for _ in range(workers)]][:workers] if workers > 1 else [stacks[0] + stacks[1]]
    patient = max(1, workers * 2 // 3)
    parts = [first[part] + (chapters[part::patient] if part < patient else []) for part in range(workers)]
    size, remaining = -(-(len(items) - len(alone)) // workers), iter(rest)
    parts = [part + list(itertools.islice(remaining, max(0, size - len(part)))) for part in parts]
    return [*alone, *itertools.chain(*parts), *remaining]


def pytest_collection_modifyitems(config, items):
    if slug := os.environ.get("LABS_CHAPTER"):
        mine = [item for item in items if of_the_chapter(item, slug)]
        config.hook.pytest_deselected(items=[item for item in items if item not in mine])
        items[:] = mine
    items[:] = spread(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


@pytest.fixture(autouse=True)
def place(request, tmp_path_factory):
    """Where several processes run tests, one marked `alone` waits until the others' tests have ended, and new ones wait for it.

    It fills the machine by itself: what it shows would be another thing beside them.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    alone, folder = request.node.get_closest_marker("alone"), tmp_path_factory.getbasetemp().parent
    with open(folder / "door", "w") as door, open(folder / "room", "w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)  # who waits to be alone keeps it shut
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            fcntl.flock(door, fcntl.LOCK_UN)
        yield


# ── stacks × links × notebooks ───────────────────────────────────────────────────────────────────────────────────────────

WHOLE = [("current stack", link) for link in ("tap", "veth", "relay", "recording")]
WHOLE += [("nbval", "tap"), ("Colab's stack", "relay"), ("JupyterLab", "tap")]
WHOLE += [("current stack as an ordinary user", "tap")] if os.getuid() == 0 else []
PASSED = set()  # (stack, link, notebook)


@pytest.fixture
def combination(record_property):
    """combination("current stack", "tap", "24-tcp-connection"): the test has shown that this one works."""
    return lambda stack, link, slug: record_property("combination", (stack, link, slug))


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        PASSED.update(tuple(value) for name, value in report.user_properties if name == "combination")


def not_shown():
    """What the whole suite must show and has not: every stack and link with every notebook that is here."""
    slugs = [path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")]
    return sorted({(*where, slug) for where in WHOLE for slug in slugs} - PASSED)


def is_whole(config):
    asked = config.option.keyword or config.option.markexpr or config.getoption("chapter")
    all_of_it = not asked and [Path(arg).resolve() for arg in config.args] == [ROOT / "tests"]
    return all_of_it and REQUIRED and os.environ.get("LABS_STACKS") == "1" and not hasattr(config, "workerinput")


def pytest_sessionfinish(session):
    if is_whole(session.config) and not_shown():
        session.exitstatus = session.exitstatus or 1


def pytest_terminal_summary(terminalreporter, config):
    for (stack, link), count in sorted(collections.Counter(one[:2] for one in PASSED).items()):
        terminalreporter.write_line(f"{count:3} notebooks passed: {stack}, {link}")
    if PASSED:
        terminalreporter.write_line(f"{len(PASSED):3} combinations of notebook, stack and link in all")
    for one in not_shown() if is_whole(config) else ():
        terminalreporter.write_line(f"NOT SHOWN: {', '.join(one)}", red=True)


@pytest.fixture(params=["tap", "veth"])
def link(request):
    """Each link that can carry frames; a test that takes it runs once for each."""
    from labs.network.links import why_not

    if why := why_not(request.param):
        not_run(f"link {request.param}", why)
    return request.param


@pytest.fixture
def network(link):
    """network("client", "server", …) on this link; closed when the test ends."""
    made = []

    def make(*row, **how):
        made.append(labs.network(*(row or ("client", "server")), link=link, **how))
        return made[-1]

    yield make
    for net in made:
        net.close()


@pytest.fixture
def net(network):
    """Two hosts, client and server, on one wire."""
    return network("client", "server")


@pytest.fixture
def any_net():
    """Two hosts on whichever link this machine has: for what the links have no part in."""
    from labs.network.links import choose

    if choose() == "recording":
        not_run("any link", "neither tap nor veth is possible here")
    with labs.network("client", "server") as made:
        yield made


@pytest.fixture
def tshark(tmp_path):
    """tshark(capture, "eth.src", "tcp.port", …) → the frames as lists of text."""
    import oracle

    if why := oracle.why_not():
        not_run("tshark, the oracle", why)
    return lambda capture, *fields: oracle.fields(capture, fields, tmp_path)


@pytest.fixture(scope="module")
def captures_to_check(tmp_path_factory):
    """All captures that a module's tests made, for one run of tshark at the end: it takes longer to start than to read."""
    import oracle

    made = []  # (test, capture)
    yield made
    if why := oracle.why_not():
        assert not REQUIRED, f"tshark, the oracle: {why}"
        warnings.warn(f"NOT RUN HERE  tshark, the oracle: {why}", stacklevel=1)
    elif made:
        oracle.compare(made, tmp_path_factory.mktemp("oracle"))


@pytest.fixture
def checked_by_tshark(request, monkeypatch, captures_to_check):
    """Every capture that the test makes is compared with what tshark reads in it, frame by frame."""
    leave = Capture.__exit__

    def exit_and_keep(capture, *problem):
        leave(capture, *problem)
        captures_to_check.append((request.node.name, capture))

    monkeypatch.setattr(Capture, "__exit__", exit_and_keep)


@pytest.fixture
def no_leaks():
    """Whatever the test did: within 2 s no process, thread, descriptor or namespace more than before."""
    import leaks

    leaks.warm_up()
    before = leaks.everything()
    yield
    left = leaks.left_after(2.0, before)
    assert not left, f"left behind: {left}"
