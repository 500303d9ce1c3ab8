"""Who may write what: every route that writes × its owner, another key, an admin and nobody.

The routes are those of the application itself, so one that is added without a line here fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.auth import scope_of
from api.openapi import examples
from services.access.keys import Principal
from services.access.ownership import check_may_change
from services.atlases.building import steps
from services.atlases.building.steps import JobCursor
from services.base.database import Database
from services.base.errors import Forbidden
from services.catalog import generators
from services.catalog.inspections import record_inspection_failure
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.catalog.tables import GeneratorRow
from services.exports import beginning
from services.exports.manifest import AtlasManifest
from services.jobs.job_request import JobRequest
from services.jobs.submission import submit
from services.queue import batches
from services.queue.batches import Failure
from services.trainings import leases as training_leases
from services.trainings import trainings
from services.trainings.trainings import TrainingRequest
from tests.api.small_catalog import NETWORK, job_body, row_counts, with_key
from tests.integration.staging import picture
from tests.small_training import register_encoder

pytestmark = pytest.mark.usefixtures("network")

ROLES = ("owner", "other", "admin", "anonymous")
TRAINING = {"sources": ["birds"], "pictures": 1000}
SCAN = {"network": NETWORK, "sources": ["birds"]}
PHOTOGRAPHED = {"network": NETWORK, "layer": "output"}


@dataclass(frozen=True)
class Write:
    """One route that writes: how to send it, once what it changes has been made by its owner."""

    prepare: Callable[[FlaskClient, Database], str]
    """Makes the thing; returns the path of the write."""
    body: Mapping[str, Any] | None
    allowed: frozenset[str]

    def send(self, asker: FlaskClient, method: str, path: str) -> TestResponse:
        return asker.open(path, method=method, json=self.body)


ANY_KEY = frozenset({"owner", "other", "admin"})
THE_OWNER = frozenset({"owner", "admin"})
AN_ADMIN = frozenset({"admin"})
ANYONE = frozenset(ROLES)
"""It reads, with a body."""


def _submit(owner: FlaskClient, units: object = "0-3") -> str:
    path: str = owner.post("/v1/jobs", json=job_body(units)).get_json()["links"]["self"]
    return path


def _running_job(owner: FlaskClient, database: Database) -> str:
    return f"{_submit(owner)}/cancel"


def _canceled_job(owner: FlaskClient, database: Database) -> str:
    job = _submit(owner)
    assert owner.post(f"{job}/cancel").status_code == 200
    return f"{job}/retry"


def _training(owner: FlaskClient, database: Database) -> str:
    register_encoder(database)
    body = {"name": "birds", "training": TRAINING}
    return f"{owner.post('/v1/generators', json=body).get_json()['links']['self']}/cancel"


def _encoder(owner: FlaskClient, database: Database) -> str:
    register_encoder(database)
    return "/v1/generators"


def _failed_network(owner: FlaskClient, database: Database) -> str:
    assert owner.post("/v1/networks", json={"id": "resnet18.a1_in1k"}).status_code == 202
    with database.session() as session:
        record_inspection_failure(session, "resnet18.a1_in1k", "There is no such network.")
    return "/v1/networks"


def _ended_job(owner: FlaskClient, database: Database) -> str:
    return _canceled_job(owner, database).removesuffix("/retry")


def _ended_training(owner: FlaskClient, database: Database) -> str:
    cancel = _training(owner, database)
    assert owner.post(cancel).status_code == 200
    return cancel.removesuffix("/cancel")


def _scan(owner: FlaskClient, database: Database) -> str:
    scan = owner.post("/v1/scans", json=SCAN)
    assert scan.status_code == 202, scan.get_data(as_text=True)
    return f"{scan.headers['Location']}/cancel"


def _ended_scan(owner: FlaskClient, database: Database) -> str:
    cancel = _scan(owner, database)
    assert owner.post(cancel).status_code == 200
    return cancel.removesuffix("/cancel")


def _unused_network(owner: FlaskClient, database: Database) -> str:
    return f"{_failed_network(owner, database)}/resnet18.a1_in1k"


def _unused_generator(owner: FlaskClient, database: Database) -> str:
    me = owner.get("/v1/me").get_json()["id"]
    info = {"architecture": "compact", "code_shape": [16], "image_size": 32, "encoder": "small.random"}
    with database.session() as session:
        generators.register_generator(session, "birds", info, "c" * 64, owner=me)
    return "/v1/generators/birds"


def _nothing(path: str) -> Callable[[FlaskClient, Database], str]:
    return lambda owner, database: path


def _a_key(owner: FlaskClient, database: Database) -> str:
    with database.session() as session:
        id = session.execute(sa.text("SELECT max(id) FROM api_keys")).scalar_one()
    return f"/v1/keys/{id}"


ATLAS = {"network": NETWORK, "layers": "output", "units": "0-3", "visibility": "public"}


def _atlas(action: str = "") -> Callable[[FlaskClient, Database], str]:
    """The path of an action on a public atlas one picture of which is done and one has failed."""

    def prepare(owner: FlaskClient, database: Database) -> str:
        atlas = owner.post("/v1/atlases", json=ATLAS).get_json()
        with database.session() as session:
            steps.step(session, atlas["id"], JobCursor())
        for done in (True, False):
            with database.session() as session:
                claim = batches.claim(session, "tester", limit=1, lease_seconds=60)
                assert claim is not None
                digest = claim.items[0].digest
                if done:
                    batches.conclude(session, claim.lease_id, finished=[picture(digest)])
                else:
                    failure = Failure(digest, "broken", "Broken.", False)
                    batches.conclude(session, claim.lease_id, failures=[failure])
        return f"{atlas['links']['self']}{action}"

    return prepare


def _import(owner: FlaskClient, database: Database) -> str:
    with database.session() as session:
        begun = beginning.begin(session, AtlasManifest.model_validate(examples.manifest()), by=None)
    return f"/v1/atlases/{begun.atlas}/entries"


WRITES: Mapping[tuple[str, str], tuple[Write, ...]] = {
    ("POST", "/v1/jobs"): (Write(_nothing("/v1/jobs"), job_body(), ANY_KEY),),
    ("POST", "/v1/jobs/<job>/cancel"): (Write(_running_job, None, THE_OWNER),),
    ("POST", "/v1/jobs/<job>/retry"): (Write(_canceled_job, None, THE_OWNER),),
    ("POST", "/v1/atlases"): (Write(_nothing("/v1/atlases"), ATLAS, ANY_KEY),),
    ("POST", "/v1/atlases:estimate"): (Write(_nothing("/v1/atlases:estimate"), ATLAS, ANYONE),),
    **{
        ("POST", f"/v1/atlases/<atlas>/{action}"): (Write(_atlas(f"/{action}"), body, THE_OWNER),)
        for action, body in (
            ("pause", None),
            ("resume", None),
            ("cancel", None),
            ("retry", None),
            ("publish", None),
            ("extend", {"facets": 2}),
            ("change", {"name": "another"}),
        )
    },
    ("POST", "/v1/atlases/<atlas>/extend:estimate"): (
        Write(_atlas("/extend:estimate"), {"facets": 2}, ANYONE),
    ),
    ("DELETE", "/v1/atlases/<atlas>"): (Write(_atlas(), None, THE_OWNER),),
    ("POST", "/v1/atlases/<atlas>/versions/<version>/map"): (
        Write(_atlas("/versions/open/map"), None, ANY_KEY),
    ),
    ("POST", "/v1/atlases:import"): (Write(_nothing("/v1/atlases:import"), examples.manifest(), AN_ADMIN),),
    ("POST", "/v1/atlases/<atlas>/entries"): (Write(_import, examples.entries(), AN_ADMIN),),
    ("POST", "/v1/search/excitations"): (
        Write(_nothing("/v1/search/excitations"), {**examples.EXCITATION_BODY, **PHOTOGRAPHED}, ANY_KEY),
    ),
    ("POST", "/v1/generators"): (Write(_encoder, {"name": "birds", "training": TRAINING}, ANY_KEY),),
    ("POST", "/v1/trainings/<training>/cancel"): (Write(_training, None, THE_OWNER),),
    ("POST", "/v1/scans"): (Write(_nothing("/v1/scans"), SCAN, ANY_KEY),),
    ("POST", "/v1/scans/<scan>/cancel"): (Write(_scan, None, THE_OWNER),),
    ("DELETE", "/v1/scans/<scan>"): (Write(_ended_scan, None, THE_OWNER),),
    ("POST", "/v1/networks"): (
        Write(_nothing("/v1/networks"), {"id": "resnet18.a1_in1k"}, ANY_KEY),
        # One that is there and failed is inspected anew, which changes it.
        Write(_failed_network, {"id": "resnet18.a1_in1k"}, THE_OWNER),
    ),
    ("DELETE", "/v1/jobs/<job>"): (Write(_ended_job, None, THE_OWNER),),
    ("DELETE", "/v1/trainings/<training>"): (Write(_ended_training, None, THE_OWNER),),
    ("DELETE", "/v1/networks/<network>"): (Write(_unused_network, None, THE_OWNER),),
    ("DELETE", "/v1/generators/<generator>"): (Write(_unused_generator, None, THE_OWNER),),
    ("POST", "/v1/keys"): (Write(_nothing("/v1/keys"), {"name": "a", "scopes": ["read"]}, AN_ADMIN),),
    ("DELETE", "/v1/keys/<key>"): (Write(_a_key, None, AN_ADMIN),),
}


def test_every_route_that_writes_has_its_rule(app: Flask) -> None:
    assert {(method, path) for method, path, _ in writing(app) if path.startswith("/v1")} == set(WRITES)


def test_every_page_that_writes_needs_a_key(app: Flask) -> None:
    """They call the same services, which know the owner; signing in and out is for everyone."""
    open_to_all = {
        path
        for _, path, endpoint in writing(app)
        if not path.startswith("/v1") and scope_of(app.view_functions[endpoint]) in (None, "read")
    }
    assert open_to_all == {"/signin", "/signout"}


def writing(app: Flask) -> list[tuple[str, str, str]]:
    """Method, path and endpoint of every route that writes."""
    return [
        (method, rule.rule, rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    ]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("method", "write"), [(method, write) for (method, _), writes in WRITES.items() for write in writes]
)
def test_a_write_is_for_those_whom_its_rule_names(
    app: Flask, database: Database, method: str, write: Write, role: str
) -> None:
    askers = {
        "owner": with_key(app, database, "read", "jobs:write"),
        "other": with_key(app, database, "read", "jobs:write"),
        "admin": with_key(app, database, "admin"),
        "anonymous": app.test_client(),
    }
    path = write.prepare(askers["owner"], database)
    counts = row_counts(database)
    before = _states(database)
    answer = write.send(askers[role], method, path)
    if role in write.allowed:
        assert answer.status_code in (200, 201, 202, 204), answer.get_data(as_text=True)
        return
    assert (answer.status_code, answer.mimetype) == (
        401 if role == "anonymous" else 403,
        "application/problem+json",
    )
    assert "admin" in answer.get_json()["detail"] or role == "anonymous"
    # Refused means that nothing has changed.
    assert row_counts(database) == counts
    assert _states(database) == before


_STATES = sa.text("""
    SELECT id, state FROM jobs UNION SELECT id, state FROM trainings UNION SELECT id, state FROM networks
    UNION SELECT id, state FROM scans
    UNION SELECT id, concat_ws(' ', wish, name, visibility, retry_after) FROM atlases
    UNION SELECT id, coalesce(revoked_at::text, '-') FROM api_keys
