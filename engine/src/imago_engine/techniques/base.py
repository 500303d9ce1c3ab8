"""What a technique is: a way to make pictures, with parameters of its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, get_args

from pydantic import Field, ValidationError

from imago_engine.artifacts import ArtifactKind
from imago_engine.validation import Strict, problems


class Need(StrEnum):
    """What a technique cannot do without."""

    GENERATOR = "generator"
    """A generator: pictures are made of codes."""
    PRIOR = "prior"
    """What real codes are like: a generator whose file has directions and prototypes."""
    START_IMAGE = "start_image"
    """A picture to begin from."""


class RecipeError(ValueError):
    """A technique or a parameter that is not accepted; the message names it and what would be."""


class AddedLater:
    """Marks a parameter that joined a technique whose pictures were named without it.

    It is left out of the canonical JSON while it has its default, so that these names stay; the default must
    therefore mean what the technique did before, unless its version is raised with it, and never change.
    """


added_later = AddedLater()


@dataclass(frozen=True)
class Requires:
    """Marks a parameter some of whose values need something that not every generator has."""

    need: Need
    values: tuple[str, ...]


@dataclass(frozen=True)
class Unmet:
    """A parameter's value that needs what is not there; `accepted` are the values that do not."""

    parameter: str
    value: str
    need: Need
    accepted: tuple[str, ...]


Steps = Annotated[int, Field(ge=1, le=2000, description="Steps of the ascent")]
SMALLEST_INPUT, LARGEST_INPUT = 8, 1024
InputSize = Annotated[
    int | None,
    Field(
        ge=SMALLEST_INPUT,
        le=LARGEST_INPUT,
        description="Side of the network's input in pixels; by default the network's own",
    ),
]


class BaseParameters(Strict):
    """The parameters of a technique. Each is annotated with its type, range, default and description; the
    docstring of a subclass describes its technique to users.
    """

    steps: Steps = 200
    input_size: InputSize = None


@dataclass(frozen=True)
class Technique:
    """One way to make pictures.

    `version` is a whole number as text, raised by hand when this technique's pictures change, and only then:
    the digests of all its pictures change with it. `needs` is what it never does without; `Requires` marks
    parameters that need more. `artifacts` are what it makes of each spec.
    """

    id: str
    version: str
    Parameters: type[BaseParameters]
    needs: frozenset[Need]
    artifacts: tuple[ArtifactKind, ...]

    @property
    def description(self) -> str:
        """For people: the docstring of its parameters."""
        return (self.Parameters.__doc__ or "").strip()

    def settled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter as a plain JSON value, checked; what is left out has its default.

        Raises pydantic's `ValidationError`.
        """
        settled = self.Parameters(**values).model_dump()
        return {name: _one_zero(value) for name, value in settled.items()}

    def parameters(self, values: Mapping[str, Any]) -> BaseParameters:
        """The same as the technique's own model, for the engine. Raises `RecipeError`."""
        try:
            return self.Parameters(**values)
        except ValidationError as error:
            steps, message = next(problems(error, known=self.Parameters.model_fields))
            raise RecipeError(f"{'.'.join(map(str, steps))}: {message}") from error

    def canonical(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The settled parameters as they are hashed: without what was added later and has its default."""
        fields = self.Parameters.model_fields
        return {
            name: value
            for name, value in parameters.items()
            if not (
                name in fields
                and any(isinstance(mark, AddedLater) for mark in fields[name].metadata)
                and value == fields[name].default
            )
        }

    def unmet(self, parameters: Mapping[str, Any], available: Iterable[Need]) -> Sequence[Unmet]:
        """Parameters with values that need something which is not available."""
        there = set(available)
        found = []
        for name, field in self.Parameters.model_fields.items():
            for mark in field.metadata:
                value = parameters.get(name)
                if isinstance(mark, Requires) and mark.need not in there and value in mark.values:
                    accepted = [v for v in get_args(field.annotation) if v not in mark.values]
                    found.append(Unmet(name, str(value), mark.need, tuple(accepted)))
        return found


def _one_zero(value: object) -> object:
    """0.0 and -0.0 are one value with two spellings."""
    return abs(value) if isinstance(value, float) and value == 0 else value
