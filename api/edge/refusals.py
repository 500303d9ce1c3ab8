"""Problem documents for requests that cannot be parsed, written to the connection without Flask."""

import json

from api.problems.problem_types import ProblemType


def refusal(kind: ProblemType, detail: str, request_id: str) -> bytes:
    """The whole HTTP answer, with the problem as its body; it says that the connection ends."""
    problem = {
        "type": kind.uri,
        "title": kind.title,
        "status": int(kind.status),
        "detail": detail,
        "request_id": request_id,
    }
    body = json.dumps(problem).encode()
    retry = ["Retry-After: 5"] if kind.status == 503 else []
    head = [
        f"HTTP/1.1 {int(kind.status)} {kind.status.phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-Id: {request_id}",
        "Connection: close",
        *retry,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
