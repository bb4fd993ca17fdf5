"""Handshakes side by side on one time scale: who says what, when, and who waits.  Built in chapter 16-tls.

A *flight* is what one side sends before it has to wait for the other.  Two flights, one each way, are a round trip.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from . import escape, palette
from .draw import Figure, Sheet
from .view import View, count

if TYPE_CHECKING:
    from .tls_connection import Session

__all__ = ["Flights"]

TOP, BOTTOM, GAP = 76, 34, 40  # pixels; GAP between two ladders
MARGIN = 60  # between the edge of a ladder and its posts


class Flights(View):
    """One or more Sessions (labs.tls), each as a small ladder from TCP's SYN up to the first answer.

    The picture is to scale, milliseconds downwards; the text names the flights, and no times.
    """

    def __init__(self, *sessions: Session):
        if not sessions:
            raise ValueError("expected one session or more, as labs.tls(cap, keylog) makes them")
        self.sessions, self.origin = sessions, sessions[0].origin

    def summary(self) -> str:
        """How many flights each session needs before its first request."""
        parts = [f"{_name(session)}: {count(trips(session), 'round trip')}" for session in self.sessions]
        return f"From the first record to the first application data: {'; '.join(parts)}."

    @property
    def text(self) -> str:
        """The flights of each session, in order."""
        out = []
        for session in self.sessions:
            out += ["", f"{_name(session)}: {count(trips(session), 'round trip')} before the first application data"]
            out += [f"  {escape.plain(sender, 40):<8} {escape.plain(words, 200)}" for sender, words, *_ in flights(session)]
        return "\n".join(out[1:])

    def figure(self) -> Figure:
        """The ladders as a matplotlib Figure."""
        spans = [_span(session) for session in self.sessions]
        longest = max(end - begin for begin, end in spans) or 1
        height = 540  # of 160 ms, a pair of handshakes over a round trip of 40: slopes steep enough for three lines of words
        sheet = Sheet(TOP + height + BOTTOM, origin=self.origin)
        width = (sheet.width - GAP * (len(self.sessions) - 1)) / len(self.sessions)
        for at, (session, (begin, _)) in enumerate(zip(self.sessions, spans)):
            down = lambda time, begin=begin: TOP + 14 + (time - begin) / longest * (height - 14)
            _ladder(sheet, session, at * (width + GAP), width, down)
        return sheet.figure


def trips(session: Session) -> int:
    """Round trips of TLS until the client sends its first application data."""
    waits = 0
    for sender, words, *_ in flights(session):
        if sender == session.client and "application data" in words:
            break
        waits += sender == session.server
    return waits


def flights(session: Session) -> list[list]:
    """[sender, what it says, sent, arrived] of each flight, up to the first application data of the server."""
    out = []
    for sender, records in groupby(session, lambda r: r.sender):
        group = list(records)
        words = dict.fromkeys(r.what or ("closed" if r.encrypted else "?") for r in group)
        out.append([sender, ", ".join(words), group[0].time, group[-1].arrived])
        if sender == session.server and "application data" in words:
            break
    return out


def _name(session):
    return escape.plain(session.version or "TLS", 20)


def _span(session):
    times = [time for _, *both in session.opening for time in both] + [time for flight in flights(session) for time in flight[2:]]
    return (min(times), max(times)) if times else (0, 1)


def _ladder(sheet, session, left, width, y):
    posts = {session.client: left + MARGIN, session.server: left + width - MARGIN}
    said, (begin, end) = flights(session), _span(session)
    title = f"{_name(session)}, {count(trips(session), 'round trip')} before the request"
    sheet.text(left + width / 2, 22, title, 12, align="center", bold=True)
    for host, x in posts.items():
        sheet.pill(x, 50, escape.plain(host, 20), session.colour(host), 10, height=22)
        sheet.line((x, x), (66, y(end) + 8), palette.FAINT, 2)
    events = [(host, words, sent, arrived, True) for (host, sent, arrived), words in zip(session.opening, ("SYN", "SYN, ACK"))]
    events += [(*flight, False) for flight in said]
    for host, words, sent, arrived, quiet in events:
        other = next((name for name in posts if name != host), host)
        colour = palette.SOFT if quiet else session.colour(host)
        sheet.arrow(posts[host], y(sent), posts[other], y(arrived), colour, 1.2 if quiet else 1.8)
        handshake = words.removesuffix("application data").rstrip(", ")
        lines = sheet.wrap(handshake, width - 2 * MARGIN - 60, 9, 3) if handshake else []
        lines += ["application data"] if handshake != words else []
        middle = (y(sent) + y(arrived)) / 2
        for row, line in enumerate(lines):
            ground = palette.LAYER[7] if line == "application data" else palette.PAPER
            ink, height = palette.SOFT if quiet else palette.INK, middle + 4 + (row - (len(lines) - 1) / 2) * 15
            sheet.text(left + width / 2, height, line, 9, ink, "center", ground=ground)
    for time in range(0, 1000, 20):
        if begin + time * 1e6 <= end + 1e6:
            sheet.text(left + 6, y(begin + time * 1e6) + 4, f"{time}", 9, palette.SOFT)
    sheet.text(left + 6, TOP - 4, "ms", 9, palette.SOFT)
