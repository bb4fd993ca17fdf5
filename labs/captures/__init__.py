"""The captures room: frames, captures and their files, and the conversations that lie in them.

cap = labs.Capture.load("x.pcapng")
labs.streams(cap)                          its TCP streams, put together from the segments
cap.ladder(say=labs.captures.said(cap))    a ladder of what the applications said, instead of segments
"""

from labs.rooms import at_first_use

__all__, __getattr__, __dir__ = at_first_use(
    __name__,
    {
        "Arrival": "labs.captures.frame",
        "Capture": "labs.captures.capture",
        "CapturedFrame": "labs.captures.capture",
        "Frame": "labs.captures.frame",
        "said": "labs.captures.stream",
        "streams": "labs.captures.stream",
    },
)
