"""Keys: who may do what."""

from http import HTTPStatus

from flask import Response

from api.auth import principal, requires
from api.context import context
from api.http.rendering import json_response
from api.operations.operation import ApiBlueprint, Tag
from api.schemas.base import NoQuery
from api.schemas.keys import CreateKey, Key, KeyPage, KeyPath, Me, NewKey
from services.access import keys as access

TAG = Tag(name="Keys", description="Who may do what.")

blueprint = ApiBlueprint("keys", __name__, url_prefix="/v1", tag=TAG)


@blueprint.get("/me", responses={200: Me}, may_be_unchanged=False)
@requires("authenticated")
def get_me(query: NoQuery) -> Response:
    """Get the name and scopes of the key that asks."""
    return _private(json_response(Me.of(principal())))


@blueprint.post("/keys", responses={201: NewKey})
@requires("admin")
def create_key(body: CreateKey) -> Response:
    """Create a key. Its token is in the answer and nowhere else."""
    with context().database.session() as session:
        key, token = access.create_key(session, body.name, body.scopes, expires_at=body.expires_at)
    shown = NewKey.of(key).model_copy(update={"token": token})
    return _private(json_response(shown, HTTPStatus.CREATED, {"Location": shown.links.self}))


@blueprint.get("/keys", responses={200: KeyPage}, may_be_unchanged=False)
@requires("admin")
def list_keys(query: NoQuery) -> Response:
    """List all keys, revoked ones too, the newest first."""
    with context().database.session() as session:
        keys = access.list_keys(session)
    return _private(json_response(KeyPage(data=[Key.of(key) for key in keys], next_cursor=None)))


@blueprint.delete("/keys/<key>", responses={200: Key})
@requires("admin")
def revoke_key(path: KeyPath) -> Response:
    """Revoke a key. Revoking it again changes nothing.

    From then on nothing can be written with it. Answers that a process of the service has in memory may be
    read with it for 30 s more, because for so long a process trusts a key that it has looked up.
    """
    with context().database.session() as session:
        revoked = access.revoke_key(session, path.key)
    return _private(json_response(Key.of(revoked)))


def _private(response: Response) -> Response:
    """No cache may keep it, not even the client's own."""
    response.headers["Cache-Control"] = "no-store"
    return response
