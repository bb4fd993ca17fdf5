"""What every view is: a picture, the same thing as text, and one sentence that says what it shows.

The text is what tests compare and what a screen reader or a terminal gives; it holds no clock times and no random numbers, the
picture may.  The sentence stands under the picture, because front ends drop the alternative text of an image.
"""

import os
from base64 import b64encode
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Self

from labs.tables import count

from . import escape
from .draw import DPI, Figure

__all__ = ["Noted", "View", "count"]


class View:
    """Base of all views.  A subclass gives `text`, `summary()` and `figure()`.

    `origin` says what the picture shows ("live, tap", "recorded"): small in the figure's corner, never in the text.
    `missed` counts frames that the link lost or the capture could not keep; the sentence tells it.

    Drawing takes most of the time of many a cell.  LABS_PICTURES=0 in the environment leaves text and sentence alone.
    """

    origin = ""
    missed = 0

    @property
    def text(self) -> str:
        """The same thing in words; a subclass gives it."""
        return ""

    empty = "Nothing was measured."  # what a chart without data says

    def __init__(self, title: str | None = None, origin: str = ""):
        self.title, self.origin = title and escape.plain(title, 120), origin

    def page(self, lines: list[str]) -> str:
        """The lines as one text, below the title if there is one."""
        return "\n".join([self.title, "", *lines] if self.title else lines)

    def summary(self) -> str:
        """One sentence that says what the view shows, computed from the frames."""
        raise NotImplementedError(f"{type(self).__name__} has to define summary()")

    def figure(self) -> Figure:
        """A new matplotlib Figure."""
        raise NotImplementedError(f"{type(self).__name__} has to define figure()")

    @property
    def sentence(self) -> str:
        """The summary, and how many frames the capture missed, if any."""
        if not self.missed:
            return self.summary()
        return f"{self.summary()} The capture missed {count(self.missed, 'frame')}, so this is not everything that was sent."

    def png(self) -> bytes:
        """The picture as the bytes of a PNG: opaque, at most 1100 pixels wide."""
        out = BytesIO()
        figure = self.figure()
        figure.savefig(out, format="png", dpi=DPI, facecolor="white", transparent=False, pil_kwargs={"compress_level": 4})
        return out.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the picture to `path` (PNG)."""
        Path(path).write_bytes(self.png())

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _ipython_display_(self) -> None:
        from IPython.display import display

        wanted = os.environ.get("LABS_PICTURES") != "0"
        picture = {"image/png": b64encode(self.png()).decode()} if wanted else {}
        display({**picture, "text/plain": self.text}, raw=True)
        display({"text/markdown": escape.markdown(self.sentence), "text/plain": self.sentence}, raw=True)


class Noted(View):
    """A view that is filled by hand, bit by bit, and can be written down: a recording keeps it.

    `kept` names the attributes that make it up; a subclass can be made without arguments.
    """

    kept: tuple[str, ...] = ()

    def to_record(self) -> dict:
        """Everything as plain data for JSON."""
        return {name: deepcopy(getattr(self, name)) for name in self.kept}

    @classmethod
    def from_record(cls, record: dict, origin: str = "recorded") -> Self:
        """The view that `to_record` described."""
        if not isinstance(record, dict) or set(record) != set(cls.kept):
            raise ValueError(f"expected a record as {cls.__name__}.to_record() gives it, got {type(record).__name__}")
        view = cls(origin=origin)
        vars(view).update(deepcopy(record))
        return view
