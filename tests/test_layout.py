"""The shape of the repository: what lies where, what imports what, how long a file may be."""

from __future__ import annotations

import ast
import importlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array, csgraph

ROOT = Path(__file__).resolve().parent.parent
# Each may import itself and those before it.
ROOMS = ("embedder", "index", "train", "ui")
TOP = {"LICENSE", "README.md", "pyproject.toml", "tests", *ROOMS}
LONGEST_FILE = 600

# What `ui` may import: the fronts of the packages, and the modules that their READMEs describe as public.
PUBLIC = {
    "embedder",
    "embedder.classifier",
    "embedder.melody",
    "embedder.notes",
    "embedder.voices",
    "embedder.midi.general_midi",
    "embedder.midi.music21_reader",
    "embedder.midi.pool",
    "embedder.midi.reading",
    "embedder.midi.writing",
    "index",
    "index.distributed.plans",
    "index.distributed.runners",
    "index.distributed.shards",
    "index.duplicates.records",
}
PUBLIC_BELOW = ("embedder.core.", "embedder.generation.", "train.")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


UI = [path for path in SOURCES if path.relative_to(ROOT).parts[0] == "ui"]


def imports(path: Path) -> Iterator[str]:
    """First names of everything a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "import_module",
            "importlib.import_module",
        ):
            name = node.args[0]
            if isinstance(name, ast.Constant) and not str(name.value).startswith("."):
                yield str(name.value).partition(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    forbidden = set(ROOMS[ROOMS.index(room) + 1 :]) | {"tests"}
    if room == "ui":
        forbidden |= {"faiss", "sqlalchemy", "sqlite3"}
    assert not forbidden & set(imports(path))


def test_the_walk_sees_imports_inside_functions(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("def f():\n    import faiss.contrib\n    from index.library import Library\n")
    assert set(imports(sample)) == {"faiss", "index"}
    assert len(SOURCES) > 20


# -- circles ---------------------------------------------------------------------------------------


def module_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_graph(root: Path, rooms: Sequence[str]) -> dict[str, set[str]]:
    """Which modules import which: also inside functions, and for the type checker only."""
    files = {module_of(path, root): path for room in rooms for path in sorted((root / room).rglob("*.py"))}
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        package = path.relative_to(root).parts[:-1]
        graph[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                source = ".".join([*base, *([node.module] if node.module else [])])
                for alias in node.names:
                    names.append(f"{source}.{alias.name}" if f"{source}.{alias.name}" in files else source)
            graph[module] |= {name for name in names if name in files and name != module}
    return graph


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Strongly connected components of more than one module."""
    modules = sorted(graph)
    number = {module: i for i, module in enumerate(modules)}
    edges = [(number[a], number[b]) for a in modules for b in graph[a]]
    rows, columns = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    table = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(modules), len(modules)))
    _, component = csgraph.connected_components(table, directed=True, connection="strong")
    groups = [frozenset(modules[i] for i in np.flatnonzero(component == c)) for c in np.unique(component)]
    return {group for group in groups if len(group) > 1}


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(module_graph(ROOT, ROOMS)) == set()


def test_a_circle_is_seen_wherever_its_imports_stand(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("from .first import a\n")
    (room / "first.py").write_text("if TYPE_CHECKING:\n    from .second import b\n")
    (room / "second.py").write_text("def f():\n    from room import third\n")
    (room / "third.py").write_text("import room.first\n")
    (room / "fourth.py").write_text("from . import third\n")
    assert circles(module_graph(tmp_path, ["room"])) == {
        frozenset({"room.first", "room.second", "room.third"})
    }


# -- what ui may use ---------------------------------------------------------------------------------


def foreign_imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of what a file imports from the packages below `ui`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module.partition(".")[0] in ROOMS[:-1]:
                yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                (alias.name, "") for alias in node.names if alias.name.partition(".")[0] in ROOMS[:-1]
            )


@pytest.mark.parametrize("path", UI, ids=lambda path: str(path.relative_to(ROOT)))
def test_ui_uses_what_the_packages_offer_in_public(path: Path) -> None:
    """A name of the `__all__` of a package or of a public module."""
    for module, name in foreign_imports(path):
        offered = list(getattr(importlib.import_module(module), "__all__", ()))
        assert name in ("", "*") or name in offered, f"{module} does not offer {name}"
        assert module in PUBLIC or module.startswith(PUBLIC_BELOW), f"{module} is not public"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_the_top_of_the_repository_stays_tidy() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {name.partition("/")[0] for name in listed.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP


def test_no_music_is_tracked() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert not [name for name in listed.stdout.splitlines() if name.lower().endswith((".mid", ".midi"))]
