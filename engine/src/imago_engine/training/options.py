"""Reading options of a training, with one error for all that may be wrong with them. Loads no torch."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from imago_engine.validation import problems

Options = TypeVar("Options", bound=BaseModel)


class OptionsError(ValueError):
    """Options of a training that do not fit each other or its data; the message names them."""


def flag(name: str) -> str:
    """`--layout-weight` of `layout_weight`."""
    return f"--{name.replace('_', '-')}"


def read_options(
    model: type[Options], facts: Mapping[str, Any], named: Callable[[str], str] = flag
) -> Options:
    """Options of a command line or a checkpoint, checked; those that are missing, as they came later or were
    not given, have their defaults. Raises OptionsError, which names the first that is wrong.
    """
    try:
        return model.model_validate(facts)
    except ValidationError as error:
        raise options_error(error, model, named) from error


def options_error(
    error: ValidationError, model: type[BaseModel], named: Callable[[str], str] = flag
) -> OptionsError:
    """What is wrong with the first option that is; `named` gives the option of a field."""
    steps, message = next(problems(error, known=model.model_fields))
    if not steps:
        return OptionsError(message)
    names = [step for step in steps if isinstance(step, str)]
    where = "".join(f"[{step}]" for step in steps if isinstance(step, int))
    return OptionsError(f"{named(names[-1])}{where}: {message}")
