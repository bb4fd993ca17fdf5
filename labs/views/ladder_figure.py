"""How a ladder is drawn: lanes, arrows, labels, and what stands out in the right margin."""

from labs.decode.protocol import known
from labs.tables import count, duration

from . import escape, palette
from .draw import WIDTH, Figure, Sheet
from .ladder import Ladder

__all__ = ["draw"]

ROWS_DRAWN = 120  # a picture is never longer than this, however long the text may be
ROW, BOTTOM = 36, 40  # pixels
LEFT, RIGHT = 250, 250  # where the first lane stands; what lies right of the last
BARE = 90  # what lies there if nothing is told in it, and many hosts share the rest
VISIBLE = 1_000_000  # ns: a longer delay on the wire makes the arrow fall
WARM = "#FCEFEA"  # the band behind a frame that something happened to


def draw(ladder: Ladder) -> Figure:
    """The figure of a `Ladder`."""
    shown = ladder.shown(min(ladder.limit or ROWS_DRAWN, ROWS_DRAWN))
    top = 92 if ladder.title else 62
    long = len(shown) > 18
    height = top + max(len(shown), 2) * ROW + BOTTOM + (30 if long else 0)
    floor = height - BOTTOM
    sheet = Sheet(height, origin=ladder.origin)
    told = any(ladder.told(row) for row in ladder.rows)
    lanes = _lanes(ladder.hosts, LEFT, WIDTH - (BARE if len(ladder.hosts) > 3 and not told else RIGHT))
    if ladder.title:
        sheet.text(16, 28, ladder.title, 12, bold=True)
    _heads(sheet, ladder, lanes, top - 26)
    for x in lanes.values():
        sheet.line((x, x), (top - 14, floor), palette.FAINT, 1.6, order=1)
    if long:
        _heads(sheet, ladder, lanes, floor, legend=False)
    if not shown:
        sheet.text(WIDTH / 2, top + ROW, "No frames were captured.", 11, palette.SOFT, "center", ground=palette.PAPER)
    for place, at in enumerate(shown):
        y = top + place * ROW + 26
        if at is None:
            gap, noun = len(ladder.rows) - (len(shown) - 1), ladder.unit
            sheet.box(0, y - 22, WIDTH, ROW - 6, fill=palette.QUIET, order=1.5)
            middle = sum(lanes.values()) / max(len(lanes), 1)
            sheet.text(middle, y - 3, f"… {count(gap, noun)} not shown …", 10, palette.SOFT, "center")
        else:
            _row(sheet, ladder, at, lanes, y)
    return sheet.figure


def _lanes(hosts, left, right):
    """{host: x}, from left to right."""
    step = (right - left) / max(len(hosts) - 1, 1)
    return {host: left + index * step for index, host in enumerate(hosts)}


def _heads(sheet, ladder, lanes, y, legend=True):
    if legend:
        sheet.text(54 if ladder.unit == "frame" else 70, y + 5, ladder.unit, 9, palette.SOFT, "right")
        if ladder.times:
            sheet.text(134, y + 5, "time", 9, palette.SOFT, "right")
    room = (max(lanes.values(), default=WIDTH) - LEFT) / max(len(lanes) - 1, 1) - 12
    for index, (host, x) in enumerate(lanes.items()):
        sheet.pill(x, y, escape.plain(host, 40), palette.host_colour(index), 11, room=max(room, 50))


def _row(sheet, ladder, at, lanes, y):
    row, frame = ladder.rows[at], ladder.frames[at]
    if ladder.told(row):
        sheet.box(0, y - 24, WIDTH, ROW - 2, fill=WARM, order=0.5)
    sheet.text(54, y - 3, ladder.number(at), 10, palette.SOFT, "right", mono=True)
    if ladder.times:
        sheet.text(134, y - 3, duration(frame.time - ladder.frames[0].time), 9, palette.SOFT, "right", mono=True)
    protocol = known(row.protocol)
    colour = palette.LAYER[protocol.layer] if protocol else palette.FAINT  # a word that no protocol has: no layer's colour
    sheet.box(146, y - 17, 52, 19, fill=colour, radius=4, order=2)
    sheet.text(172, y - 3, row.protocol, 9, palette.ink_on(colour), "center")
    _ports(sheet, ladder, frame, lanes, y)
    aim = lanes.get(ladder.names.host(frame.dst) if frame.dst else None)
    beside = _arrows(sheet, row, lanes, y, aim)
    left = [words for words in ladder.told(row) if not (beside and words in row.fate())]
    if left:
        x = WIDTH - RIGHT + 64
        sheet.text(x, y - 3, sheet.fit("; ".join(left), WIDTH - 12 - x, 10), 10, palette.ALARM)


