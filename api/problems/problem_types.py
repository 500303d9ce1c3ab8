"""The kinds of problem that the API answers with. The documentation page shows this table; a problem's
`type` points into it.
"""

from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True)
class ProblemType:
    """A kind of problem: its name in addresses, status, title, and what it means. `advice` is what a person
    at a browser can do about it, where `meaning` speaks to programs."""

    slug: str
    status: HTTPStatus
    title: str
    meaning: str
    advice: str = ""

    @property
    def uri(self) -> str:
        """Where it is explained, relative to the API's origin."""
        return f"/docs#problem-{self.slug}"


MALFORMED = ProblemType(
    "malformed-body",
    HTTPStatus.BAD_REQUEST,
    "The body is not JSON",
    "The body could not be parsed; `detail` says where parsing stopped.",
)
MALFORMED_REQUEST = ProblemType(
    "malformed-request",
    HTTPStatus.BAD_REQUEST,
    "The request is not HTTP",
    "The request could not be parsed, and the connection was closed.",
    "Open the page anew. Where that changes nothing, a proxy or an extension of the browser alters what "
    "is sent.",
)
UNAUTHENTICATED = ProblemType(
    "unauthenticated",
    HTTPStatus.UNAUTHORIZED,
    "A valid key is needed",
    "Send `Authorization: Bearer imago_…` with a key that is neither expired nor revoked.",
)
FORBIDDEN = ProblemType(
    "forbidden",
    HTTPStatus.FORBIDDEN,
    "The key may not do this",
    "The key is valid but lacks the scope that `detail` names, or what it would change is another key's: a "
    "job, training, network or generator is changed by the key that submitted or registered it, or by one "
    "with the scope `admin`.",
)
CROSS_SITE = ProblemType(
    "cross-site-request",
    HTTPStatus.FORBIDDEN,
    "This may not come from a page of the service",
    "Where a browser's cookie stands for a key, writing needs a page of this origin and the session's "
    "forgery token, in the field `csrf_token` or the header `X-CSRF-Token`. A key in the Authorization "
    "header needs neither.",
)
NOT_FOUND = ProblemType(
    "not-found",
    HTTPStatus.NOT_FOUND,
    "There is no such thing",
    "Nothing is known under this name.",
    "It may have been removed, or its address may be mistyped. The entries at the top lead to all that "
    "there is.",
)
NO_PICTURE = ProblemType(
    "no-picture",
    HTTPStatus.NOT_FOUND,
    "There is no picture",
    "The visualization is known but has no picture. `state` says whether one is coming (then `Retry-After` "
    "is set) or why none will.",
)
NOT_INDEXED = ProblemType(
    "not-indexed",
    HTTPStatus.NOT_FOUND,
    "The picture is not indexed yet",
    "The picture is there, but what it is compared by has not been computed. A worker does that when nothing "
    "else waits; ask again after `Retry-After` seconds.",
)
NOT_WRITTEN = ProblemType(
    "not-written",
    HTTPStatus.NOT_FOUND,
    "The export is not written yet",
    "Workers write down what lists the pictures of a published version; ask again after `Retry-After` "
    "seconds.",
)
LOST = ProblemType(
    "object-lost",
    HTTPStatus.NOT_FOUND,
    "The bytes are lost at present",
    "They were made, but the store has lost or damaged them. `Retry-After` is set while they can still be "
    "made again, which has its turn beside other work; the new bytes have another ETag.",
)
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed",
    HTTPStatus.METHOD_NOT_ALLOWED,
    "The method is not allowed here",
    "The `Allow` header lists the methods that are.",
    "Open the page itself and use its own buttons.",
)
UNKNOWN_METHOD = ProblemType(
    "unknown-method",
    HTTPStatus.NOT_IMPLEMENTED,
    "There is no such method",
    "The method is none of HTTP's, at no address.",
    "Open the page itself and use its own buttons.",
)
NOT_ACCEPTABLE = ProblemType(
    "not-acceptable",
    HTTPStatus.NOT_ACCEPTABLE,
    "There is no answer of the wanted type",
    "`Accept` takes none of the media types that are served here; `detail` names them.",
)
CONFLICT = ProblemType(
    "conflict",
    HTTPStatus.CONFLICT,
    "Not possible in the present state",
    "The resource is in a state that does not allow this; `detail` says which.",
    "Open the page anew: it shows how things stand now.",
)
REQUEST_TIMEOUT = ProblemType(
    "request-timeout",
    HTTPStatus.REQUEST_TIMEOUT,
    "The request did not arrive in time",
    "`detail` names the part that took too long. The connection was closed; send the request again.",
    "The line may be slow: send it again, and a photograph made smaller.",
)
TARGET_TOO_LONG = ProblemType(
    "address-too-long",
    HTTPStatus.REQUEST_URI_TOO_LONG,
    "The address is too long",
    "Path and query may have 8 KiB together.",
    "Go back and write less into the form: names of layers can be patterns, such as `blocks.2.*`, and "
    "units ranges, such as `0-999`.",
)
HEADERS_TOO_LARGE = ProblemType(
    "headers-too-large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "The headers are too large",
    "There may be 100 headers, of 32 KiB together.",
    "Delete this site's cookies in the browser, and open the page again.",
)
TOO_LARGE = ProblemType(
    "body-too-large",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "The body is too large",
    "A body may have 1 MiB. Name units as ranges (`0-999`) instead of one by one.",
    "A photograph is taken up to 700 kB: make it smaller, 512 pixels a side are enough, or choose it "
    "with scripts turned on, which make it smaller by themselves.",
)
CHANGED = ProblemType(
    "changed",
    HTTPStatus.PRECONDITION_FAILED,
    "It is not what was asked for any more",
    "`If-Match` names none but other bytes; the `ETag` of this answer names those that are there now. What "
    "was downloaded before does not go with them: begin anew.",
)
RANGE_NOT_SATISFIABLE = ProblemType(
    "no-such-range",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    "There are not so many bytes",
    "`Range` begins behind the end; `Content-Range` says how many bytes there are. Who has as many has all.",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "unsupported-media-type",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "The body has the wrong type",
    "Send JSON with `Content-Type: application/json`.",
)
INVALID = ProblemType(
    "invalid-request",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "The request cannot be used as it is",
    "`errors` names each field that is wrong and what would be accepted. Nothing was written.",
    "Go back, mend what is named, and send it again.",
)
TOO_MANY_REQUESTS = ProblemType(
    "too-many-requests",
    HTTPStatus.TOO_MANY_REQUESTS,
    "Too many requests",
    "Wait for `Retry-After` seconds.",
    "Wait half a minute, then try again.",
)
INTERNAL = ProblemType(
    "internal",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Something went wrong in the service",
    "A fault of the service, not of the request. Report it with the `request_id`.",
    "Try again. If it stays, tell whoever runs this service the request's name below.",
)
UNAVAILABLE = ProblemType(
    "unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "A part of the service is away",
    "A server that imago needs does not answer. Try again after `Retry-After` seconds.",
    "Try again in some seconds: what was asked for before goes on meanwhile, and nothing of it is lost.",
)

# Of those with one status the general one goes first.
PROBLEM_TYPES = (
    MALFORMED,
    MALFORMED_REQUEST,
    UNAUTHENTICATED,
    FORBIDDEN,
    CROSS_SITE,
    NOT_FOUND,
    NO_PICTURE,
    NOT_INDEXED,
    NOT_WRITTEN,
    LOST,
    METHOD_NOT_ALLOWED,
    UNKNOWN_METHOD,
    NOT_ACCEPTABLE,
    REQUEST_TIMEOUT,
    CONFLICT,
    CHANGED,
    TOO_LARGE,
    TARGET_TOO_LONG,
    HEADERS_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    RANGE_NOT_SATISFIABLE,
    INVALID,
    TOO_MANY_REQUESTS,
    INTERNAL,
    UNAVAILABLE,
)
