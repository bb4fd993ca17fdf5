"""Pictures of packets that are also texts.  Importing this room is cheap: the first picture loads matplotlib."""

from .bars import Bars
from .bytemap import ByteMap
from .dialogue import Dialogue
from .dots import Dots
from .gauge import Gauge
from .ladder import Ladder, one_line
from .lanes import Lanes
from .layers import Layers
from .names import Names
from .states import States
from .tradeoff import Tradeoff
from .view import View

__all__ = [
    "Bars", "ByteMap", "Dialogue", "Dots", "Gauge", "Ladder", "Lanes", "Layers", "Names", "States", "Tradeoff", "View",
    "one_line",
]  # fmt: skip
