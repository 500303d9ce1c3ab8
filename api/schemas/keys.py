"""API keys."""

from typing import Literal, Self

from pydantic import Field

from api.http.paths import path_to
from api.schemas.base import Name, Page, Representation, RequestModel, SelfLink, Time
from services.access import keys
from services.base.times import Moment

ScopeName = Literal["read", "jobs:write", "admin"]


class KeyPath(RequestModel):
    """The address of a key."""

    key: Name = Field(description="Id of a key.")


class CreateKey(RequestModel):
    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
        description="Whose it is or what for.",
    )
    scopes: list[ScopeName] = Field(min_length=1, max_length=10, description="`admin` includes the others.")
    expires_at: Moment | None = Field(None, description="In the future, with time zone; null for never.")


class Me(Representation):
    """The key that asks."""

    id: str
    object: Literal["key"] = "key"
    name: str
    scopes: list[str]
    links: SelfLink

    @classmethod
    def of(cls, principal: keys.Principal) -> Self:
        """Who asks, as it is shown."""
        return cls(
            id=principal.key_id,
            name=principal.name,
            scopes=sorted(principal.scopes),
            links=SelfLink(self=path_to("me")),
        )


class Key(Representation):
    id: str
    object: Literal["key"] = "key"
    name: str
    prefix: str = Field(description="How its token begins.")
    scopes: list[str]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None = Field(description="To the minute.")
    links: SelfLink

    @classmethod
    def of(cls, key: keys.KeyView) -> Self:
        """The key as it is shown."""
        return cls(
            id=key.id,
            name=key.name,
            prefix=key.prefix,
            scopes=list(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
            links=SelfLink(self=path_to("keys", key.id)),
        )


class NewKey(Key):
    """A key with its token, which is shown this once."""

    token: str = Field("", description="Send it as `Authorization: Bearer …`. It cannot be had again.")


class KeyPage(Page[Key]):
    pass