def _ports(sheet, ladder, frame, lanes, y):
    """The ports, outside the arrow's ends, where the host at that end is the one that the address names."""
    if frame.sport is None:
        return
    names, tail = ladder.names, lanes.get(frame.sender)
    source, target = (lanes.get(names.host(address)) for address in (frame.src, frame.dst))
    heads = [lanes[arrival.receiver] for arrival in frame.arrivals if arrival.receiver in lanes]
    ends = []
    if tail is not None and source == tail:
        ends.append((tail, (heads or [target])[0], frame.src, frame.sport))
    if target in heads:
        ends.append((target, tail, frame.dst, frame.dport))
    for x, other, address, port in ends:
        left = x < other if other is not None else x == min(lanes.values())
        words = ":" + names.port(address, port, frame.protocol)
        sheet.text(x + (-8 if left else 8), y + 4, words, 9, palette.SOFT, "right" if left else "left", mono=True, order=6)


def _arrows(sheet, row, lanes, y, aim=None):
    """Draw the frame's arrows and label at height `y`.  Returns True if its fate could be written beside the arrow's end."""
    frame = row.frame
    index = list(lanes).index(frame.sender) if frame.sender in lanes else None
    colour = palette.SOFT if index is None else palette.host_colour(index)
    tail = lanes.get(frame.sender)
    if tail is None:
        tail = _between(lanes, frame)
    if index is None:
        sheet.box(tail - 4, y - 4, 8, 8, fill=colour, radius=4, order=3)
    width = 2.6 if frame.payload_length else 1.4
    ends = []
    for arrival in frame.arrivals:
        head = lanes.get(arrival.receiver)
        if head is None:
            continue
        copies = ends.count(head)
        low = y + 6 * copies
        falls = 7 if arrival.time - frame.time > VISIBLE else 0
        sheet.arrow(tail, low, head, low + falls, colour, width, dash=(4, 2) if copies else None)
        ends.append(head)
    beside = False
    if not frame.arrivals:
        if aim is None or aim == tail:
            aim = min((x for x in lanes.values() if x != tail), key=lambda x: abs(x - tail), default=tail + 200)
        beside = _stopped(sheet, row, tail, aim, y, colour, width)
        ends = [aim]
    far = max(ends, key=lambda x: abs(x - tail), default=tail + 200)
    _label(sheet, row, tail, far, y - (9 if frame.arrivals else 11), hides_lanes=len(lanes) > 2)
    return beside


def _between(lanes, frame):
    """Where an arrow begins whose sender has no lane: on the wire, beside the first host that received it."""
    xs = sorted(lanes.values()) or [LEFT]
    half = (xs[1] - xs[0]) / 2 if len(xs) > 1 else 100
    head = next((lanes[arrival.receiver] for arrival in frame.arrivals if arrival.receiver in lanes), xs[0])
    return head - half if head > xs[0] else head + half


def _stopped(sheet, row, tail, aim, y, colour, width):
    """An arrow that does not arrive: with a cross midway if the frame was lost, a stub if the wire still holds it."""
    lost, way = bool(row.frame.lost), aim - tail
    end = tail + way * (0.5 if lost else 0.3)
    sheet.arrow(tail, y, end, y, colour, width, head=not lost, dash=None if lost else (3, 2))
    if lost:
        sheet.cross(end, y)
    else:
        sheet.line((end, aim), (y, y), palette.FAINT, 1.2, (2, 4), order=1.6)
    side = 1 if way > 0 else -1
    words = row.fate()[0]
    if sheet.measure(words, 9) > abs(aim - end) - 24:
        return False
    ink, align = palette.ALARM if lost else palette.SOFT, "left" if side > 0 else "right"
    sheet.text(end + side * 14, y + 4, words, 9, ink, align, ground=WARM, order=7)
    return True


def _label(sheet, row, tail, far, y, hides_lanes):
    rest, gap = row.rest.replace("  ", "   "), 12 if row.rest else 0
    colour = palette.ALARM if row.frame.rst else palette.INK
    for size in (10, 9):  # the smaller one where it keeps a long label between two posts
        bold = sheet.measure(row.head, size, bold=True)
        wide = bold + gap + sheet.measure(rest, size)
        if wide < abs(far - tail) - 8:
            break
    x = (tail + far - wide) / 2
    ground = (WARM if row.marks or row.fate() else palette.PAPER) if hides_lanes else None
    sheet.text(x, y, row.head, size, colour, bold=True, ground=ground)
    if rest:
        sheet.text(x + bold + gap, y, rest, size, ground=ground)
