"""The views of whole messages and of costs: Dialogue, Tradeoff."""

import pytest
from fakes import Talk, capture_of
from test_views import HOSTILE, picture

from labs.captures.frame import Arrival
from labs.views import Dialogue, Tradeoff

REQUEST = b"GET /jobs/1 HTTP/1.1\r\nHost: server\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"


def conversation(answer=ANSWER, sport=43210):
    talk = Talk(sport=sport).open().say("client", "PA", REQUEST)
    for part in (answer[:20], answer[20:]):
        talk.say("server", "PA", part)
    return capture_of(talk.say("client", "FA").say("server", "FA").sent)


def test_a_message_is_one_row_however_many_frames_carried_it():
    cap = conversation()
    view = Dialogue(("Once", cap, {"job done": ("server", cap[4].time - 1)}))
    assert (
        view.text
        == """\
Once

  client → server  connects
  client → server  GET /jobs/1
  server           job done
  server → client  200 OK  done
  client → server  closes
  server → client  closes"""
    )
    assert view.sentence == "Once: 1 request, 1 response."
    answer = next(row for row in view.columns[0] if row.kind == "response")
    assert (answer.sent, answer.arrived) == (cap[4].time, cap[5].arrivals[0].time), "from its first byte to its last"
    picture(view)


def test_what_the_wire_lost_is_said():
    cap = conversation()
    for frame in cap.frames[4:6]:
        frame.lost, frame.arrivals = "by rule 1", []
    view = Dialogue(("Lost", cap), ("Kept", conversation()))
    assert "  server → client  200 OK  done  [lost]" in view.text
    assert view.sentence == "Lost: 1 request, 1 message lost; Kept: 1 request, 1 response."
    picture(view)


def test_what_is_said_again_and_again_stands_once():
    frames = [Talk(sport=40000 + n).open().sent[0] for n in range(3)]
    view = Dialogue(("Three", capture_of(frames)))
    assert "  client → server  connects  [3 times]" in view.text and view.sentence == "Three: 3 new connections."
    picture(view)


def test_a_message_that_came_in_two_parts_lands_with_the_last():
    cap = conversation()
    cap[5].arrivals = [Arrival(cap[5].time + 10**9, "client")]
    answer = next(row for row in Dialogue(("Slow", cap)).columns[0] if row.kind == "response")
    assert answer.arrived - answer.sent > 10**9


def test_hostile_and_empty_dialogues():
    hostile = conversation(b"HTTP/1.1 200 " + HOSTILE.encode("utf-8", "replace")[:40] + b"\r\n\r\n")
    view = Dialogue((HOSTILE, hostile, {HOSTILE: (HOSTILE, hostile[0].time)}), ("Nothing", capture_of([])))
    assert "Nobody said anything." in view.text and not {"\x1b", "\u202e"} & set(view.text + view.sentence)
    picture(view)
    for wrong in ((), (conversation(),), (("title",),)):
        with pytest.raises(TypeError, match="expected conversations"):
            Dialogue(*wrong)


def test_tradeoff_names_the_best_and_tells_no_numbers():
    view = Tradeoff("Costs", "bytes", "staleness, ms")
    assert view.sentence == "Nothing was measured." and "Nothing" in view.text
    picture(view)
    view.point("every 25 ms", 8000, [20, 5, 30], requests=15).point("every 400 ms", 2500, 200, requests=3.25)
    assert view.front() == ["every 25 ms", "every 400 ms"] and view.sentence == "Of 2 ways, none is lowest on both axes."
    view.point("held", 1600, 3, series=1, requests=1)
    assert view.sentence == "Of 3 ways, “held” is lowest on both axes."
    assert view.text == "Costs\n\nstaleness, ms against bytes\nevery 25 ms, every 400 ms, held"
    picture(view)
    picture(Tradeoff(HOSTILE, HOSTILE, HOSTILE).point(HOSTILE, 1, 1))
    for x, y in ((0, 1), (1, [1, -2]), (1, [])):
        with pytest.raises(ValueError, match="above 0"):
            view.point("wrong", x, y)
