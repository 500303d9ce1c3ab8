"""Operations of the API. A view declares once who may call it, what it reads and what it answers:

    @blueprint.operation("GET", "/<job>", scope="read", responses={200: Job})
    def get_job(session: Session, path: JobPath, query: NoQuery) -> Job:

Checking the key and the request, the transaction, the rendering and the OpenAPI document follow from that.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from http import HTTPStatus
from typing import Any, Literal, TypeVar, cast, get_type_hints

from flask import Blueprint, Response
from pydantic import BaseModel

from api.auth import Scope, requires
from api.context import context
from api.http.caching import REVALIDATE, Freshness, conditional
from api.http.negotiation import check_acceptable
from api.http.objects import StoredObject, object_response
from api.http.rendering import LINES, json_response, lines_response, removed
from api.operations.answers import Answer, Document, Lines, Result
from api.operations.download import Download, download_response
from api.operations.pagination import shown_page
from api.operations.reading import PARTS, read
from api.problems import problem_types
from api.problems.field_errors import Part
from api.problems.problem_types import ProblemType
from api.streams.event import MEDIA_TYPE as EVENTS
from services.base.paging import Page

View = TypeVar("View", bound=Callable[..., Result])
Method = Literal["GET", "POST", "DELETE"]
Responses = Mapping[int, type[BaseModel] | Mapping[str, Any]]
"""By status: the model of a JSON answer, or an OpenAPI response object for any other."""

REMOVED: Responses = {204: {"description": "It is removed."}}
_ATTRIBUTE = "imago_operation"
_NAMES = {"network", "generator", "atlas", "a", "b"}
"""Parameters of a query that name what may not be there."""


def stored(media_type: str, description: str, *, also: Iterable[str] = (), text: bool = False) -> Responses:
    """The responses of a view that returns a `StoredObject`, which says its own media type where there are
    several."""
    schema = {"type": "string"} if text else {"type": "string", "format": "binary"}
    return {
        200: {
            "description": description,
            "content": {served: {"schema": schema} for served in (media_type, *also)},
        },
        302: {"description": "The bytes are at `Location`, for some minutes."},
    }


def downloaded(media_type: str, description: str) -> Responses:
    """The responses of a view that returns a `Download`."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {
        200: {"description": description, "content": content},
        206: {"description": "The part that `Range` asks for.", "content": content},
    }


