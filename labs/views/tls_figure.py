"""How the records of a TLS connection are drawn: a row each; left what everyone on the way can read, right what was inside."""

from . import escape, palette
from .draw import Figure, Sheet
from .tls_connection import Session, shown
from .view import count

__all__ = ["draw"]

TOP, ROW, BOTTOM, MOST = 74, 30, 30, 40  # pixels; rows drawn
NUMBER, FRAME, HOST, WIRE, INSIDE = 34, 50, 130, 230, 520


def draw(view: Session) -> Figure:
    """The figure of a `Session`."""
    records = view.records[:MOST]
    more = len(view.records) - len(records)
    sheet = Sheet(TOP + max(len(records), 1) * ROW + BOTTOM + (20 if more else 0), origin=view.origin)
    sheet.text(16, 26, sheet.fit(view.heading(), sheet.width - 32, 12, bold=True), 12, bold=True)
    for x, words in ((FRAME, "frame"), (HOST, "from"), (WIRE, "what everyone on the way can read"), (INSIDE, "what was inside")):
        sheet.text(x, 56, words, 9, palette.SOFT)
    for row, record in enumerate(records):
        y = TOP + row * ROW
        if row % 2 == 0:
            sheet.box(8, y - 3, sheet.width - 16, ROW, fill=palette.QUIET, order=0)
        _row(sheet, view, record, y, view.colour(record.sender))
    if more:
        sheet.text(FRAME, TOP + len(records) * ROW + 14, f"… {count(more, 'more record')} not drawn", 10, palette.SOFT)
    return sheet.figure


def _row(sheet, view, record, y, colour):
    middle = y + ROW / 2 - 3
    sheet.text(NUMBER, middle + 5, str(record.number), 10, palette.SOFT, "right")
    frames = [str(number) for number in record.frames]
    sheet.text(FRAME, middle + 5, "–".join(dict.fromkeys((frames[0], frames[-1]))) if frames else "", 10)
    sheet.pill(HOST, middle, escape.plain(record.sender, 20), colour, 10, align="left", height=22, room=96)
    words = f"{record.wire_type}, {count(len(record.body), 'byte')}"
    fill = palette.PAPER if record.encrypted else palette.LAYER[6]
    sheet.box(WIRE, y, 262, ROW - 6, fill=fill, edge=palette.LAYER[6], line=1.4, radius=4, order=2)
    sheet.text(WIRE + 10, middle + 5, sheet.fit(words, 244, 10), 10)
    room = sheet.width - INSIDE - 26
    if record.problem:
        words, keyless = view.told(record), record.encrypted and not view.keylog
        if sheet.measure(words, 10) > room:  # the sentence below the picture has all of it
            words = ": ".join(words.split(": ")[:2])
        sheet.text(INSIDE, middle + 5, sheet.fit(words, room, 10), 10, palette.SOFT if keyless else palette.ALARM)
        return
    if record.encrypted:
        sheet.arrow(WIRE + 266, middle, INSIDE - 4, middle, palette.SOFT, 1.2)
    data = record.content_type == 23
    words = f"{count(len(record.plaintext), 'byte')}: {shown(record.plaintext)}" if data else record.what
    words = sheet.fit(words, room - 20, 10)
    sheet.box(INSIDE, y, sheet.measure(words, 10) + 20, ROW - 6, fill=palette.LAYER[7 if data else 6], radius=4, order=2)
    sheet.text(INSIDE + 10, middle + 5, words, 10)
