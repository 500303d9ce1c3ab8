"""Keys: who may do what."""

from http import HTTPStatus

from sqlalchemy.orm import Session

from api.auth import principal
from api.http.caching import SECRET
from api.openapi import examples
from api.operations.answers import Answer
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import only_page
from api.schemas.base import NoQuery
from api.schemas.keys import CreateKey, Key, KeyPage, KeyPath, Me, NewKey
from services.access import keys as access
from services.base.paging import Page

TAG = Tag(name="Keys", description="Who may do what.")

blueprint = ApiBlueprint("keys", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation("GET", "/me", scope="authenticated", responses={200: Me}, freshness=SECRET)
def get_me(query: NoQuery) -> Me:
    """Get the name and scopes of the key that asks."""
    return Me.of(principal())


@blueprint.operation(
    "POST",
    "/keys",
    scope="admin",
    responses={201: NewKey},
    freshness=SECRET,
    example=examples.KEY_BODY,
)
def create_key(session: Session, body: CreateKey) -> Answer:
    """Create a key. Its token is in the answer and nowhere else."""
    key, token = access.create_key(session, body.name, body.scopes, expires_at=body.expires_at)
    shown = NewKey.of(key).model_copy(update={"token": token})
    return Answer(shown, HTTPStatus.CREATED, {"Location": shown.links.self})


@blueprint.operation("GET", "/keys", scope="admin", responses={200: KeyPage}, freshness=SECRET)
def list_keys(session: Session, query: NoQuery) -> Page[Key]:
    """List all keys, revoked ones too, the newest first."""
    return only_page(Key.of(key) for key in access.list_keys(session))


@blueprint.operation("DELETE", "/keys/<key>", scope="admin", responses={200: Key}, freshness=SECRET)
def revoke_key(session: Session, path: KeyPath) -> Key:
    """Revoke a key. Revoking it again changes nothing.

    From then on nothing can be written with it. Answers that a process of the service has in memory may be
    read with it for 30 s more, because for so long a process trusts a key that it has looked up.
    """
    return Key.of(access.revoke_key(session, path.key))
