"""Operations of the API: what a view declares about itself, and the blueprint that collects it.

A view takes the parts of its request that it needs, each as the pydantic model that it annotates:
`header`, `path`, `query` and `body`. They are read and validated before it runs; the OpenAPI document is
made of the same models, so that the two cannot differ.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast, get_type_hints

from flask import Blueprint, Response
from pydantic import BaseModel

from api.http.negotiation import check_acceptable
from api.operations.reading import PARTS, read
from api.problems.field_errors import Part

View = TypeVar("View", bound=Callable[..., Any])
Responses = Mapping[int, type[BaseModel] | Mapping[str, Any]]
"""By status: the model of a JSON answer, or an OpenAPI response object for any other."""

_ATTRIBUTE = "imago_operation"


@dataclass(frozen=True)
class Tag:
    """A group of operations in the document."""

    name: str
    description: str


@dataclass(frozen=True)
class Operation:
    """One method of one path. The first line of the view's docstring is its summary, the rest its
    description.
    """

    view: Callable[..., Response]
    tag: Tag
    responses: Responses
    models: Mapping[Part, type[BaseModel]] = field(default_factory=dict)
    may_be_unchanged: bool = True
    """Whether a GET is answered with 304 to whoever has the answer already."""

    @property
    def name(self) -> str:
        """What clients that are made from the document call it."""
        return self.view.__name__

    @property
    def media_types(self) -> frozenset[str]:
        """What a success is answered with."""
        served: set[str] = set()
        for status, answer in self.responses.items():
            if 200 <= status < 300:
                served.update(["application/json"] if isinstance(answer, type) else answer.get("content", ()))
        return frozenset(served)

    @property
    def texts(self) -> tuple[str, str]:
        """Summary and description."""
        first, _, rest = (inspect.getdoc(self.view) or "").partition("\n")
        return first.strip(), " ".join(rest.split())


class ApiBlueprint(Blueprint):
    """A blueprint whose views are operations: `@blueprint.get("/<id>", responses={200: Model})`."""

    def __init__(self, name: str, import_name: str, *, url_prefix: str, tag: Tag) -> None:
        super().__init__(name, import_name, url_prefix=url_prefix)
        self._tag = tag

    def route(
        self,
        rule: str,
        *,
        responses: Responses | None = None,
        tag: Tag | None = None,
        may_be_unchanged: bool = True,
        **options: Any,
    ) -> Callable[[View], View]:
        """Declare an operation. `get`, `post` and the like come here.

        `tag`: if it is not the blueprint's. `may_be_unchanged`: as in `Operation`.
        """

        def declare(view: View) -> View:
            hints = get_type_hints(inspect.unwrap(view))
            models = {part: hints[part] for part in PARTS if part in hints}
            operation = Operation(view, tag or self._tag, responses or {}, models, may_be_unchanged)
            offered = operation.media_types

            @wraps(view)
            def answer(**segments: Any) -> Response:
                check_acceptable(offered)
                return cast(Response, view(**read(models, segments)))

            setattr(answer, _ATTRIBUTE, operation)
            self.add_url_rule(rule, options.pop("endpoint", None), answer, **options)
            return cast(View, answer)

        return declare


def operation_of(view: Callable[..., object]) -> Operation | None:
    """The operation that a view function is, None for a page and the like."""
    return getattr(view, _ATTRIBUTE, None)
