"""The first line of every notebook: which chapter this is, and which link carries its network on this machine."""

import difflib
import os

__all__ = ["CHAPTERS", "chapter", "known"]

CHAPTERS = (
    "00-start-here", "01-push-model", "02-polling", "03-server-sent-events", "04-publish-subscribe",
    "05-multiplexing-vs-demultiplexing", "06-stateless-vs-stateful", "07-sidecar-pattern", "08-introduction-to-protocols",
    "09-osi-model", "10-internet-protocol", "11-http-1-1", "12-websockets", "13-http-2", "14-why-do-we-need-certificates",
    "15-ssl", "16-tls", "17-process-vs-thread", "18-how-the-backend-accepts-connections", "19-reading-and-sending-data",
    "20-listener-acceptor-reader", "21-single-listener-single-worker", "22-single-listener-multiple-workers",
    "23-layer-7-load-balancing", "24-tcp-connection",
)  # fmt: skip


def chapter(slug: str) -> None:
    """Begin a chapter: decide its link, arm the recording machinery if it is needed, print one line.

    The line reads "24-tcp-connection · link: tap · …"; the tests mask what stands behind "link:", because it is the one
    thing that differs from machine to machine.
    """
    known(slug)
    from labs.lessons import replay  # late: most that import labs need none of it
    from labs.network import links

    link = links.named(links.choose())

    shows = link.shows
    if not replay.begin(slug, link.whole, link.live) and not link.live:
        shows = "no live network here, and no recording of this chapter"
    if link.whole and os.environ.get("LABS_RECORD"):
        from labs.lessons import recorder

        recorder.begin(slug, link.name, os.environ["LABS_RECORD"])
    print(f"{slug} · link: {link.name} · {shows}")


def known(slug: str) -> None:
    """ValueError for what is no chapter, with the one that was perhaps meant."""
    if slug not in CHAPTERS:
        near = difflib.get_close_matches(str(slug), CHAPTERS, n=1, cutoff=0.4)
        raise ValueError(f"no chapter is called {slug!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
