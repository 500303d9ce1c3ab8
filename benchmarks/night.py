"""What a night gets: `make bench-night` builds the atlas of EfficientNet-lite0's blocks, unattended.

The machine runs the whole service as `make up` does. A few pictures of each layer are made first, from which
the service learns what they cost; then it is asked how long the atlas will take, and the atlas is built with
the default recipe. Stopped anywhere (^C, a restart of the machine), the same command goes on: hours count
while the service runs.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks import outcome
from imago import Client
from imago.atlases.atlas import Atlas
from infra.local.processes.supervision import interruptible
from infra.local.stack import Stack
from services.base.database import Database
from services.base.settings import Settings
from services.pictures.tables import ArtifactRow

NETWORK = "efficientnet_lite0.imagenet"
NIGHT_HOURS = 8.0
_LEARNED_FROM = "::97"
"""Units of each layer that are made before the estimate: a few of every kind, and enough to fill groups."""


class _Account:
    """What is known of the build so far, kept in a file beside the service's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.facts: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def note(self, **facts: Any) -> None:
        """Keep these too; a kill leaves the file as it was or as it is."""
        self.facts |= facts
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.facts))
        new.replace(self._path)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, default=Path(".imago/bench-night"))
    parser.add_argument("--layers", default="blocks", help="in the words of `imago build` (%(default)s)")
    parser.add_argument("--units", default="all")
    given = parser.parse_args()
    os.environ.setdefault("IMAGO_LOG_LEVEL", "warning")
    try:
        with interruptible():
            found = _night(given.home, given.layers, given.units)
    except KeyboardInterrupt:
        print("Stopped; the same command goes on.")
        return 130
    _show(found)
    outcome.write("night", found)
    return 0


def _night(home: Path, layers: str, units: str) -> dict[str, Any]:
    home.mkdir(parents=True, exist_ok=True)
    account = _Account(home / "night.json")
    with Stack(home) as stack, Client(stack.api_url, key=stack.key) as client:
        client.wait_for_network(NETWORK)
        if "atlas" not in account.facts:
            account.note(**_begun(client, layers, units))
        atlas = client.atlases.get(account.facts["atlas"])
        before, began = account.facts.get("seconds", 0.0), time.monotonic()

        def seen(atlas: Atlas) -> None:
            account.note(seconds=before + time.monotonic() - began)
            pictures = atlas.pictures
            hours = account.facts["seconds"] / 3600
            print(f"\r{pictures.settled:>6} of {pictures.total} in {hours:.2f} h", end="", flush=True)

        atlas.wait(seen)
        print()
        return {**_outcome(atlas, account.facts), "bytes": _bytes(stack)}


def _begun(client: Client, layers: str, units: str) -> dict[str, Any]:
    """The atlas and what was estimated of it."""
    learning = client.atlases.create(NETWORK, name="what they cost", layers=layers, units=_LEARNED_FROM)
    learning.wait()
    estimate = client.atlases.estimate(NETWORK, layers=layers, units=units)
    atlas = client.atlases.create(NETWORK, name="a night", layers=layers, units=units)
    return {"atlas": atlas.id, "estimated_seconds": estimate.seconds, "known_before": estimate.cached}


def _bytes(stack: Stack) -> int:
    """What the store keeps of all pictures: images, small ones, codes, traces."""
    names = stack.endpoints.environment()
    settings = Settings(**{name.removeprefix("IMAGO_").lower(): value for name, value in names.items()})
    with Database.opened(settings.database_url) as database, database.session() as session:
        return int(session.execute(sa.select(sa.func.sum(ArtifactRow.bytes))).scalar_one() or 0)


def _outcome(atlas: Atlas, facts: Mapping[str, Any]) -> dict[str, Any]:
    pictures, hours = atlas.pictures, facts["seconds"] / 3600
    made = pictures.settled - facts["known_before"]
    estimated = facts["estimated_seconds"]
    return {
        "network": atlas.network,
        "units": pictures.total,
        "made": made,
        "failed": pictures.failed,
        "unreachable": pictures.unreachable,
        "hours": round(hours, 3),
        "units_per_hour": round(made / hours) if hours else None,
        "estimated_hours": None if estimated is None else round(estimated / 3600, 3),
        "layers": [
            {
                "layer": layer.name,
                "technique": layer.technique,
                "units": layer.pictures.total,
                "failed": layer.pictures.failed,
                "unreachable": layer.pictures.unreachable,
            }
            for layer in atlas.layers()
        ],
    }


def _show(found: Mapping[str, Any]) -> None:
    print(f"{'layer':<20} {'technique':<10} {'units':>6} {'failed':>6} {'unreachable':>11}")
    for row in found["layers"]:
        print(
            f"{row['layer']:<20} {row['technique']:<10} {row['units']:>6} {row['failed']:>6}"
            f" {row['unreachable']:>11}"
        )
    rate = found["units_per_hour"]
    print(f"{found['bytes'] / 2**20:.0f} MiB of pictures in the store.")
    print(f"{found['made']} pictures in {found['hours']} hours, {rate} an hour.")
    print(f"Estimated before: {found['estimated_hours']} hours. A night gets {round(rate * NIGHT_HOURS)}.")


if __name__ == "__main__":
    raise SystemExit(main())
