"""`make soak`: three workers, quick pictures, every fault that one machine allows, and the oracle at the end.

    make soak ITEMS=20000
    make soak MINUTES=30 SEED=7

Ends with a table and with status 1 if anything was lost, wrong or done twice.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import uuid
from pathlib import Path

from infra.local.processes.supervision import interruptible
from infra.local.servers import running
from services.base import log as logs
from services.base.database import Database, migrate
from services.base.storage import ObjectStore
from tests.own_settings import own_settings, own_variables
from tests.soak.run import Outcome, Plan, soak
from tests.worker_processes import Scene

LEASE_SECONDS, MAX_BATCH = 8.0, 16


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=20_000, help="to be accepted (%(default)s)")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="or so long (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what happens when (%(default)s)")
    parser.add_argument("--pause", type=float, default=8.0, help="seconds between faults (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("IMAGO_")]:
        del os.environ[name]  # of some other imago
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    logs.configure("console", "critical")  # servers go away all the time
    home = Path(tempfile.mkdtemp(prefix="imago-soak-"))
    home.chmod(0o711)
    plan = Plan(given.items, given.minutes * 60, seed=given.seed, pause=given.pause)
    print(f"soak: {given.items} items or {given.minutes:g} minutes, seed {given.seed}", flush=True)
    try:
        with interruptible():
            outcome = _run(home, plan)
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(home, ignore_errors=True)
    _print(outcome)
    if given.json:
        given.json.write_text(json.dumps(outcome.as_json(), indent=2) + "\n")
    return 1 if outcome.faults else 0


def _run(home: Path, plan: Plan) -> Outcome:
    with running(home, durable=False) as servers:
        template = f"template_{uuid.uuid4().hex[:12]}"
        servers.postgres.administer(f"CREATE DATABASE {template}")
        migrate(servers.postgres.url_of(template))
        with own_settings(servers, template) as settings:
            database = Database(settings.database_url)
            store = ObjectStore(settings)
            store.ensure_bucket()
            environment = own_variables(servers.endpoints, settings)
            folder = home / "world"
            folder.mkdir()
            scene = Scene.build(
                database,
                store,
                settings,
                environment,
                folder,
                lease_seconds=LEASE_SECONDS,
                max_batch=MAX_BATCH,
            )
            try:
                return soak(scene, servers, plan, report=lambda line: print(line, flush=True))
            finally:
                scene.close()
                database.dispose()


def _print(outcome: Outcome) -> None:
    rows = [
        ("items accepted", outcome.accepted),
        *((f"  {state}", count) for state, count in sorted(outcome.items.items())),
        ("jobs", outcome.jobs),
        ("objects fetched, each with its hash", outcome.objects),
        ("faults injected", sum(outcome.injected.values())),
        *((f"  {name}", count) for name, count in sorted(outcome.injected.items())),
        ("times that an item was claimed", outcome.claimed),
        ("items in batches that lapsed", f"{outcome.lapsed_items} (at most {outcome.lapsed_bound})"),
        ("slowest end after SIGTERM", f"{max(outcome.drained_seconds, default=0):.1f} s"),
        ("minutes", f"{outcome.seconds / 60:.1f}"),
    ]
    print()
    for name, value in rows:
        print(f"{name:<42} {value:>10}")
    print()
    print("\n".join(f"WRONG: {line}" for line in outcome.faults) or "nothing lost, nothing wrong")


if __name__ == "__main__":
    sys.exit(main())
