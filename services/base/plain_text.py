"""Text that PostgreSQL can hold."""


def storable(text: str) -> str:
    """The text with its NULs and lone surrogates shown as escapes: messages of third-party code may quote
    anything, and are to be read all the same."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
