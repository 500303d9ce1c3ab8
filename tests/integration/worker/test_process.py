"""`python -m worker` as a process."""

import os
import subprocess
import sys

from tests.worker_processes import ROOT, Scene, loaded


def test_only_the_child_loads_torch(scene: Scene) -> None:
    worker = scene.start_worker()
    child = worker.child()  # has torch
    parent, *others = worker.family()
    assert not loaded(parent, "libtorch")
    assert [process.pid for process in others if loaded(process, "libtorch")] == [child.pid]
    assert worker.end() == 0
    assert not child.is_running()


def test_what_the_parent_imports_does_not_import_torch() -> None:
    code = "import sys, worker.__main__, worker.process.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_without_settings_it_says_which_are_missing() -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("IMAGO_")}
    done = subprocess.run(
        [sys.executable, "-m", "worker"], cwd=ROOT, env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "IMAGO_DATABASE_URL is not set" in done.stderr
    assert "Traceback" not in done.stderr
