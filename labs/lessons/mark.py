"""Draws recorded.png, the strip that stands over what a recorded cell shows: `python -m labs.lessons.mark`.

It is kept as a file because a machine that replays a recording should not have to load matplotlib to say so.
"""

from labs.lessons.replay import MARK, MARK_SIZE

__all__ = ["draw"]


def draw(path=MARK):
    """A filled dot's hollow brother and the words: light ground and dark text, legible on light and dark pages."""
    from matplotlib.figure import Figure

    width, height = MARK_SIZE["width"], MARK_SIZE["height"]
    figure = Figure(figsize=(width / 72, height / 72), facecolor="#f3f0e6")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    axes.plot([11], [height / 2], "o", markersize=6.5, markerfacecolor="none", markeredgecolor="#8a5a00", markeredgewidth=1.6)
    axes.text(21, height / 2 + 0.2, "recorded, not run here", va="center", fontsize=11, color="#3d3520", family="DejaVu Sans")
    figure.savefig(path, format="png", dpi=144, facecolor=figure.get_facecolor(), metadata={"Software": None})


if __name__ == "__main__":
    draw()
