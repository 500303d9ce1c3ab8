"""The shape of every answer that is not a success."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FieldProblem(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    part: Literal["body", "query", "path", "header"] = Field(
        alias="in", description="The part of the request."
    )
    pointer: str = Field(description="JSON pointer (RFC 6901) into that part.", examples=["/targets/0/units"])
    detail: str = Field(description="What is wrong with it and what would be accepted.")


class ProblemDocument(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Which kind of problem; leads to its explanation.")
    title: str
    status: int
    detail: str = Field(description="What happened this time, for a person.")
    request_id: str
    errors: list[FieldProblem] | None = Field(None, description="The fields that are wrong.")
