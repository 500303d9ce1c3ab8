"""Candidates and class names, from Python and on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import imago
from tests.client.conftest import NETWORK, Service

Run = Callable[..., Result]
SEEDS, BEST = [0, 10_001, 20_002], 10_001


def test_the_best_of_candidates_is_asked_for_by_itself(client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0-1"], candidates=3)
    assert (job.candidates, job.units.total) == (3, 6)
    service.work()
    assert [(item.unit, item.seed) for item in job.items()] == [
        (unit, seed) for unit in (0, 1) for seed in SEEDS
    ]
    best = list(job.items(best=True))
    assert [(item.unit, item.seed, item.best, item.score) for item in best] == [
        (0, BEST, True, 1.0),
        (1, BEST, True, 1.0),
    ]
    assert len(list(job.items(best=False))) == 4
    alone = client.visualization(best[0].digest)
    assert (alone.score, alone.best) == (1.0, None)
    assert client.submit(NETWORK, ["output/0"]).candidates == 1


def test_with_candidates_the_best_are_written_and_all_of_them_on_request(
    run: Run, client: imago.Client, service: Service, tmp_path: Path
) -> None:
    run("submit", f"{NETWORK}/output/0-1", "--candidates", "3")
    (job,) = client.jobs()
    service.work()
    watched, got, every = (tmp_path / name for name in ("watched", "got", "every"))
    run("job", job.id, "--out", str(watched))
    run("get", job.id, "--out", str(got))
    assert sorted(p.name for p in watched.iterdir()) == sorted(p.name for p in got.iterdir())
    assert len([p for p in got.iterdir() if f"__s{BEST}__" in p.name]) == len(list(got.iterdir())) == 2
    run("get", job.id, "--all-candidates", "--out", str(every))
    assert len(list(every.iterdir())) == 6
    told = run("job", job.id, "--json", "--out", str(tmp_path / "json")).stdout.splitlines()
    events = [json.loads(line) for line in told]
    written = [e["visualization"]["seed"] for e in events if e["event"] == "visualization" and e["path"]]
    assert written == [BEST, BEST]


def test_a_unit_none_of_whose_candidates_is_done_is_named(
    run: Run, client: imago.Client, service: Service
) -> None:
    job = client.submit(NETWORK, ["output/0"], candidates=2)
    service.fail(service.claim(), "It cannot be done.")
    answer = run("get", job.id, expect=1)
    assert f"{NETWORK}/output/0 (tench) (failed)".replace("output", "classifier") in answer.stderr


@pytest.mark.parametrize("name", ["goldfish", "Great White Shark"])
def test_a_unit_is_asked_for_and_fetched_by_the_name_of_its_class(
    run: Run, client: imago.Client, service: Service, tmp_path: Path, name: str
) -> None:
    target = f"{NETWORK}/output/{name}"
    run("submit", target)
    (job,) = client.jobs()
    service.work()
    (picture,) = job.items()
    assert (picture.label or "").lower() == name.lower()
    run("get", target, "--out", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [picture.filename()]


@pytest.mark.parametrize("command", ["submit", "get"])
def test_a_name_that_no_class_has_is_answered_with_those_like_it(
    run: Run, service: Service, command: str
) -> None:
    answer = run(command, f"{NETWORK}/output/golfish", expect=2)
    assert "'goldfish'" in answer.stderr
