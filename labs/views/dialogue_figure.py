"""How a dialogue is drawn: a column for each conversation, two posts, and arrows that fall as far as they take."""

from matplotlib.figure import Figure

from . import escape, palette
from .axis import Axis
from .dialogue import Dialogue
from .draw import Sheet

__all__ = ["draw"]

TOP, TALL, BOTTOM, GAP = 84, 440, 34, 28  # pixels
TICKS, ASKS, SAYS = 62, 168, 130  # of a column: the times at its left edge; the words left and right of the posts
LINE = 16  # between the baselines of two labels on one side


def draw(view: Dialogue) -> Figure:
    """The figure of a `Dialogue`."""
    sheet = Sheet(TOP + TALL + BOTTOM, origin=escape.plain(view.origin or "", 60))
    width = (sheet.width - GAP * (len(view.columns) - 1)) / len(view.columns)
    longest = max([1, *(_end(rows) - rows[0].sent for rows in view.columns if rows)])
    for at, (title, hosts, rows) in enumerate(zip(view.titles, view.hosts, view.columns)):
        left = at * (width + GAP)
        sheet.text(left + 16, 28, sheet.fit(title, width - 32, 12, bold=True), 12, bold=True)
        start = rows[0].sent if rows else 0
        axis = Axis(start, start + longest, TOP + 6, TOP + TALL - 10)  # its "left to right" is our "down"
        for after, words in axis.ticks():
            y = axis.x(start + after)
            sheet.line((left + TICKS + 6, left + width - 8), (y, y), palette.FAINT, 0.7, order=0.5)
            sheet.text(left + TICKS, y + 4, words, 9, palette.SOFT, "right")
        _column(sheet, hosts, rows, left, width, axis.x)
    return sheet.figure


def _end(rows):
    return max(row.arrived or row.sent for row in rows)


def _column(sheet, hosts, rows, left, width, y):
    there = [host for host in hosts if any(host in (row.host, row.other) for row in rows)] or list(hosts[:2])
    first, last = left + TICKS + ASKS, left + width - SAYS
    step = (last - first) / max(len(there) - 1, 1)
    posts = {host: first + index * step for index, host in enumerate(there)}
    for host, x in posts.items():
        sheet.pill(x, 58, host, palette.host_colour(hosts.index(host)), 10, height=22)
        sheet.line((x, x), (72, TOP + TALL), palette.FAINT, 2, order=1)
    taken = {False: [], True: []}  # (height, words) of the labels so far, left and right
    for row in rows:
        x, at = posts.get(row.host, first), y(row.sent)
        colour = palette.host_colour(hosts.index(row.host)) if row.host in hosts else palette.SOFT
        quiet, ink = row.kind == "connection", palette.INK
        if row.kind == "mark":
            sheet.polygon([(x, at - 7), (x + 7, at), (x, at + 7), (x - 7, at)], colour, order=6)
            ink = colour
        elif row.lost:  # it gets half the way
            middle = (x + posts.get(row.other, x)) / 2
            sheet.line((x, middle), (at, at), *((palette.SOFT, 1.1) if quiet else (colour, 1.9)))
            sheet.cross(middle, at)
        else:
            sheet.arrow(x, at, posts.get(row.other, x), y(row.arrived), *((palette.SOFT, 1.1) if quiet else (colour, 1.9)))
        if quiet:
            ink = palette.ALARM if row.words.startswith("resets") else palette.SOFT
        _say(sheet, row, x, at, ink, taken, right=len(there) > 1 and x == last)


def _say(sheet, row, x, at, ink, taken, right):
    """The words, outside the posts and level with the end of the arrow at which they were said."""
    parts = row.words.split("  ")
    words = f"{parts[0][:3]}  {parts[1]}" if row.kind == "response" and len(parts) > 1 else row.words  # the reason is in the text
    words += "  lost" if row.lost else ""
    height = at + 4
    if any(other == words and abs(height - there) < LINE for there, other in taken[right]):
        return  # the same words stand there already
    while any(abs(height - there) < LINE for there, _ in taken[right]):
        height += 1
    taken[right].append((height, words))
    bold, colour = row.kind == "mark", palette.ALARM if row.lost else ink
    words = sheet.fit(words, (SAYS if right else ASKS) - 17, 9.5, bold)
    x, side = (x + 13, "left") if right else (x - 13, "right")
    sheet.text(x, height, words, 9.5, colour, side, bold=bold, ground=palette.PAPER)
