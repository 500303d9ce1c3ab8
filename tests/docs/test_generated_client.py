"""A client that openapi-python-client makes of openapi.json submits, follows and downloads."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.stack import Stack
from tests.docs.blocks import ROOT

# What someone would write who has never seen our own client.
USE = """
import sys
import time

from made import AuthenticatedClient
from made.api.jobs import get_job, list_job_visualizations, submit_job
from made.api.networks import get_network
from made.api.visualizations import get_code, get_image, get_visualization
from made.models import JobRequest, JsonObject, Lane, ProblemDocument, RecipeRequest, Target

url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token, timeout=120, raise_on_unexpected_status=False)
NETWORK = "efficientnet_lite0.imagenet"
deadline = time.monotonic() + 240
while get_network.sync(NETWORK, client=client).state != "ready":
    assert time.monotonic() < deadline
    time.sleep(0.5)

request = JobRequest(
    network=NETWORK,
    targets=[Target(layer="output", units="207"), Target(layer="output", units=[3, 4])],
    recipe=RecipeRequest(parameters=JsonObject.from_dict({"steps": 2})),
    lane=Lane.INTERACTIVE,
)
job = submit_job.sync(client=client, body=request, prefer="wait=1", idempotency_key="from-a-made-client")
assert job.links.self_ == f"/v1/jobs/{job.id}", job
while job.state in ("queued", "running"):
    assert time.monotonic() < deadline, job
    job = get_job.sync(job.id, client=client, prefer="wait=5")
assert (job.state, job.progress.units.done) == ("succeeded", 3), job

page = list_job_visualizations.sync(job.id, client=client, limit=2)
rest = list_job_visualizations.sync(job.id, client=client, limit=2, cursor=page.next_cursor)
items = [*page.data, *rest.data]
assert {item.unit for item in items} == {207, 3, 4}
for item in items:
    picture = get_image.sync_detailed(item.digest, client=client)
    assert picture.status_code == 200
    assert picture.content.startswith(b"\\x89PNG")
    shown = get_visualization.sync(item.digest, client=client)
    assert shown.image.bytes_ == len(picture.content)
    assert shown.recipe.parameters["steps"] == 2
    assert len(get_code.sync(item.digest, client=client).payload.read()) > 0

refused = submit_job.sync(client=client, body=JobRequest(network=NETWORK, targets=[]))
assert isinstance(refused, ProblemDocument), refused
assert refused.errors[0].pointer == "/targets"
print("three pictures")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package `made` lies, made of the document that is committed."""
    folder = tmp_path_factory.mktemp("generated")
    command = [sys.executable, "-m", "openapi_python_client", "generate"]
    command += ["--path", str(ROOT / "openapi.json"), "--output-path", str(folder / "made"), "--meta", "none"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    # It reads PNG and lines of JSON as plain bytes only where told to; nothing else may be left out.
    complaints = [line for line in made.stdout.splitlines() if "Cannot parse" in line or "Unable" in line]
    assert all("Unsupported content_type" in line for line in complaints), made.stdout
    return folder


def test_a_made_client_submits_follows_and_downloads(folder: Path, stack: Stack) -> None:
    (folder / "use.py").write_text(USE)
    used = subprocess.run(
        [sys.executable, "use.py", stack.api_url, stack.key],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert used.returncode == 0, used.stdout + used.stderr
    assert used.stdout == "three pictures\n"
