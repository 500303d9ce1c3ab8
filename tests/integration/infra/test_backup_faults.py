"""A backup that cannot be made ends with 2 and a sentence, and what it leaves behind is no backup."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from infra.archive import Archive, ArchiveError
from services.base.database import Database, patient_transaction
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.queue import batches
from services.schema import Base
from tests.integration import staging
from tests.integration.staging import claim, request, submit

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 120.0
_CUT = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND state = 'idle in transaction' AND query LIKE '%alembic_version%' AND query NOT LIKE '%pg_stat%'
""")


@pytest.fixture
def served(database: Database, store: ObjectStore) -> None:
    """A service with one picture."""
    staging.stage(database)
    submit(database, request("0"))
    claimed = claim(database)
    with database.session() as session:
        batches.conclude(
            session,
            claimed.lease_id,
            finished=[staging.real_picture(store, item.digest) for item in claimed.items],
        )


def _start(folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.admin", "backup", str(folder)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _refused(backup: subprocess.Popen[str], folder: Path) -> str:
    """What a backup said that could not be made."""
    out, told = backup.communicate(timeout=PATIENCE_SECONDS)
    assert backup.returncode == 2, out + told
    assert "Traceback" not in told
    with pytest.raises(ArchiveError, match="no whole backup"):
        Archive(folder).read_manifest()
    return told


@pytest.mark.usefixtures("served")
def test_a_full_disk_is_said_and_leaves_no_backup(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pointers.gz").symlink_to("/dev/full")
    assert "No space left on device" in _refused(_start(tmp_path, environment), tmp_path)
    (tmp_path / "pointers.gz").unlink()
    again = _start(tmp_path, environment)
    again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 1  # whole, but for the generator: the scene has no file of it
    assert len(Archive(tmp_path).read_manifest().lost) == 1


@pytest.mark.usefixtures("served")
def test_a_database_that_goes_away_is_said_and_leaves_no_backup(
    database: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    first = tmp_path / "tables" / f"{Base.metadata.sorted_tables[0].name}.copy.gz"
    first.parent.mkdir()
    os.mkfifo(first)  # whoever writes to it waits for a reader
    backup = _start(tmp_path, environment)
    deadline = time.monotonic() + PATIENCE_SECONDS
    cut: list[bool] = []
    while not cut and time.monotonic() < deadline and backup.poll() is None:
        with database.session() as session:
            cut = list(session.scalars(_CUT))
        time.sleep(0.05)
    if backup.poll() is None:
        first.read_bytes()
    assert "The database does not answer." in _refused(backup, tmp_path)
    assert cut == [True]


def test_a_long_transaction_may_take_its_time_and_notices_a_server_that_vanished(settings: Settings) -> None:
    with patient_transaction(settings.database_url) as connection:
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            assert connection.execute(text(f"SHOW {limit}")).scalar_one() == "0"
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        used = driver.info.get_parameters()
    assert {"tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"} <= used.keys()
    with pytest.raises(Unavailable, match="database"):
        _lose_the_connection(settings)


def _lose_the_connection(settings: Settings) -> None:
    with patient_transaction(settings.database_url) as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.execute("SELECT pg_terminate_backend(pg_backend_pid())")
