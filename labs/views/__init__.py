"""The views room: pictures of packets and measurements that are also texts.  The first picture loads matplotlib."""

from labs.rooms import at_first_use

__all__, __getattr__, __dir__ = at_first_use(
    __name__,
    {
        "Bars": "labs.views.bars",
        "ByteMap": "labs.views.bytemap",
        "Dialogue": "labs.views.dialogue",
        "Dots": "labs.views.dots",
        "Flights": "labs.views.handshakes",
        "Gauge": "labs.views.gauge",
        "Ladder": "labs.views.ladder",
        "Lanes": "labs.views.lanes",
        "Layers": "labs.views.layers",
        "Names": "labs.views.names",
        "States": "labs.views.states",
        "Tradeoff": "labs.views.tradeoff",
        "View": "labs.views.view",
        "one_line": "labs.views.ladder",
        "palette": "labs.views.palette",
        "tls": "labs.views.tls_connection",
    },
)
