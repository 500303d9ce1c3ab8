"""What `imago networks add` states of a network, out of files and texts."""

import json
from pathlib import Path

import typer


def read_names(path: Path) -> list[str]:
    """The names in a file: a JSON list, or one a line (empty lines at the end are none)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}", param_hint="--labels") from None
    if text.lstrip().startswith("["):
        try:
            names = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise typer.BadParameter(f"{path} is no JSON list: {error}", param_hint="--labels") from None
        if not all(isinstance(name, str) for name in names):
            raise typer.BadParameter(f"{path} holds more than strings", param_hint="--labels")
        return list(names)
    return text.rstrip().splitlines()


def three_numbers(text: str, option: str) -> list[float]:
    """`0.485,0.456,0.406`, for red, green and blue."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise typer.BadParameter(
            f"expected three numbers such as 0.5,0.5,0.5; got {text!r}", param_hint=option
        )
    return numbers
