"""Which modules a page asks for together with its script."""

import re
from pathlib import Path

import pytest

from api.web import modules
from api.web.modules import imports_of

SCRIPTS = sorted((Path(modules.__file__).parent / "static" / "js").glob("*.js"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_all_that_a_script_imports_is_known_and_there(script: Path) -> None:
    found, text = imports_of(f"js/{script.name}"), script.read_text()
    assert len(re.findall("^import", text, re.MULTILINE)) <= len(found)
    assert "import(" not in text
    assert all((script.parent.parent / name).is_file() for name in found)


def test_what_an_imported_module_imports_comes_along_once() -> None:
    assert imports_of("js/layer.js") == ("js/grid.js", "js/grid-cells.js", "js/grid-rows.js", "js/figures.js")
    assert imports_of("js/page.js") == ()
