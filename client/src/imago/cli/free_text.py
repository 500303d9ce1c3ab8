"""Put text of any length, with any line breaks, on one line of the terminal."""


def one_line(text: str) -> str:
    """The text without line breaks."""
    return " ".join(text.split())


def shortened(text: str, width: int) -> str:
    """The text on one line of at most `width` characters; what is left out stands as `…`."""
    line = one_line(text)
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"
