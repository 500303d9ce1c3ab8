"""What all tables have in common: the registry, names of constraints, and how types are stored."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


def one_of(column: str, values: type[StrEnum] | tuple[str, ...]) -> sa.CheckConstraint:
    """The constraint that a column holds one of these words."""
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


Json = dict[str, Any]
Id = sa.Text(collation="C")


class Base(DeclarativeBase):
    """What all tables have in common: names of constraints, and column types."""

    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy's own protocol)
        str: sa.Text(),
        datetime: sa.DateTime(timezone=True),
        float: sa.Double(),
        Json: JSONB(none_as_null=True),
        list[Any]: JSONB(none_as_null=True),
    }


CREATED = sa.func.now()
