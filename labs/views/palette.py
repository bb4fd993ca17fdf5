"""The colours of the course: one per layer, one per host, the same in every chapter.

Both families come from Okabe and Ito's palette, which stays distinct under the common forms of colour blindness.  Layers are
light areas that carry dark text; hosts are dark strokes and pills that carry white text: a layer is never taken for a host,
and every text on a colour has a contrast of at least 4.5 : 1 (WCAG 2.1, level AA).
"""

__all__ = ["LAYER", "LAYER_NAME", "HOSTS", "INK", "SOFT", "FAINT", "PAPER", "ALARM", "QUIET", "host_colour", "ink_on", "tint"]

LAYER = {
    2: "#F0E442",  # yellow: link (Ethernet, ARP)
    3: "#F5B942",  # orange, lightened: network (IPv4, IPv6, ICMP)
    4: "#7CC4EE",  # sky blue, lightened: transport (TCP, UDP)
    5: "#C9C9C9",  # grey: session, where a protocol has one
    6: "#DE9CC0",  # reddish purple, lightened: presentation (TLS)
    7: "#5CC2A0",  # bluish green, lightened: application (HTTP)
}
LAYER_NAME = {2: "link", 3: "network", 4: "transport", 5: "session", 6: "presentation", 7: "application"}

HOSTS = (
    "#0072B2",  # blue
    "#B84A00",  # vermillion, darkened until white text on it is legible
    "#00694C",  # bluish green, darkened
    "#8A3A6B",  # reddish purple, darkened
    "#6B5B00",  # yellow, darkened to olive
    "#4A4A4A",  # Okabe and Ito's black, softened
)

INK = "#1A1A1A"  # text and thin lines
SOFT = "#5F5F5F"  # text of second rank; 6.3 : 1 on white
FAINT = "#D4D4D4"  # lanes, rules, frames of tables
PAPER = "#FFFFFF"  # every figure has its own white ground, so it reads in dark surroundings too
ALARM = "#C00000"  # lost, reset, zero window: always with a word or a sign beside it, never colour alone
QUIET = "#F4F4F4"  # bands behind rows


def host_colour(index: int) -> str:
    """The colour of the host that stands at `index` in the network's order; it repeats after six."""
    return HOSTS[index % len(HOSTS)]


def ink_on(colour: str) -> str:
    """Black or white: the text colour with more contrast on `colour` ("#RRGGBB"), by WCAG's relative luminance."""
    parts = [part / 255 for part in bytes.fromhex(colour[1:])]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return INK if (luminance + 0.05) ** 2 > 0.05 * 1.05 else PAPER


def tint(colour: str, part: float = 0.28) -> str:
    """`colour` thinned with white, for what a layer carries."""
    return "#" + bytes(round(255 + (value - 255) * part) for value in bytes.fromhex(colour[1:])).hex()
