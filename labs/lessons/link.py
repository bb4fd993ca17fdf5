"""Which link carries this chapter's network, and what to say about it."""

__all__ = ["SHOWS", "decide"]

SHOWS = {
    "tap": "two real TCP/IP stacks, every frame passes the lab's cable",
    "veth": "two real TCP/IP stacks, captured at both ends of a kernel cable",
    "loopback": "your programs' bytes are live, layers 2 to 4 redrawn; cap.on_loopback has the frames of lo itself",
    "relay": "your programs' bytes are live, layers 2 to 4 redrawn; what needs more is recorded, marked so",
    "recording": "no live network here; live cells are recordings, marked so",
}


def decide():
    """One of LINKS: the best that works here; the environment variable LABS_LINK forces one."""
    from labs.network import links  # late: a lesson that needs no network must not pay for one

    return links.choose()