""")


def _states(database: Database) -> set[tuple[str, str]]:
    with database.session() as session:
        return {(row[0], row[1]) for row in session.execute(_STATES)}


def test_what_no_key_owns_is_changed_by_an_admin_alone(app: Flask, database: Database) -> None:
    """Such as rows from before there were owners, and what the operator has registered."""
    register_encoder(database)
    with database.session() as session:
        job = submit(session, JobRequest.model_validate(job_body())).job.id
        training = trainings.submit(session, "birds", TrainingRequest.model_validate(TRAINING)).id
        register_network(session, RegisterNetwork(id="resnet18.a1_in1k"))
        record_inspection_failure(session, "resnet18.a1_in1k", "There is no such network.")
    some_key, admin = with_key(app, database, "jobs:write"), with_key(app, database, "admin")
    network = {"id": "resnet18.a1_in1k"}
    for path, body in (
        (f"/v1/jobs/{job}/cancel", None),
        (f"/v1/jobs/{job}/retry", None),
        (f"/v1/trainings/{training}/cancel", None),
        ("/v1/networks", network),
    ):
        refused = some_key.post(path, json=body)
        assert refused.status_code == 403, path
        assert "belongs to no key" in refused.get_json()["detail"]
        assert admin.post(path, json=body).status_code in (200, 202), path


def test_registering_a_network_that_is_another_keys_and_is_well_changes_nothing(
    app: Flask, database: Database
) -> None:
    owner, other = (with_key(app, database, "jobs:write") for _ in range(2))
    body = {"id": "resnet18.a1_in1k"}
    first, second = (key.post("/v1/networks", json=body) for key in (owner, other))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.get_json() == second.get_json()


def test_a_trained_generator_is_that_of_whoever_had_it_trained(app: Flask, database: Database) -> None:
    register_encoder(database)
    owner, other = (with_key(app, database, "jobs:write") for _ in range(2))
    ids = [key.get("/v1/me").get_json()["id"] for key in (owner, other)]
    owner.post("/v1/generators", json={"name": "birds", "training": TRAINING})
    info = {"architecture": "compact", "code_shape": [16], "image_size": 32, "encoder": "small.random"}
    with database.session() as session:
        claim = training_leases.claim(session, "tester", lease_seconds=60)
        assert claim is not None
        training_leases.finish(
            session, claim, info=info, sha256="c" * 64, log="log", card=None, progress={}, samples=()
        )
        # The same again, from elsewhere, takes it from nobody.
        generators.register_generator(session, "birds", info, "c" * 64, owner=ids[1])
        row = session.get_one(GeneratorRow, "birds")
        assert row.owner_key_id == ids[0]
        with pytest.raises(Forbidden, match="generator birds belongs to another key"):
            check_may_change(row, Principal(ids[1], "other", frozenset({"jobs:write"})))
        check_may_change(row, Principal(ids[0], "owner", frozenset({"jobs:write"})))
        check_may_change(row, Principal(ids[1], "admin", frozenset({"admin"})))
        check_may_change(row, None)
