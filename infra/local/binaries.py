"""Find the servers' programs inside the Python wheels that carry them."""

import importlib.util
import shutil
import sysconfig
from pathlib import Path

from infra.local.processes.process import ProcessError


def in_wheel(package: str, pattern: str, *, wheel: str) -> Path:
    """The one file of an installed package that matches the pattern.

    The package is found, not imported: importing these makes folders, warns and hooks into the exit.
    Raises ProcessError naming the wheel to install.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for program in sorted(Path(folder).glob(pattern)):
            return program
    raise ProcessError(f"{pattern} of package {package} is missing: pip install {wheel}")


def script(name: str, *, wheel: str) -> Path:
    """A program that a wheel puts beside this Python, or else one on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = beside if beside.is_file() else shutil.which(name)
    if found is None:
        raise ProcessError(f"the program {name} is missing: pip install {wheel}")
    return Path(found)
