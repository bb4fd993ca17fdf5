"""Claims, predictions and exercises: what they print, what they refuse, and that they end a cell quietly."""

import subprocess
import sys

import pytest

from labs.lessons import CHAPTERS, ClaimFailed, Exercise, chapter, claim, exercise, heard, predict
from labs.lessons import chapter as chapter_function
from labs.lessons.exercise import _INSTANCES, _REGISTERED, Feedback, close, done
from labs.network import links


@pytest.fixture
def registry():
    """Exercises that a test defines are gone after it."""
    yield
    for id in [id for id, cls in _REGISTERED.items() if not cls.__module__.startswith("labs.")]:  # imported graders stay
        del _REGISTERED[id]
    _INSTANCES.clear()


def test_claim_that_holds(capsys):
    assert claim("the handshake ends before accept() is called", True, see="RFC 9293 §3.5") is None
    assert capsys.readouterr().out == "✓ the handshake ends before accept() is called  [RFC 9293 §3.5]\n"


def test_claim_that_fails_says_what_it_saw(capsys):
    with pytest.raises(ClaimFailed, match="three frames"):
        claim("three frames", False, saw=4)
    shown, saw, again = capsys.readouterr().out.splitlines()
    assert (shown, saw) == ("✗ three frames", "  saw: 4") and "Run ▸ Run All Above Selected Cell" in again
    assert ClaimFailed("x")._render_traceback_() == ["ClaimFailed: x"]


@pytest.mark.parametrize("evidence", [None, ..., lambda: True, print])
def test_claim_refuses_what_is_no_evidence(evidence):
    with pytest.raises(TypeError, match="expected evidence"):
        claim("anything", evidence)


