from collections.abc import Iterator
from pathlib import Path

import pytest

from services.database import Database
from services.settings import Settings
from services.storage import ObjectStore
from tests.worker_scene import Scene


@pytest.fixture
def scene(
    database: Database, store: ObjectStore, settings: Settings, environment: dict[str, str], tmp_path: Path
) -> Iterator[Scene]:
    scene = Scene.build(database, store, settings, environment, tmp_path)
    yield scene
    scene.close()
