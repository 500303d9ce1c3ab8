"""Text that PostgreSQL can hold, and text that people see as it is."""

import re

VISIBLE = r"^[^\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]+$"
"""What a name for people may be: nothing that controls, is not seen, or turns the text around, so that no two
names look the same or stand in another order than they are written in."""

LONGEST_LABEL = 200
_CONTROLLING = re.compile(r"[\x00-\x1f\x7f]+")


def label(name: str) -> str:
    """The name of a class as it is kept: on one line, and of a length that can be shown. Sources call classes
    whatever they like."""
    return _CONTROLLING.sub(" ", name)[:LONGEST_LABEL]


def storable(text: str) -> str:
    """The text with its NULs and lone surrogates shown as escapes: messages of third-party code may quote
    anything, and are to be read all the same."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
