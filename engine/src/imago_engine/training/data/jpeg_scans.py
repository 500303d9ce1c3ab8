"""How often a JPEG goes over its pixels: a scan takes the decoder as long, however few bytes it has."""

SCAN = b"\xff\xda"
"""What each scan begins with."""
_START, _SCAN, _END = b"\xff\xd8", 0xDA, 0xD9
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers that no segment follows."""


def scans_of(content: bytes) -> int:
    """The scans of a JPEG, 0 of anything else. Those of thumbnails in its metadata are none of its own."""
    if not content.startswith(_START):
        return 0
    scans, at = 0, 2
    # As decoders do, whatever is no marker is passed over: the picture's data, in which 0 follows 0xFF.
    while (at := content.find(b"\xff", at)) >= 0:
        while content[at : at + 1] == b"\xff":
            at += 1
        marker = content[at] if at < len(content) else _END
        at += 1
        if marker == _END:
            break
        if marker == 0 or marker in _ALONE:
            continue
        scans += marker == _SCAN
        at += max(2, int.from_bytes(content[at : at + 2], "big"))
    return scans
