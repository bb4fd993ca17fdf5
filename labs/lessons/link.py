"""Which link carries this chapter's network, and what to say about it."""

__all__ = ["SHOWS", "decide"]

SHOWS = {
    "tap": "two real TCP/IP stacks, every frame passes the lab's cable",
    "veth": "two real TCP/IP stacks, captured at both ends of a kernel cable",
    "recording": "no live network here; live cells are recordings, marked so",
}


def decide():
    """ "tap", "veth" or "recording": the best that works here; the environment variable LABS_LINK forces one."""
    from labs.network import links  # late: a lesson that needs no network must not pay for one

    return links.choose()
