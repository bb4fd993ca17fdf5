"""Pictures of packets that are also texts.  Importing this room is cheap: matplotlib is loaded when the first picture is drawn."""

from .ladder import Ladder
from .names import Names
from .view import View

__all__ = ["Ladder", "Names", "View"]
