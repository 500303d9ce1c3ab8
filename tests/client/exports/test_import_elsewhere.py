"""Imports into a service that knows nothing of a network, or has ended its pictures otherwise."""

from pathlib import Path
from typing import Any

import pytest

import imago
from services.queue import batches
from tests.client.conftest import LABELS, NETWORK, Service, picture_of
from tests.client.exports.conftest import OF_NETWORKS, forget
from tests.client.exports.test_import import count, sent


def test_what_ended_here_without_a_picture_becomes_the_imported_one_and_its_jobs_count_it(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    going_on = admin.submit(NETWORK, ["output/0", "output/30"])
    service.fail(service.claim(limit=1), "It broke.")
    admin.submit(NETWORK, ["output/2"]).cancel()
    assert (going_on.refresh().units.failed, going_on.units.done) == (1, 0)
    atlas = admin.atlases.load(folder)
    assert atlas.pictures.settled == 100
    for unit in (0, 2):
        shown = atlas_unit(atlas, unit).visualization()
        assert (shown.image_bytes(), shown.detail["error"]) == (picture_of(unit), None)
    going_on.refresh()
    assert (going_on.units.failed, going_on.units.done, going_on.raw["errors"]) == (0, 1, [])
    service.work()
    assert going_on.refresh().state == "succeeded"


def test_what_is_canceled_and_still_held_by_a_worker_stops_the_import_until_it_lets_go(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    job = admin.submit(NETWORK, ["output/0"])
    claim = service.claim()
    job.cancel()
    with pytest.raises(imago.Conflict, match="is canceled here"):
        admin.atlases.load(folder)
    with service.database.session() as session:
        batches.release(session, claim.lease_id)
    assert admin.atlases.load(folder).pictures.settled == 100


def atlas_unit(atlas: imago.Atlas, unit: int) -> imago.AtlasUnit:
    """A unit of its output."""
    (found,) = (each for each in atlas.units("classifier") if each.unit == unit)
    return found


def test_what_an_earlier_release_does_not_tell_of_a_network_is_not_guessed(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    forget(service, *OF_NETWORKS)
    manifest, _ = sent(folder)
    del manifest["network_now"]["stated"]
    stated = manifest | {"network_now": manifest["network_now"] | {"network_sha256": "c" * 64}}
    with pytest.raises(imago.InvalidRequest, match="as it is registered there") as refused:
        admin._transport.post("/v1/atlases:import", stated)
    assert [error.pointer for error in refused.value.errors] == ["/network_now/stated"]
    assert count(service, "networks") == 0
    admin.add_network(NETWORK, labels=LABELS)
    assert admin._transport.post("/v1/atlases:import", stated).body["state"] == "receiving"
    forget(service, *OF_NETWORKS)
    # By its hash the network is its weights, and nothing else.
    assert admin._transport.post("/v1/atlases:import", manifest).body["state"] == "receiving"
    assert admin.add_network(NETWORK).raw["stated"]["labels"] is None


def test_names_of_classes_are_taken_as_the_exporting_server_holds_them(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    forget(service, *OF_NETWORKS)
    manifest, _ = sent(folder)
    manifest["network_now"]["labels"][:3] = ["white\tshark\r\n", "x" * 300, ""]
    admin._transport.post("/v1/atlases:import", manifest)
    assert admin.network(NETWORK).labels[:4] == ("white shark ", "x" * 200, "", "class 3")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"network": "no name"}, "/network"),
        ({"network_now": {"source": "elsewhere"}}, "/network_now/source"),
        ({"network_now": {"source": "file", "weights": "own.safetensors"}}, "/network_now/architecture"),
        ({"network_now": {"source": "file", "weights": "own.pth"}}, "/network_now/weights"),
        ({"network_now": {"stated": {"mean": [0, 2, 0]}}}, "/network_now/stated/mean/1"),
        ({"network_now": {"stated": {"classes": 3}}}, "/network_now/stated/classes"),
        ({"generators": {"id": "no name"}}, "/generators/0/id"),
        ({"generators": {"recommended": {"steps": -1}}}, "/generators/0/recommended/steps"),
    ],
)
def test_what_cannot_be_registered_is_named_where_the_manifest_has_it(
    service: Service, folder: Path, admin: imago.Client, change: dict[str, Any], pointer: str
) -> None:
    forget(service, *OF_NETWORKS)
    manifest, _ = sent(folder)
    for name, value in change.items():
        there = manifest[name]
        if isinstance(there, list):
            there[0] |= value
        elif isinstance(there, dict):
            there |= value
        else:
            manifest[name] = value
    with pytest.raises(imago.InvalidRequest) as refused:
        admin._transport.post("/v1/atlases:import", manifest)
    assert pointer in [error.pointer for error in refused.value.errors]
    assert [count(service, table) for table in ("atlases", "networks", "generators")] == [0, 0, 0]
