"""The option of each field of a job: its name, its type and its help come from the field itself."""

import argparse
import datetime
import json
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime
from pydantic.fields import FieldInfo

from imago_engine.training import options
from imago_engine.training_jobs import Place

_FLAGS = {
    "folder": "--run",
    "network": "--encoder",
    "layer": "--encoder-layer",
    "input_size": "--encoder-size",
    "grid": "--encoder-grid",
    "largest_picture_mib": "--largest-picture",
    "largest_archive_gib": "--largest-archive",
    "checkpoint_seconds": "--checkpoint-every",
    "sample_seconds": "--sample-every",
    "log_seconds": "--log-every",
}
"""Fields whose option has another name than they have."""


def flag(field: str) -> str:
    """E.g. `--encoder-grid` of `grid`, `--layout-weight` of `layout_weight`."""
    return _FLAGS.get(field, options.flag(field))


def add_option(
    parser: argparse.ArgumentParser, name: str, field: FieldInfo, *, default: str = "", **changes: Any
) -> None:
    """An option for a field. What is not given is not in the namespace: the job's own default counts.

    `default` is what help says of it where the field's own default does not; `changes` go to argparse.
    """
    text = described(field)
    if not default and not field.is_required() and field.default not in (None, False):
        default = f"{field.default}"
    if default and "; default: " not in text:
        text += f"; default: {default}"
    parser.add_argument(
        flag(name),
        dest=name,
        default=argparse.SUPPRESS,
        help=text,
        **{"required": field.is_required(), **_argument_type(field.annotation), **changes},
    )


def described(field: FieldInfo) -> str:
    """A field's description as help has it: null of JSON is what is not given."""
    text = (field.description or "").replace("; null for ", "; default: ").replace("%", "%%")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _argument_type(annotation: Any) -> dict[str, Any]:
    kind = _plain(annotation)
    if get_origin(kind) is list:
        return {"type": _plain(get_args(kind)[0]), "nargs": "+"}
    if get_origin(kind) is Literal:
        accepted = get_args(kind)
        return {"choices": accepted} if isinstance(accepted[0], str) else {"type": type(accepted[0])}
    if get_origin(kind) is dict:
        return {"type": json.loads}
    if kind is bool:
        return {"action": "store_true"}
    return {"type": {Place: Path, AwareDatetime: _deadline}.get(kind, kind)}


def _plain(annotation: Any) -> Any:
    """Without None and without what `Annotated` adds."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _plain(next(kind for kind in get_args(annotation) if kind is not type(None)))
    return annotation


def _deadline(text: str) -> datetime.datetime:
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO 8601 time, such as 2027-01-31T19:25") from error
    return when if when.tzinfo else when.replace(tzinfo=datetime.UTC)
