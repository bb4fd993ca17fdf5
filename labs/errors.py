"""The error of the lab itself.  What a kernel says stays what Python makes of it: an OSError, with its number."""

__all__ = ["LabError"]


class LabError(RuntimeError):
    """The lab cannot do what was asked; the message says what was expected, what came and what to do."""
