"""Pictures of packets that are also texts.  Importing this room is cheap: the first picture loads matplotlib."""

from .bytemap import ByteMap
from .gauge import Gauge
from .ladder import Ladder, one_line
from .lanes import Lanes
from .layers import Layers
from .names import Names
from .states import States
from .view import View

__all__ = ["ByteMap", "Gauge", "Ladder", "Lanes", "Layers", "Names", "States", "View", "one_line"]
