"""What the commands say: in commands and not in calls of HTTP, on one line, in numbers that people write."""

import io
import json
import re
from importlib.resources import files
from typing import Any

import pytest
from rich.console import Console

import imago
from api.openapi.client_help import client_help
from imago.cli.in_commands import COMMANDS, in_commands
from imago.cli.numbers import as_value, grouped, number
from imago.cli.session import Session
from services.catalog.inspections import record_inspection_failure
from services.catalog.tables import LayerRow
from tests.client.conftest import NETWORK, Run, Service

OTHER = "resnet18.a1_in1k"
REASON = "the weights do not fit timm:resnet18:\n" + "tensors of another shape, " * 40 + "and the end"


def _failed(client: imago.Client, service: Service, id: str = OTHER, reason: str = REASON) -> None:
    client.add_network(id)
    with service.database.session() as session:
        assert record_inspection_failure(session, id, reason)


def test_what_is_in_the_way_is_told_in_commands(run: Run, client: imago.Client, service: Service) -> None:
    client.add_network(OTHER)
    service.inspect(OTHER)
    job = client.submit(OTHER, ["output/0"]).id
    with service.database.session() as session:
        row = LayerRow(network_id=NETWORK, name="bn2", ordinal=98, kind="norm", units=8, height=7, width=7)
        session.add(row)
        row = LayerRow(network_id=OTHER, name="bn2", ordinal=98, kind="norm", units=8, height=7, width=7)
        session.add(row)
    training = client.train_generator(["birds"], name="birds", encoder=OTHER, layer="bn2", pictures=100).id
    refused = [
        (("delete", job), 1, f"imago cancel {job}"),
        (("delete", training), 1, f"imago training {training} --cancel"),
        (("networks", "remove", OTHER), 1, f"imago delete {job}"),
        (("job", "job_none"), 3, "imago submit"),
        (("training", "trn_none"), 3, "imago train-generator"),
        (("submit", "nothing.v1/output/0"), 2, "imago networks add"),
    ]
    for arguments, status, command in refused:
        said = run(*arguments, expect=status).stderr
        assert f"`{command}`" in said, said
        assert "/v1/" not in said
        program = json.loads(run(*arguments, "--json", expect=status).stderr)["error"]
        assert f"`{command}`" in json.dumps(program)
        assert "/v1/" not in json.dumps(program)
    client.job(job).cancel()
    run("delete", job)
    said = run("networks", "remove", OTHER, expect=1).stderr
    assert f"`imago training {training} --cancel`" in said


def test_only_whole_calls_that_a_command_makes_become_commands() -> None:
    assert in_commands("First DELETE /v1/networks/resnet18.a1_in1k.") == (
        "First `imago networks remove resnet18.a1_in1k`."
    )
    assert in_commands("DELETE /v1/generators/a%20b, then") == "`imago delete a b`, then"
    for other in ("POST /v1/keys makes one.", "/v1/jobs has them", "GET /v1/jobs/a/visualizations."):
        assert in_commands(other) == other


def test_the_commands_that_are_named_are_there(run: Run) -> None:
    for command in {command for _, _, command in COMMANDS}:
        words = command.replace("{}", "").split()[1:]
        usage = "Usage: imago " + " ".join(word for word in words if word[0] != "-")
        assert usage in run(*words, "--help").stdout


def test_a_long_error_is_one_short_line_in_the_list_and_whole_where_one_is_shown(
    run: Run, client: imago.Client, service: Service
) -> None:
    _failed(client, service)
    listed = run("networks")
    lines = listed.stdout.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 120
    assert lines[2].endswith("…")
    assert "imago networks show" in listed.stderr
    shown = run("networks", "show", OTHER).stdout
    assert f"error: {REASON.replace(chr(10), ' ')}\n" in shown
    assert json.loads(run("networks", "--json").stdout)["data"][1]["error"] == REASON
    assert json.loads(run("networks", "show", OTHER, "--json").stdout)["error"] == REASON
    ready = run("networks", "show", NETWORK).stdout
    assert f"{NETWORK} is ready" in ready
    assert "classes: 1000" in ready
    client.remove_network(OTHER)
    assert run("networks").stderr == ""  # nothing is cut


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_row_is_one_line_of_the_terminal(width: int) -> None:
    drawn = io.StringIO()
    session = Session(out=Console(file=drawn, force_terminal=True, width=width, highlight=False))
    session.err = Console(file=io.StringIO())
    session.table(["NETWORK", "ERROR"], [("a.v1", REASON), ("b.v1", None)], in_full="imago")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", drawn.getvalue()).splitlines()
    assert len(lines) == 3
    assert lines[1].rstrip().endswith("…")


