"""The Python client: from submission to pictures, and what happens when something is in the way."""

import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

import imago
from api import create_app
from api.context import context
from imago.events import waiting
from imago.transport import Patience, Transport, path_to
from services.access import keys
from tests.client.broken_wire import BrokenWire
from tests.client.conftest import NETWORK, Service, picture_of, serving


def test_the_catalog_is_typed(client: imago.Client) -> None:
    (network,) = client.networks()
    assert (network.id, network.state) == (NETWORK, "ready")
    assert client.network(NETWORK).labels[1] == "goldfish"
    assert [(layer.name, layer.units, layer.height) for layer in client.layers(NETWORK)] == [
        ("blocks.3", 80, 14),
        ("blocks.7", 48, None),
        ("norm", 48, None),
        ("classifier", 1000, None),
    ]
    assert [(layer.name, layer.role) for layer in client.layers(NETWORK, "blocks.7,output")] == [
        ("blocks.7", "block"),
        ("classifier", "output"),
    ]
    assert [layer.twin_of for layer in client.layers(NETWORK, "norm")] == ["blocks.7"]
    found = client.layer(NETWORK, "blocks.7")
    assert (found.tokens, found.usual_token) == (17, 0)
    assert client.layer(NETWORK, "output").name == "classifier"
    assert [(generator.id, generator.is_default) for generator in client.generators()] == [("small", True)]
    techniques = {technique.id: technique for technique in client.techniques()}
    assert {"dgn-am", "fourier", "pixel"} <= set(techniques)
    assert techniques["dgn-am"].schema["properties"]["steps"]["maximum"] == 2000
    assert client.technique("dgn-am") == techniques["dgn-am"]


