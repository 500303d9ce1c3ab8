"""Commands that list, and those that add and remove networks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import imago
from tests.client.conftest import NETWORK, Run, Service


def read(text: str) -> Any:
    return json.loads(text)


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_lists_are_tables_for_people_and_json_for_programs(run: Run, client: imago.Client) -> None:
    job = client.submit(NETWORK, ["output/0"])
    assert f"{NETWORK}  ready" in run("networks").stdout
    layers = [line.split() for line in run("layers", NETWORK).stdout.splitlines()]
    assert ["blocks.3", "block", "80", "14×14", "100", "px", "block"] in layers
    assert ["blocks.7", "block", "48", "17", "tokens,", "usually", "@0", "block"] in layers
    assert job.id in run("jobs").stdout
    assert "steps" in run("techniques").stdout
    assert "small" in run("generators").stdout
    assert "interactive  1" in run("queue").stdout
    assert [entry["id"] for entry in read(run("networks", "--json").stdout)["data"]] == [NETWORK]
    assert [entry["name"] for entry in read(run("--json", "layers", NETWORK).stdout)["data"]] == [
        "blocks.3",
        "blocks.7",
        "classifier",
    ]
    assert [entry["id"] for entry in read(run("jobs", "--json", "--state", "queued").stdout)["data"]] == [
        job.id
    ]
    assert read(run("job", job.id, "--json").stdout)["progress"]["units"]["queued"] == 1
    assert read(run("queue", "--json").stdout)["object"] == "queue"
    assert read(run("cancel", job.id, "--json").stdout)["state"] == "canceled"


def test_layers_are_those_that_people_mean_unless_others_are_asked_for(run: Run) -> None:
    def listed(*options: str) -> list[str]:
        return [entry["name"] for entry in read(run("layers", NETWORK, *options, "--json").stdout)["data"]]

    assert listed() == listed("--layers", "blocks") == ["blocks.3", "blocks.7", "classifier"]
    assert listed("--all") == listed("--layers", "all") == ["blocks.3", "blocks.7", "norm", "classifier"]
    assert listed("--layers", "output,blocks.*") == ["blocks.3", "blocks.7", "classifier"]
    assert listed("--layers", "norm") == ["norm"]
    shown = run("layers", NETWORK)
    assert "3 layers with 1,128 units; --all lists" in shown.stdout + shown.stderr
    assert "= blocks.7" in run("layers", NETWORK, "--all").stdout
    refused = run("layers", NETWORK, "--layers", "blocks.9.*", expect=2)
    assert "'blocks.9.*' matches no layer" in refused.stderr


def test_a_job_of_several_layers_says_which_they_were(run: Run, client: imago.Client) -> None:
    job = read(run("submit", f"{NETWORK}/blocks/sample:2@7", "--json").stdout)
    assert job["progress"]["units"]["total"] == 6
    assert [target["layer"] for target in job["request"]["targets"]] == ["blocks.3", "blocks.7", "classifier"]
    assert len(list(client.submit(NETWORK, {"blocks.*": "0-1"}).items())) == 4
    refused = run("submit", f"{NETWORK}/conv*/0", expect=2)
    assert f"{NETWORK}/conv*/0: 'conv*' matches no layer" in refused.stderr


def test_a_queue_in_which_nothing_waits_has_no_time_left(run: Run, client: imago.Client) -> None:
    assert " left" not in run("queue").stdout


def test_what_is_stated_of_a_network_is_sent(run: Run, client: imago.Client, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("one\ntwo words\n")
    added = run(
        *("networks", "add", "own.v1", "--architecture", "timm:resnet18", "--weights", "w.safetensors"),
        *("--labels", str(tmp_path / "names.txt"), "--mean", "0.5,0.5,0.25", "--std", "1,1,0.5"),
        *("--input-size", "64", "--channels", "bgr", "--json"),
    )
    assert read(added.stdout)["state"] == "pending"
    again = client.add_network(
        "own.v1",
        architecture="timm:resnet18",
        weights="w.safetensors",
        labels=["one", "two words"],
        mean=[0.5, 0.5, 0.25],
        std=[1, 1, 0.5],
        input_size=64,
        channels="bgr",
    )
    assert again.awaits_inspection  # the same once more is no conflict


def test_what_states_nothing_readable_is_named(run: Run, tmp_path: Path) -> None:
    assert "three numbers" in run("networks", "add", "own.v1", "--mean", "0.5", expect=2).stderr
    (tmp_path / "names.json").write_text('["a", 3]')
    wrong = run("networks", "add", "own.v1", "--labels", str(tmp_path / "names.json"), expect=2)
    assert "more than strings" in wrong.stderr


def test_a_network_is_added_and_waited_for(
    run: Run, service: Service, command_environment: dict[str, str], tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "imago", "networks", "add", "resnet18.IMAGENET1K_V1", "--wait"],
        env=command_environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as added:
        try:
            assert added.stderr is not None
            assert "Waiting for a worker" in added.stderr.readline()
            service.inspect("resnet18.IMAGENET1K_V1")
            out, _ = added.communicate(timeout=60)
        finally:
            added.kill()
    assert added.returncode == 0
    assert out == "resnet18.IMAGENET1K_V1 is ready\n"


def test_what_nothing_needs_is_removed(run: Run, client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0"])
    assert "cancel it first" in run("delete", job.id, expect=1).stderr
    job.cancel()
    assert run("delete", job.id).stdout == f"{job.id} is removed.\n"
    client.add_network("resnet18.IMAGENET1K_V1")
    assert "is removed" in run("networks", "remove", "resnet18.IMAGENET1K_V1").stdout
    assert [network.id for network in client.networks()] == [NETWORK]
    # Those that the operator registered are not this key's to remove.
    assert "admin" in run("networks", "remove", NETWORK, expect=4).stderr
    assert "admin" in run("delete", "small", expect=4).stderr
    assert "There is no job" in run("delete", job.id, "--json", expect=3).stderr