def test_the_doctor_names_networks_that_cannot_be_used(
    run: Run, client: imago.Client, service: Service
) -> None:
    _failed(client, service, reason="there are\nno such weights")
    client.add_network("resnet18.IMAGENET1K_V1")
    checks = json.loads(run("doctor", "--json").stdout)["checks"]
    found = {check["name"]: (check["verdict"], check["detail"]) for check in checks}
    assert found["networks"] == ("ok", "1 ready of 3")
    assert found[f"network {OTHER}"] == ("warning", "failed: there are no such weights")
    assert found["network resnet18.IMAGENET1K_V1"] == ("warning", "still to be inspected by a worker")
    assert f"network {OTHER}: failed: there are no such weights" in run("doctor").stdout
    for index in range(12):
        client.add_network(f"resnet18.tag{index}")
    assert "more networks: 4 are not ready either: imago networks" in run("doctor").stdout


def test_limits_and_defaults_are_written_as_people_write_them(run: Run) -> None:
    shown = run("presets").stdout + run("presets").stderr + run("techniques").stdout
    assert not re.search(r"\d\.0\b|[≤<] \d{4}|e-0", shown), shown
    assert "0 ≤ number ≤ 1,000,000 " in shown
    assert "0 < number ≤ 1,000 " in shown


@pytest.mark.parametrize(
    ("value", "typed", "read"),
    [
        (1e6, "1000000", "1,000,000"),
        (10**11, "100000000000", "100,000,000,000"),
        (8.0, "8", "8"),
        (-1.0, "-1", "-1"),
        (0.999, "0.999", "0.999"),
        (2e-6, "2e-6", "2e-6"),
        (1e-10, "1e-10", "1e-10"),
        (1e30, "1e30", "1e30"),
    ],
)
def test_numbers(value: float, typed: str, read: str) -> None:
    assert (number(value), grouped(value)) == (typed, read)
    assert float(typed) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [([1.0, 2e-6, None], "[1, 2e-6, null]"), (True, "true"), ("sigma", '"sigma"'), (None, "null")],
)
def test_other_values_are_json(value: Any, text: str) -> None:
    assert as_value(value) == text


def test_a_field_larger_than_the_input_sees_all_of_it(run: Run, service: Service) -> None:
    fields = {"just": 223, "whole": 224, "late": 851, "pool": None}
    with service.database.session() as session:
        for ordinal, (name, field) in enumerate(fields.items(), 10):
            session.add(
                LayerRow(
                    network_id=NETWORK,
                    name=name,
                    ordinal=ordinal,
                    kind="conv",
                    units=8,
                    height=7,
                    width=7,
                    receptive_field=field,
                    stride=32,
                )
            )
    shown = {line.split()[0]: line for line in run("layers", NETWORK, "--all").stdout.splitlines()}
    said = {name: " ".join(shown[name].split()[3:]) for name in fields}
    assert said == {
        "just": "7×7 223 px",
        "whole": "7×7 all (224 px)",
        "late": "7×7 all (851 px)",
        "pool": "7×7",
    }


def test_help_describes_requests_as_the_server_does(run: Run) -> None:
    committed = files("imago.cli").joinpath("descriptions.json").read_text(encoding="utf-8")
    assert committed == client_help(), "run `make openapi` and commit descriptions.json with the code"
    shown = " ".join(run("train-generator", "--help").stdout.replace("│", " ").split())
    assert "Pictures kept from training, to measure with." in shown
