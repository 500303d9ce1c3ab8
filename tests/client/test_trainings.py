"""Trainings from Python and from the command line, against the API itself."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import imago
from imago_engine.artifacts import ArtifactKind
from services.catalog.tables import LayerRow
from services.queue import workers
from services.trainings import leases as training_leases
from services.trainings.leases import Sample, TrainingClaim
from tests.client.conftest import NETWORK, Run, Service, picture_of

UNITS = 16
"""As many as the codes of the generator `small` have, so that a training could start from it."""


@pytest.fixture(autouse=True)
def _layer(service: Service) -> None:
    with service.database.session() as session:
        session.add(
            LayerRow(network_id=NETWORK, name="bn2", ordinal=98, kind="norm", units=UNITS, height=7, width=7)
        )
        session.add(LayerRow(network_id=NETWORK, name="global_pool", ordinal=99, kind="pool", units=UNITS))


def train(service: Service) -> TrainingClaim:
    """What a worker does until its first sample."""
    with service.database.session() as session:
        claim = training_leases.claim(session, "test-worker", lease_seconds=60)
    assert claim is not None
    grid = service.store.put(ArtifactKind.IMAGE, picture_of(1), "image/png")
    sample = Sample(500, {"pixels": 0.0625, "layout": 0.25}, grid, datetime.now(UTC))
    progress = {"phase": "training", "pictures": 600, "rate": 50.0, "losses": {"layout": 0.125}}
    with service.database.session() as session:
        assert training_leases.report(session, claim.id, claim.lease_id, progress, [sample])
    return claim


def finish(service: Service, claim: TrainingClaim) -> None:
    info = {"architecture": "compact", "code_shape": [16], "image_size": 32, "encoder": NETWORK}
    with service.database.session() as session:
        assert training_leases.finish(
            session, claim, info=info, sha256="d" * 64, log="l", card=None, progress={}, samples=()
        )


def test_a_training_is_submitted_watched_and_used(client: imago.Client, service: Service) -> None:
    training = client.train_generator(["birds"], name="birds-64", pictures=1600, image_size=32)
    assert (training.state, training.name, training.total) == ("queued", "birds-64", 1600)
    claim = train(service)
    training.refresh()
    assert (training.phase, training.pictures, training.rate, training.eta_seconds) == (
        "training",
        600,
        50.0,
        20.0,
    )
    assert training.losses == {"layout": 0.125}
    assert [(s.pictures, s.held_out["pixels"]) for s in training.samples] == [(500, 0.0625)]
    assert training.grid() == picture_of(1)
    finish(service, claim)
    assert training.wait(timeout=60).generator == "birds-64"
    assert "birds-64" in {generator.id for generator in client.generators()}


def test_a_wrong_field_is_named(client: imago.Client) -> None:
    with pytest.raises(imago.InvalidRequest, match=r"training\.sources\[0\]: must be a name below"):
        client.train_generator(["/etc"], name="birds", pictures=5)
    with pytest.raises(imago.InvalidRequest, match=r"training\.options\.pace: is not a known field"):
        client.train_generator(["birds"], name="birds", pictures=5, options={"pace": 2})
    with pytest.raises(imago.InvalidRequest, match="'small' is the name of a generator"):
        client.train_generator(["birds"], name="small", pictures=5)


def test_the_command_submits_and_says_how_to_watch(run: Run, client: imago.Client) -> None:
    until = (datetime.now() + timedelta(days=1)).isoformat(timespec="minutes")
    done = run(
        *("train-generator", "birds", "more/cats.tar", "--name", "pets", "--encoder", NETWORK),
        *("--layer", "global_pool", "--pictures", "1000", "--until", until, "--image-size", "32"),
    )
    (training,) = client.trainings()
    assert done.stdout.startswith(f"{training.id} queued, 0 of 1,000 pictures")
    assert f"imago training {training.id} --watch" in done.stderr
    assert training.raw["request"]["sources"] == ["birds", "more/cats.tar"]
    assert (
        datetime.fromisoformat(training.raw["request"]["until"]) == datetime.fromisoformat(until).astimezone()
    )
    assert training.id in run("trainings").stdout
    assert json.loads(run("trainings", "--json").stdout)["data"][0]["id"] == training.id


def test_the_command_asks_for_all_that_a_training_takes(run: Run, client: imago.Client) -> None:
    run(
        *("train-generator", "birds", "--name", "birds-64", "--encoder", NETWORK, "--layer", "global_pool"),
        *("--preset", "default", "-o", "layout_weight=3", "--option", "average_decay=0.99"),
        *("--warm-start", "small", "--precision", "bfloat16", "--feature-size", "64", "--held-out", "64"),
        *("--minimum", "100", "--corrupt-share", "0.25", "--sample-every", "60", "--checkpoint-every", "90"),
    )
    (training,) = client.trainings()
    asked = {
        "preset": "default",
        "options": {"layout_weight": 3, "average_decay": 0.99},
        "warm_start": "small",
        "precision": "bfloat16",
        "feature_size": 64,
        "held_out": 64,
        "minimum": 100,
        "corrupt_share": 0.25,
        "sample_seconds": 60,
        "checkpoint_seconds": 90,
    }
    assert asked.items() <= training.raw["request"].items()
    wrong = run(
        *("train-generator", "x", "--name", "y", "--encoder", NETWORK, "--layer", "global_pool"),
        *("--preset", "default", "--encoder-grid", "2", "-o", "layout_weight=-1", "--warm-start", "smal"),
        expect=2,
    )
    for field in ("training.encoder.grid", "training.options.layout_weight", "training.warm_start"):
        assert field in wrong.stderr
    assert "layout_weight=3" in run("train-generator", "x", "--name", "y", "-o", "fast", expect=2).stderr


def test_the_presets_are_shown_with_their_options(run: Run, client: imago.Client) -> None:
    assert [preset.id for preset in client.presets() if preset.is_default] == ["default"]
    assert client.preset("deepsim").image_sizes == (256,)
    assert "texture_weight" in run("presets").stdout
    shown = run("presets", "deepsim")
    assert "halve_at" in shown.stdout
    assert "texture_weight" not in shown.stdout
    assert json.loads(run("presets", "deepsim", "--json").stdout)["id"] == "deepsim"
    assert "There is no preset" in run("presets", "fast", expect=3).stderr


def test_the_queue_shows_trainings_and_says_when_nobody_could_take_them(
    run: Run, client: imago.Client, service: Service
) -> None:
    assert "trainings" not in run("queue").stdout
    client.train_generator(["birds"], name="birds-64", pictures=1600)
    assert client.queue().trainings.queued == 1
    shown = run("queue")
    assert "trainings: 1 queued, 0 in the making" in shown.stdout
    assert "No worker that is alive has a data root" in shown.stderr
    with service.database.session() as session:
        workers.register(session, "test-worker", host="here", device="cpu", has_data_root=True)
    train(service)
    shown = run("queue")
    assert "trainings: 0 queued, 1 in the making" in shown.stdout
    assert "data root" not in shown.stderr


def test_wrong_values_end_with_2_and_say_what_is_wanted(run: Run) -> None:
    wrong = run("train-generator", "../x", "--name", "a b", "--pictures", "0", expect=2)
    assert "training.sources[0]: must be a name below the data root" in wrong.stderr
    assert "training.pictures: must be at least 1" in wrong.stderr
    assert (
        "2027-01-31T19:25" in run("train-generator", "x", "--name", "y", "--until", "soon", expect=2).stderr
    )
    assert "There is no training" in run("training", "trn_0", expect=3).stderr


def test_watching_ends_with_the_training(run: Run, client: imago.Client, service: Service) -> None:
    training = client.train_generator(["birds"], name="birds-64", pictures=1600)
    claim = train(service)
    shown = run("training", training.id)
    assert "training, 600 of 1,600 pictures, 50.0/s, 20 s left" in shown.stdout
    assert "losses: layout 0.125" in shown.stdout
    assert "held out at 500: layout 0.250  pixels 0.062" in shown.stdout
    finish(service, claim)
    watched = run("training", training.id, "--watch")
    assert "succeeded" in watched.stdout
    assert "--generator birds-64" in watched.stderr


def test_a_training_that_failed_ends_with_1_and_says_why(
    run: Run, client: imago.Client, service: Service
) -> None:
    training = client.train_generator(["birds"], name="birds-64", pictures=1600)
    claim = train(service)
    with service.database.session() as session:
        training_leases.fail(session, claim.id, claim.lease_id, "source_refused", "the birds [have] flown")
    watched = run("training", training.id, "--watch", expect=1)
    assert "the birds [have] flown" in watched.stderr
    streamed = run("training", training.id, "--watch", "--json", expect=1)
    [event] = [json.loads(line) for line in streamed.stdout.splitlines()]
    assert (event["event"], event["training"]["state"]) == ("end", "failed")


def test_the_grid_is_written_and_the_training_canceled(
    run: Run, client: imago.Client, service: Service, tmp_path: Path
) -> None:
    training = client.train_generator(["birds"], name="birds-64", pictures=1600)
    assert "has no sample grid yet" in run("training", training.id, "--grid", "grid.png", expect=1).stderr
    train(service)
    run("training", training.id, "--grid", "grid.png")
    assert (tmp_path / "grid.png").read_bytes() == picture_of(1)
    assert "canceling" in run("training", training.id, "--cancel").stdout