@dataclass(frozen=True)
class Tag:
    """A group of operations in the document."""

    name: str
    description: str


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    view: Callable[..., Result]
    """The first line of its docstring is the summary, the rest the description."""
    method: Method
    tag: Tag
    scope: Scope
    """What the key must have that asks."""
    responses: Responses
    freshness: Freshness
    """How long the answer to a GET may be kept; secrets are never kept, whatever the method."""
    example: Any
    """A body that it takes, None where it takes none."""
    has_lines: bool
    """Whether a list is also served as JSON lines, for `Accept: application/x-ndjson`."""
    models: Mapping[Part, type[BaseModel]] = field(default_factory=dict)
    """What it reads of a request."""

    @property
    def name(self) -> str:
        """What clients that are made from the document call it."""
        return self.view.__name__

    @property
    def may_be_unchanged(self) -> bool:
        """Whether it is answered with 304 to whoever has the answer already."""
        return self.method == "GET" and not self.freshness.is_secret

    @property
    def is_download(self) -> bool:
        """Whether parts of its answer can be asked for."""
        return HTTPStatus.PARTIAL_CONTENT in self.responses

    @cached_property
    def takes_session(self) -> bool:
        """Whether its view works in a transaction that is made for it."""
        return "session" in inspect.signature(self.view).parameters

    @cached_property
    def media_types(self) -> frozenset[str]:
        """What a success is answered with."""
        served: set[str] = {LINES} if self.has_lines else set()
        for status, answer in self.responses.items():
            if 200 <= status < 300:
                served.update(["application/json"] if isinstance(answer, type) else answer.get("content", ()))
        # JSON-LD is JSON.
        return frozenset(served | {"application/json"} if "application/ld+json" in served else served)

    @property
    def texts(self) -> tuple[str, str]:
        """Summary and description."""
        first, _, rest = (inspect.getdoc(self.view) or "").partition("\n")
        return first.strip(), " ".join(rest.split())

    @property
    def problems(self) -> Iterator[ProblemType]:
        """What it can answer with instead, known by what it reads and writes."""
        if "body" in self.models:
            yield problem_types.MALFORMED
            yield problem_types.TOO_LARGE
            yield problem_types.UNSUPPORTED_MEDIA_TYPE
        yield problem_types.UNAUTHENTICATED
        if self.scope != "authenticated":
            yield problem_types.FORBIDDEN
        if "path" in self.models or (
            "query" in self.models and _NAMES & self.models["query"].model_fields.keys()
        ):
            yield problem_types.NOT_FOUND
        if self.method != "GET":
            yield problem_types.CONFLICT
        yield problem_types.REQUEST_TIMEOUT
        yield problem_types.TARGET_TOO_LONG
        yield problem_types.HEADERS_TOO_LARGE
        yield problem_types.NOT_ACCEPTABLE
        yield problem_types.INVALID
        if self.is_download:
            yield problem_types.CONFLICT
            yield problem_types.CHANGED
            yield problem_types.RANGE_NOT_SATISFIABLE
        if EVENTS in self.media_types or self.is_download:
            yield problem_types.TOO_MANY_REQUESTS
        yield problem_types.INTERNAL
        yield problem_types.UNAVAILABLE

    def answer(self, segments: Mapping[str, str]) -> Response:
        """Handle a request. `segments`: what the rule of the path matched."""
        check_acceptable(self.media_types)
        parts: Mapping[str, Any] = read(self.models, segments)
        if not self.takes_session:
            return self._render(self.view(**parts))
        with context().database.session() as session:
            result = self.view(session=session, **parts)
        return self._render(result)

    def _render(self, result: Result) -> Response:
        match result:
            case None:
                return removed()
            case StoredObject():
                return object_response(result, self.media_types)
            case Download():
                return download_response(result)
            case Document():
                response = Response(
                    result.body, result.status, dict(result.headers), content_type=result.media_type
                )
                return conditional(response, result.freshness)
            case Lines():
                response = lines_response(result.entries, result.headers)
                response.headers["Cache-Control"] = self.freshness.cache_control
                return response
            case Page():
                result = shown_page(cast(type[BaseModel], self.responses[200]), result)
            case BaseModel():
                result = Answer(result)
        if result.ring is not None:
            context().doorbell.ring(result.ring)
        response = json_response(result.shown, result.status, result.headers)
        freshness = result.freshness or self.freshness
        return conditional(response, freshness) if self.method == "GET" or freshness.is_secret else response


class ApiBlueprint(Blueprint):
    """A blueprint whose views are operations."""

    def __init__(self, name: str, import_name: str, *, url_prefix: str, tag: Tag) -> None:
        super().__init__(name, import_name, url_prefix=url_prefix)
        self._tag = tag

    def operation(
        self,
        method: Method,
        rule: str,
        *,
        scope: Scope,
        responses: Responses,
        freshness: Freshness = REVALIDATE,
        example: Any = None,
        has_lines: bool = False,
        tag: Tag | None = None,
    ) -> Callable[[View], View]:
        """Declare that a view is an operation; see `Operation` for what is declared.

        The view takes what it needs: `path`, `query`, `header` and `body`, each as the model that it
        annotates, read and checked before it runs, and `session`, a transaction that is committed before the
        answer is rendered. `tag`: if it is not the blueprint's.
        """

        def declare(view: View) -> View:
            hints = get_type_hints(view)
            models = {part: hints[part] for part in PARTS if part in hints}
            declared = Operation(
                view, method, tag or self._tag, scope, responses, freshness, example, has_lines, models
            )

            @requires(scope)
            @wraps(view)
            def answer(**segments: str) -> Response:
                return declared.answer(segments)

            setattr(answer, _ATTRIBUTE, declared)
            self.add_url_rule(rule, view_func=answer, methods=[method])
            return view

        return declare


def operation_of(view: Callable[..., object]) -> Operation | None:
    """The operation that a view function is, None for a page and the like."""
    return getattr(view, _ATTRIBUTE, None)
