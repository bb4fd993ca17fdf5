"""Pictures of packets that are also texts.  Importing this room is cheap: the first picture loads matplotlib."""

from .bytemap import ByteMap
from .ladder import Ladder, one_line
from .layers import Layers
from .names import Names
from .states import States
from .view import View

__all__ = ["ByteMap", "Ladder", "Layers", "Names", "States", "View", "one_line"]
