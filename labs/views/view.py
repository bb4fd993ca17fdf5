"""What every view is: a picture, the same thing as text, and one sentence that says what it shows.

The text is what tests compare and what a screen reader or a terminal gives; it holds no clock times and no random numbers, the
picture may.  The sentence stands under the picture, because front ends drop the alternative text of an image.
"""

import os
from base64 import b64encode
from io import BytesIO

from . import escape
from .draw import DPI

__all__ = ["View", "count"]


def count(number, noun, plural=None):
    """ "1 frame", "2 frames", "1,200 bytes"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


class View:
    """Base of all views.  A subclass gives `text`, `summary()` and `figure()`.

    `origin` says what the picture shows ("live, tap", "recorded"): small in the figure's corner, never in the text.
    `missed` counts frames that the link lost or the capture could not keep; the sentence tells it.
    """

    origin = ""
    missed = 0
    text = ""

    def summary(self):
        """One sentence that says what the view shows, computed from the frames."""
        raise NotImplementedError(f"{type(self).__name__} has to define summary()")

    def figure(self):
        """A new matplotlib Figure."""
        raise NotImplementedError(f"{type(self).__name__} has to define figure()")

    @property
    def sentence(self):
        """The summary, and how many frames the capture missed, if any."""
        if not self.missed:
            return self.summary()
        return f"{self.summary()} The capture missed {count(self.missed, 'frame')}, so this is not everything that was sent."

    def png(self):
        """The picture as the bytes of a PNG: opaque, at most 1100 pixels wide."""
        out = BytesIO()
        figure = self.figure()
        figure.savefig(out, format="png", dpi=DPI, facecolor="white", transparent=False, pil_kwargs={"compress_level": 4})
        return out.getvalue()

    def save(self, path):
        """Write the picture to `path` (PNG)."""
        with open(path, "wb") as file:
            file.write(self.png())

    def __str__(self):
        return self.text

    __repr__ = __str__

    def _ipython_display_(self):
        from IPython.display import display

        # LABS_PICTURES=0: texts alone, for runs that compare them; drawing takes longer than all the rest of a chapter's run
        picture = {} if os.environ.get("LABS_PICTURES") == "0" else {"image/png": b64encode(self.png()).decode()}
        display(picture | {"text/plain": self.text}, raw=True)
        display({"text/markdown": escape.markdown(self.sentence), "text/plain": self.sentence}, raw=True)
