"""What keeps the house easy to find one's way in: modules, folders, docstrings, no import circle."""

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("api", "benchmarks", "client/src", "engine/src", "infra", "services", "worker")
ALL = sorted(path for top in (*SOURCES, "migrations", "tests") for path in (ROOT / top).rglob("*.py"))
OWN = [path for path in ALL if path.relative_to(ROOT).parts[0] not in ("migrations", "tests")]
LONGEST, USUAL, MOST_IN_A_FOLDER, DESCRIBED = 400, 100, 15, 0.9


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_module_is_long_and_most_are_short() -> None:
    lines = {shown(path): len(path.read_text().splitlines()) for path in ALL}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}
    assert median(lines.values()) <= USUAL


def test_no_folder_has_more_modules_than_one_sees_at_a_glance() -> None:
    folders = Counter(shown(path.parent) for path in ALL if path.name != "__init__.py")
    del folders["migrations/versions"]  # grows by one with each change of the schema
    assert {name: count for name, count in folders.items() if count > MOST_IN_A_FOLDER} == {}


def test_what_is_public_says_what_it_is() -> None:
    found = [definition for path in OWN for definition in public(ast.parse(path.read_text()))]
    described = [definition for definition in found if ast.get_docstring(definition)]
    assert len(described) / len(found) >= DESCRIBED


def public(scope: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Public functions and classes, and the public methods of these."""
    for part in scope.body:
        if isinstance(part, ast.FunctionDef | ast.ClassDef) and not part.name.startswith("_"):
            yield part
            if isinstance(part, ast.ClassDef):
                yield from public(part)


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = {module_name(path): path for path in OWN}
    TopologicalSorter({name: set(imported(name, path, modules)) for name, path in modules.items()}).prepare()


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[1] == "src":
        parts = parts[2:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(name: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Modules of ours that it imports anywhere, but for its types' sake alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for part in ast.walk(tree)
        if isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING"
        for inner in ast.walk(part)
    }
    for part in ast.walk(tree):
        if id(part) in for_types:
            continue
        if isinstance(part, ast.Import):
            named = [alias.name for alias in part.names]
        elif isinstance(part, ast.ImportFrom):
            assert part.level == 0, f"{path} imports by a relative name"
            named = [f"{part.module}.{alias.name}" for alias in part.names]
        else:
            continue
        for found in named:
            module = found
            while module and module not in modules:
                module = module.rpartition(".")[0]
            if module and module != name:
                yield module