def test_long_claims_fold_under_their_first_word(capsys):
    claim("word " * 40, True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(len(line) <= 100 for line in lines)
    assert lines[0].startswith("✓ word") and all(line.startswith("  word") for line in lines[1:])


def test_heard(capsys):
    heard("HTTP/2 removes head-of-line blocking", "refined", "TCP still delivers in order", True, see="RFC 9113 §1")
    out = capsys.readouterr().out
    assert out == "✓ heard: “HTTP/2 removes head-of-line blocking”\n  refined: TCP still delivers in order  [RFC 9113 §1]\n"


def test_heard_that_fails_and_heard_without_a_verdict(capsys):
    with pytest.raises(ClaimFailed):
        heard("x", "refuted", "it is not so", 0 > 1)
    assert "not refuted here" in capsys.readouterr().out
    with pytest.raises(ValueError, match="confirmed, refined, refuted"):
        heard("x", "wrong", "because", True)


@pytest.mark.parametrize(
    "guess, answer, within, expected",
    [
        (None, 3, 0, "no guess yet · answer: 3"),
        (..., 3, 0, "no guess yet · answer: 3"),
        ("  ", 3, 0, "no guess yet · answer: 3"),
        (3, 3, 0, "your guess: 3 ✓"),
        (4, 3, 0, "your guess: 4 ✗ · answer: 3"),
        ("3", 3, 0, "your guess: 3 ✓"),
        (95, 100, 0.1, "your guess: 95 ✓ · answer: 100"),
        (80, 100, 0.1, "your guess: 80 ✗ · answer: 100"),
        (0, 0, 0, "your guess: 0 ✓"),
        (" syn_sent", "SYN_SENT", 0, "your guess: syn_sent ✓ · answer: SYN_SENT"),
        ("Yes", True, 0, "your guess: Yes ✓ · answer: yes"),
        (True, True, 0, "your guess: yes ✓"),
        (["a", "b"], ["a", "b"], 0, "your guess: a, b ✓"),
        (object(), 3, 0, "your guess: <object> ✗ · answer: 3"),
    ],
)
def test_predict(guess, answer, within, expected, capsys):
    assert predict("How many?", guess, answer, within=within) is None
    assert capsys.readouterr().out.splitlines()[1] == "  " + expected


def test_predict_survives_a_guess_that_cannot_be_compared(capsys):
    class Awkward:
        def __eq__(self, other):
            raise RuntimeError

        __hash__ = None

        def __repr__(self):
            return "awkward"

        __str__ = None

    predict("How many?", Awkward(), 3, why="because")
    assert capsys.readouterr().out == "? How many?\n  your guess: awkward ✗ · answer: 3\n  because\n"


def define():
    class Even(Exercise):
        id = "24-even"
        title = "Hand in an even number"
        expects = int
        hints = ("Two.", "Four.")

        def grade(self, number):
            if number == 13:
                raise KeyError("thirteen")
            return done(f"{number} is even") if number % 2 == 0 else close(f"{number} is odd")

    return Even


def test_exercise_statuses(registry, capsys):
    define()
    task = exercise("24-even")
    statuses = [task.check(evidence).status for evidence in (None, ..., "x", int, 13, 3, 4)]
    assert statuses == ["missing", "missing", "missing", "missing", "missing", "close", "done"]
    assert capsys.readouterr().out.splitlines() == [
        "○ 24-even · missing: nothing handed in yet. Hand in an even number.",
        "○ 24-even · missing: nothing handed in yet. Hand in an even number.",
        "○ 24-even · missing: expected an int, got str",
        "○ 24-even · missing: expected an int, got the class int",
        "○ 24-even · missing: this evidence cannot be graded: KeyError: 'thirteen'",
        "◐ 24-even · close: 3 is odd",
        "✓ 24-even · done: 4 is even",
    ]


def test_hints_come_one_by_one_and_begin_again(registry, capsys):
    define()
    for _ in range(3):
        assert exercise("24-even").hint() is None
    assert capsys.readouterr().out.splitlines() == [
        "· hint 1 of 2: Two.",
        "· hint 2 of 2: Four. This is the last hint; the worked solution is folded below.",
        "· hint 1 of 2: Two.",
    ]


def test_a_cell_that_is_run_again_may_define_its_exercise_again(registry):
    define()
    define()
    assert exercise("24-even").title == "Hand in an even number"
    with pytest.raises(ValueError, match="two exercises"):
        type("Other", (Exercise,), {"id": "24-even"})


def test_a_grader_for_functions(registry, capsys):
    class Doubles(Exercise):
        id = "24-doubles"
        title = "Write a function that doubles"
        expects = callable

        def grade(self, function):
            return done("it does") if function(2) == 4 else close(f"f(2) is {function(2)}")

    assert exercise("24-doubles").check(5).text == "expected a function, got int"
    assert exercise("24-doubles").check(lambda n: n + n).status == "done"


def test_unknown_exercise_names_those_there_are(registry):
    define()
    with pytest.raises(ValueError, match="chapter 24 has 24-.*even"):
        exercise("24-odd")
    with pytest.raises(ValueError, match="none"):
        exercise("99-odd")


def test_feedback_is_quiet_at_the_end_of_a_cell(registry):
    from IPython.core.formatters import DisplayFormatter

    assert DisplayFormatter().format(Feedback("done", "x")) == ({}, {})
    with pytest.raises(ValueError):
        Feedback("perfect", "x")


def test_chapter_refuses_a_name_that_is_none():
    with pytest.raises(ValueError, match="did you mean '24-tcp-connection'"):
        chapter("24-tcp-conection")


def test_chapter_prints_one_line(monkeypatch, capsys):
    monkeypatch.delenv("LABS_RECORD", raising=False)
    monkeypatch.setattr(links, "choose", lambda: "tap")
    chapter_function("24-tcp-connection")
    assert capsys.readouterr().out == (
        "24-tcp-connection · link: tap · two real TCP/IP stacks, every frame passes the lab's cable\n"
    )


def test_every_notebook_is_a_chapter():
    from pathlib import Path

    notebooks = Path(__file__).parent.parent / "notebooks"
    assert {path.stem for path in notebooks.glob("[0-9]*.ipynb")} <= set(CHAPTERS)
    assert len(CHAPTERS) == 25 and list(CHAPTERS) == sorted(CHAPTERS)


def test_the_room_loads_without_the_heavy_packages():
    code = "import sys, labs.lessons; print([m for m in ('IPython', 'matplotlib', 'scapy', 'nbclient') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
