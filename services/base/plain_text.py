"""Text that PostgreSQL can hold, text that people see as it is, and messages that anyone may read."""

import re

VISIBLE = r"^[^\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]+$"
"""What a name for people may be: nothing that controls, is not seen, or turns the text around, so that no two
names look the same or stand in another order than they are written in."""

LONGEST_LABEL = 200
_CONTROLLING = re.compile(r"[\x00-\x1f\x7f]+")
# Neither addresses of the web nor of this service; in quotes folders may have blanks.
_QUOTED_PATH = re.compile(r"""(?P<before>['"])/(?!v1/)(?:[^'"\n]*/)?(?P<name>[^'"\n/]+)/?(?=['"])""")
_NAME = r"""[^\s'"`:,;()/]+"""
_PATH = re.compile(
    rf"""(?P<before>^|[\s('"=:,])(?<!https:)(?<!http:)/(?!v1/)(?:{_NAME}/)+(?P<name>{_NAME})/?"""
)


def label(name: str) -> str:
    """The name of a class as it is kept: on one line, and of a length that can be shown. Sources call classes
    whatever they like."""
    return _CONTROLLING.sub(" ", name)[:LONGEST_LABEL]


def told(message: str) -> str:
    """What a worker says of an error, as anyone may read it: of a path of its machine the last name alone.

    Messages of third-party code may quote anything, and are to be read all the same: their NULs and lone
    surrogates, which no database holds, are shown as escapes.
    """
    for path in (_QUOTED_PATH, _PATH):
        message = path.sub(r"\g<before>\g<name>", message)
    return message.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
