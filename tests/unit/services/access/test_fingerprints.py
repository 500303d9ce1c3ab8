"""An idempotency key means the same request across upgrades."""

import pytest
from pydantic import BaseModel

from services.access.fingerprints import as_sent, fingerprint, former_fingerprint
from services.jobs.job_request import JobRequest, RecipeRequest, Target

SENT = {"network": "small.random", "targets": [{"layer": "output", "units": "0-3"}], "seeds": [1]}


class LaterTarget(Target):
    """What a later release may take."""

    added: int | None = None


class LaterRecipe(RecipeRequest):
    technique: str = "another-default"


class LaterRequest(JobRequest):
    targets: list[LaterTarget]  # type: ignore[assignment]
    recipe: LaterRecipe = LaterRecipe.model_validate({})
    added: dict[str, int] = {"by": 1}  # noqa: RUF012 pydantic copies it


@pytest.mark.parametrize("sent", [SENT, {**SENT, "recipe": {"parameters": {"steps": 5}}}])
def test_fields_and_defaults_that_a_later_release_adds_or_changes_keep_the_fingerprint(
    sent: dict[str, object],
) -> None:
    now, later = (fingerprint(as_sent(model.model_validate(sent))) for model in (JobRequest, LaterRequest))
    assert now == later


def test_what_is_sent_in_a_new_field_changes_the_fingerprint() -> None:
    sent = {**SENT, "targets": [{"layer": "output", "units": "0-3", "added": 0}]}
    found = (fingerprint(as_sent(LaterRequest.model_validate(each))) for each in (SENT, sent))
    assert len({*found}) == 2


def test_a_former_fingerprint_is_that_of_the_request_with_all_that_was_filled_in() -> None:
    class Inner(BaseModel):
        a: int = 1
        b: dict[str, int] = {}

    class Outer(BaseModel):
        many: list[Inner]
        one: Inner = Inner()
        plain: list[int] = [0]

    defaults = {"many": {"a": 1, "b": {}}, "one": {"a": 1, "b": {}}, "plain": [0]}
    for sent in (
        {"many": [{}, {"a": 2}]},
        {"many": [], "one": {"b": {"x": 3}}},
        {"many": [{"b": {"y": 1}}], "plain": [4, 5]},
    ):
        whole = fingerprint(Outer.model_validate(sent).model_dump())
        assert former_fingerprint(sent, defaults) == whole
