"""Draw the strips that stand over what rests on a recording: `python tests/strips.py`.

They are kept as files, because a machine that replays a recording should not have to load matplotlib to say so.
"""

from pathlib import Path

from matplotlib.figure import Figure

from labs.lessons import replay

WIDTH, HEIGHT = replay.STRIP_SIZE["width"], replay.STRIP_SIZE["height"]

for name, words in replay.STRIPS.items():  # a hollow dot and the words: light ground and dark text, for light and dark pages
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), facecolor="#f3f0e6")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.set_axis_off()
    axes.plot([11], [HEIGHT / 2], "o", markersize=6.5, markerfacecolor="none", markeredgecolor="#8a5a00", markeredgewidth=1.6)
    axes.text(21, HEIGHT / 2 + 0.2, words, va="center", fontsize=11, color="#3d3520", family="DejaVu Sans")
    file = Path(replay.__file__).with_name(f"{name}.png")
    figure.savefig(file, format="png", dpi=144, facecolor=figure.get_facecolor(), metadata={"Software": None})
