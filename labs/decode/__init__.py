"""Bytes of a frame → named fields, each with its place in the frame.  Pure: no sockets, no pictures.

`peel` explains one frame, layer by layer; `Headers` reads the few values that a list of thousands of frames needs.
"""

from labs.decode.fields import DecodeError, Field, Layer
from labs.decode.headers import Headers, flag_names
from labs.decode.peel import peel, peel_application

__all__ = ["DecodeError", "Field", "Headers", "Layer", "flag_names", "peel", "peel_application"]
