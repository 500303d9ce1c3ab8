"""The words of the engine load nothing that is heavy."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import imago_engine

ROOT = Path(imago_engine.__file__).parent


def test_the_words_load_no_torch_and_nothing_of_the_service() -> None:
    words = [found.name for found in pkgutil.iter_modules([str(ROOT)]) if not found.ispkg]
    imports = "; ".join(f"import imago_engine.{name}" for name in [*words, "techniques"])
    code = (
        f"import sys; {imports}; from imago_engine.techniques import all_techniques; all_techniques(); "
        "print(*{name.partition('.')[0] for name in sys.modules} & "
        "{'torch', 'numpy', 'PIL', 'flask', 'sqlalchemy', 'services', 'worker', 'api', 'imago'})"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == ""