def test_results_come_while_the_rest_is_still_waiting(client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0-2"])
    assert (job.state, job.units.total, job.units.queued) == ("queued", 3, 3)
    assert job.place is not None
    service.work(limit=1)
    results = job.results(timeout=300)
    first = next(results)
    assert (first.unit, first.label, first.state) == (0, "tench", "done")
    assert job.state == "running"
    service.work()
    assert [picture.unit for picture in results] == [1, 2]
    assert (job.state, job.units.done, job.finished) == ("succeeded", 3, True)


def test_results_of_many_pages_are_complete_and_each_comes_once(
    client: imago.Client, service: Service
) -> None:
    job = client.submit(NETWORK, {"output": range(450)})
    seen: list[int] = []
    worked = 0
    for event in job.follow(timeout=300):
        if isinstance(event, imago.Visualization):
            seen.append(event.unit)
        elif worked < 450:  # several events may tell one state
            service.work(limit=60)
            worked += 60
    assert sorted(seen) == list(range(450))


def test_results_go_on_when_an_item_that_failed_is_retried(client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0-1"])
    service.fail(service.claim(limit=1), "the lamp went out")
    states = []
    for event in job.follow(timeout=300):
        if isinstance(event, imago.Visualization):
            states.append((event.unit, event.state))
            if event.state == "failed":
                assert event.error is not None
                assert event.error.message == "the lamp went out"
                client.job(job.id).retry()
                service.work()
    assert states == [(0, "failed"), (1, "done"), (0, "done")] or states == [
        (0, "failed"),
        (0, "done"),
        (1, "done"),
    ]


def test_waiting_reports_progress_and_can_be_limited(client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0"])
    with pytest.raises(imago.WaitTimeout, match="still queued"):
        job.wait(timeout=0.3)
    service.work()
    looks: list[int] = []
    assert job.wait(lambda job: looks.append(job.units.done)).state == "succeeded"
    assert looks == [1]


def test_a_picture_tells_what_it_is(client: imago.Client, service: Service, tmp_path: Path) -> None:
    job = client.submit(NETWORK, ["output/1"], seeds=[7])
    service.work()
    (picture,) = job.results(timeout=300)
    assert picture.image_bytes() == picture_of(1)
    assert picture.image().size == (24, 24)
    assert picture.title == f"{NETWORK}/classifier/1 (goldfish)"
    assert picture.predictions == (
        imago.Prediction(1, "goldfish", 0.75),
        imago.Prediction(1, "goldfish", 0.125),
    )
    assert picture.detail["recipe"]["technique"] == "dgn-am"
    path = picture.save(tmp_path)
    assert path.name == f"{NETWORK}__classifier__00001__goldfish__s7__{picture.digest[:8]}.png"
    assert path.read_bytes() == picture_of(1)
    assert picture.save(tmp_path / "new" / "fish.png").read_bytes() == picture_of(1)
    assert client.visualization(picture.digest).activation == picture.activation == 8.0
    assert [found.digest for found in client.visualizations(network=NETWORK, state="done")] == [
        picture.digest
    ]


def test_a_notebook_shows_pictures_and_says_why_there_is_none(client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/1"])
    (waiting,) = job.items()
    assert waiting._repr_png_() is None
    assert "queued" in waiting._repr_html_()
    with pytest.raises(imago.ImagoError, match="has no picture: it is queued"):
        waiting.image_bytes()
    service.work()
    (done,) = job.results(timeout=300)
    assert done._repr_png_() == picture_of(1)
    assert "data:image/png;base64," in done._repr_html_()


def test_a_unit_leads_to_its_best_picture(client: imago.Client, service: Service) -> None:
    unit = client.unit(f"{NETWORK}/output/1")
    assert (unit.label, unit.pictures, unit.best()) == ("goldfish", 0, None)
    with pytest.raises(imago.NotFound, match="Nobody has asked"):
        unit.image_bytes()
    client.submit(NETWORK, ["output/1"], seeds=[0, 1])
    service.work()
    assert unit.refresh().pictures == 2
    best = unit.best()
    assert best is not None
    assert best.seed == 1
    assert unit.image().size == (24, 24)
    assert [unit.number for unit in client.units(NETWORK, "output") if unit.pictures] == [1]


def test_units_of_a_layer_that_the_network_had_before_are_listed_on_request(
    client: imago.Client, service: Service
) -> None:
    client.submit(NETWORK, ["blocks.7/1"])
    service.work()
    with service.database.session() as session:
        session.execute(text("UPDATE layers SET is_current = false WHERE name = 'blocks.7'"))
    for ask in (client.layer, lambda *of: list(client.units(*of))):
        with pytest.raises(imago.NotFound):
            ask(NETWORK, "blocks.7")
    assert client.layer(NETWORK, "blocks.7", former=True).units == 48
    units = list(client.units(NETWORK, "blocks.7", former=True))
    assert [(unit.number, unit.pictures) for unit in units][:3] == [(0, 0), (1, 1), (2, 0)]
    assert units[1].image().size == (24, 24)
    assert client.layer(NETWORK, "output", former=True).name == "classifier"


def test_a_wrong_value_is_named_by_its_field(client: imago.Client) -> None:
    with pytest.raises(imago.InvalidRequest) as caught:
        client.submit(NETWORK, ["output/0", "output/990-1000"], parameters={"steps": 0})
    assert {error.field for error in caught.value.errors} <= {"targets[1].units", "recipe.parameters.steps"}
    assert "1000" in str(caught.value) or "steps" in str(caught.value)
    assert client.jobs() == []


def test_what_is_not_there_is_not_found(client: imago.Client) -> None:
    with pytest.raises(imago.NotFound, match="job_missing"):
        client.job("job_missing")
    with pytest.raises(imago.NotFound, match="efficientnet_lite0"):
        client.layers("efficientnet_lite9.imagenet")


def test_a_wrong_key_is_told_from_none(service: Service) -> None:
    wrong_key = "imago_aaaaaaaa_" + "x" * 43
    with (
        imago.Client(service.url, wrong_key) as client,
        pytest.raises(imago.NotAuthorized, match="not known"),
    ):
        client.networks()
    with imago.Client(service.url) as client:
        assert len(client.networks()) == 1
        with pytest.raises(imago.NotAuthorized, match="jobs:write"):
            client.submit(NETWORK, ["output/0"])


def test_a_canceled_job_ends_and_can_be_taken_up_again(client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0-3"]).cancel()
    assert (job.state, job.units.canceled) == ("canceled", 4)
    job.retry()
    assert job.state == "queued"
    service.work()
    assert job.refresh().state == "succeeded"


def test_a_submission_whose_answer_was_lost_makes_one_job(service: Service) -> None:
    with BrokenWire(service.url, lose=2).carrying() as wire, imago.Client(wire.url, service.key) as client:
        job = client.submit(NETWORK, ["output/0-3"])
    with imago.Client(service.url, service.key) as client:
        assert [known.id for known in client.jobs()] == [job.id]


def test_a_retry_whose_answer_was_lost_is_no_conflict(service: Service, client: imago.Client) -> None:
    id = client.submit(NETWORK, ["output/0-1"]).id
    service.fail(service.claim(), "the lamp went out")
    wire = BrokenWire(service.url, lose=1, to="POST")
    with wire.carrying(), imago.Client(wire.url, service.key) as shaky:
        job = shaky.job(id).retry()
        assert (job.state, job.units.queued, job.units.failed) == ("queued", 2, 0)
        with pytest.raises(imago.Conflict, match="no item that failed"):
            job.retry()


def test_a_retry_whose_answer_was_lost_is_told_also_of_what_failed_since_the_last_look(
    service: Service, client: imago.Client
) -> None:
    id = client.submit(NETWORK, ["output/0-1"]).id
    wire = BrokenWire(service.url, lose=1, to="POST")
    with wire.carrying(), imago.Client(wire.url, service.key) as shaky:
        job = shaky.job(id)
        service.fail(service.claim(), "the lamp went out")
        assert job.units.failed == 0
        assert job.retry().state == "queued"
    assert client.job(id).units.queued == 2


def test_a_key_that_may_not_read_may_retry(service: Service, client: imago.Client) -> None:
    with service.database.session() as session:
        _, key = keys.create_key(session, "a writer", ["jobs:write"])
    closed = create_app(service.settings.model_copy(update={"public_read": False}))
    with closing(context(closed)), serving(closed) as url, imago.Client(url, key) as writer:
        job = writer.submit(NETWORK, ["output/0-1"])
        with pytest.raises(imago.NotAuthorized):
            job.refresh()
        service.fail(service.claim(), "the lamp went out")
        assert job.retry().state == "queued"
    assert client.job(job.id).units.queued == 2


def test_who_waits_is_told_in_time_that_the_server_is_away(client: imago.Client, service: Service) -> None:
    id = client.submit(NETWORK, ["output/0"]).id
    wire = BrokenWire(service.url, lose=0)
    with imago.Client(wire.url, service.key) as away:
        with wire.carrying():
            job = away.job(id)
        for wait in (
            job.wait,
            lambda timeout: [*job.results(timeout=timeout)],
            lambda timeout: [*job.polls(timeout)],
        ):
            with pytest.raises(imago.WaitTimeout, match=f"{id} is still queued after 0.1 s"):
                wait(timeout=0.1)
        with pytest.raises(imago.Unreachable):
            job.refresh()


def test_who_waits_is_told_in_time_that_the_server_does_not_answer(client: imago.Client) -> None:
    raw = dict(client.submit(NETWORK, ["output/0"]).raw)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Transport(url, None) as transport, pytest.raises(imago.WaitTimeout, match="still queued"):
            imago.Job(raw, transport).wait(timeout=0.1)


def test_no_answer_is_waited_for_beyond_the_time_of_a_look(
    client: imago.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_WATCHING", 0.2)
    raw = dict(client.submit(NETWORK, ["output/0"]).raw)
    given: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Transport(url, None) as transport:
            seconds = given.append
            transport._http.event_hooks["request"] = [
                lambda sent: seconds(sent.extensions["timeout"]["read"])
            ]
            with pytest.raises(imago.Unreachable):
                imago.Job(raw, transport).wait(timeout=60.0)
    assert max(given) <= 1.0


def test_a_job_is_watched_across_lost_answers(service: Service, client: imago.Client) -> None:
    id = client.submit(NETWORK, ["output/0-3"]).id
    service.work()
    with BrokenWire(service.url, lose=3).carrying() as wire, imago.Client(wire.url) as shaky:
        assert len(list(shaky.job(id).results(timeout=300))) == 4


def test_a_server_that_is_down_is_given_some_time_and_then_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    began = time.monotonic()
    patience = Patience(seconds=0.5, refused=0.5, first=0.1)
    with (
        Transport(f"http://127.0.0.1:{port}", None, patience=patience) as transport,
        pytest.raises(imago.Unreachable, match=f"Cannot reach http://127.0.0.1:{port}"),
    ):
        transport.get("/v1/networks")
    assert time.monotonic() - began > 0.1


def test_a_server_that_comes_up_meanwhile_is_found(service: Service) -> None:
    wire = BrokenWire(service.url, lose=0)
    wire._listener.close()
    port = int(wire.url.rpartition(":")[2])
    with Transport(wire.url, None, patience=Patience(refused=30)) as transport:
        answers: list[int] = []
        asking = threading.Thread(
            target=lambda: answers.append(len(transport.get(path_to("networks"))["data"]))
        )
        asking.start()
        time.sleep(0.2)
        wire._listener = socket.create_server(("127.0.0.1", port))
        with wire.carrying():
            asking.join()
    assert answers == [1]


def test_what_cannot_stand_in_a_header_is_named_and_not_shown(client: imago.Client) -> None:
    for key in ("imago_\u2026", "imago_a\nb", "imago a"):
        with pytest.raises(imago.NotAuthorized, match="The key that was given cannot be one") as caught:
            imago.Client(client.url, key)
        assert key not in str(caught.value)
    for key in ("\u00e91", "a\nb", " a"):
        with pytest.raises(imago.InvalidRequest, match="idempotency key"):
            client.submit(NETWORK, ["output/0"], idempotency_key=key)
    assert client.jobs() == []


def test_another_service_at_the_address_is_told_apart(client: imago.Client, service: Service) -> None:
    with imago.Client(f"{service.url}/docs") as elsewhere, pytest.raises(imago.ImagoError) as caught:
        elsewhere.networks()
    assert service.url in str(caught.value) or "Nothing is served" in str(caught.value)
