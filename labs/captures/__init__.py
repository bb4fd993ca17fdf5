"""The captures room: frames, captures and their files, and the conversations that lie in them.

cap = labs.Capture.load("x.pcapng")
labs.streams(cap)                          its TCP streams, put together from the segments
"""

from labs.rooms import at_first_use

__all__, __getattr__, __dir__ = at_first_use(
    __name__,
    {
        "Arrival": "labs.captures.frame",
        "Capture": "labs.captures.capture",
        "CapturedFrame": "labs.captures.capture",
        "Frame": "labs.captures.frame",
        "streams": "labs.captures.stream",
    },
)
