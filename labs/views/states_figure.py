"""How stepped states are drawn: a ladder in the middle, each kernel's states at its side."""

from . import escape, palette
from .draw import WIDTH, Sheet

__all__ = ["draw"]

ROW, BOTTOM = 54, 40
WHAT, LANES, PILLS = 16, (432, 792), (308, 916)  # x of what happened, of the lanes, and of the states' centres


def draw(view):
    """The figure of `States`."""
    top = 92 if view.title else 62
    height = top + max(len(view.steps), 1) * ROW + BOTTOM
    sheet = Sheet(height, origin=escape.plain(view.origin or "", 60))
    if view.title:
        sheet.text(16, 28, view.title, 12, bold=True)
    hosts = view.hosts
    for index, host in enumerate(hosts):
        x = LANES[index]
        sheet.line((x, x), (top - 14, height - BOTTOM), palette.FAINT, 1.6, order=1)
        sheet.pill(x, top - 26, host, palette.host_colour(index), 11, room=200)
        sheet.text(PILLS[index], top - 21, "kernel's state", 9, palette.SOFT, "center")
    if not view.steps:
        sheet.text(WIDTH / 2, top + 20, "No steps were noted.", 11, palette.SOFT, "center")
    for at, step in enumerate(view.steps):
        _step(sheet, view, hosts, at, step, top + at * ROW + ROW / 2)
    return sheet.figure


def _step(sheet, view, hosts, at, step, middle):
    if at % 2:
        sheet.box(0, middle - ROW / 2, WIDTH, ROW, fill=palette.QUIET, order=0.4)
    lines = sheet.wrap(step["what"], 176, 10, rows=2)
    for line, words in enumerate(lines):
        sheet.text(WHAT, middle + 5 + (line - (len(lines) - 1) / 2) * 17, words, 10)
    for index, host in enumerate(hosts):
        if host in step["states"]:
            changed = view.changed(at, host)
            words = step["states"][host] or "no socket"
            fill = palette.host_colour(index) if changed else palette.PAPER
            edge = "none" if changed else palette.FAINT
            sheet.pill(PILLS[index], middle, words, fill, 9.5, bold=changed, edge=edge, room=212)
    if step["frame"]:
        _arrow(sheet, hosts, step["frame"], middle + 8)


def _arrow(sheet, hosts, frame, y):
    """The frame of a step; a record has words only, no bytes."""
    index = hosts.index(frame["sender"]) if frame["sender"] in hosts else 0
    tail, aim = LANES[index], LANES[1 - index]
    colour = palette.host_colour(index)
    side = 1 if aim > tail else -1
    width = 2.6 if frame["bytes"] else 1.4
    words = "; ".join(frame["told"])
    if frame["lost"]:
        middle = (tail + aim) / 2
        sheet.line((tail, middle), (y, y), colour, width)
        sheet.cross(middle, y)
    elif frame["receivers"]:
        sheet.arrow(tail, y, aim, y, colour, width)
    else:
        end = tail + side * 100
        sheet.arrow(tail, y, end, y, colour, width, dash=(3, 2))
        sheet.line((end, aim), (y, y), palette.FAINT, 1.2, (2, 4), order=1.6)
    head, rest = frame["head"], frame["rest"].replace("  ", "   ")
    if frame["protocol"] != "TCP":
        head = f"{frame['protocol']} {head}"
    head = sheet.fit(head, 330, 10, bold=True)
    bold, gap = sheet.measure(head, 10, bold=True), 12 if rest else 0
    rest = sheet.fit(rest, max(330 - bold - gap, 0), 10) if rest else ""
    x = (LANES[0] + LANES[1] - bold - gap - sheet.measure(rest, 10)) / 2
    sheet.text(x, y - 9, head, 10, palette.ALARM if frame["reset"] else palette.INK, bold=True)
    sheet.text(x + bold + gap, y - 9, rest, 10)
    if words:
        middle = (LANES[0] + LANES[1]) / 2
        sheet.text(middle, y + 16, sheet.fit(words, 330, 9), 9, palette.ALARM if frame["lost"] else palette.SOFT, "center")
