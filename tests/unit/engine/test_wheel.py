"""The engine as a distribution: its wheel holds all that a notebook needs, and nothing else of this house."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import timm

ENGINE = Path(__file__).resolve().parents[3] / "engine"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is unpacked in, as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ENGINE,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("imago_engine-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def run_alone(installed: Path, folder: Path, code: str) -> str:
    """What Python prints with the wheel and the libraries on its path, and no other package of this house:
    without `site` no editable install counts.
    """
    libraries = {sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")} | {
        str(Path(timm.__file__).parents[1])
    }
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": ":".join([str(installed), *libraries]),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.thorough
def test_the_wheel_alone_makes_a_picture_with_the_generator_that_is_inside(
    installed: Path, tmp_path: Path
) -> None:
    code = """
import importlib.util
assert not [name for name in ("services", "worker", "api", "imago") if importlib.util.find_spec(name)]
from imago_engine import synthesize
quick = {"steps": 1, "input_size": 64, "direction_codes": 64}
pictures = synthesize("efficientnet_lite0.imagenet", "conv_stem", 0, **quick)
print(pictures.save("grid.png"), pictures[0].image.shape)
"""
    assert run_alone(installed, tmp_path, code).split() == ["grid.png", "(128,", "128,", "3)"]
    assert (tmp_path / "grid.png").stat().st_size > 1000


def test_the_wheel_is_marked_as_typed_and_holds_no_tests(installed: Path) -> None:
    names = {path.relative_to(installed).parts[0] for path in installed.rglob("*")}
    assert names == {"imago_engine", *(name for name in names if name.endswith(".dist-info"))}
    assert (installed / "imago_engine" / "py.typed").is_file()
