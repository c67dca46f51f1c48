"""Who may import whom: `ccl` holds the method, `companion` reproduces the paper with it."""

import ast
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What `ccl` may need; everything else belongs to the companion.
METHOD_NEEDS = {
    *("ccl", "torch", "torchvision", "timm", "lightning", "numpy", "pydantic", "safetensors"),
    *("scipy", "skimage"),
}
FORBIDDEN = [
    ("ccl", "companion"),
    *((f"ccl.{part}", "ccl.objectives") for part in ("losses", "encoders", "views", "pairs")),
    *((f"ccl.{part}", "ccl.generator") for part in ("losses", "encoders", "views", "pairs")),
    *(
        ("companion.engine", f"companion.{part}")
        for part in ("cohorts", "quality", "evaluation", "claims", "experiments", "book", "cli")
    ),
    *(
        ("companion.cohorts.cohort", f"companion.cohorts.{part}")
        for part in ("importing", "releases", "simulation", "registry", "truths")
    ),
    *(
        (f"companion.{part}", "companion.book")
        for part in ("cohorts", "quality", "evaluation", "claims", "experiments")
    ),
]


def modules() -> dict[str, Path]:
    """Module names to their files."""
    found = {}
    for package in ("ccl", "companion"):
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def imports(run: Callable[[ast.AST], Iterable[ast.AST]] = ast.walk) -> dict[str, set[str]]:
    """Module names to what they import: wherever they do, or in what is run of a module alone."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for module, file in known.items():
        targets = graph.setdefault(module, set())
        for node in run(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= {name if name in known else node.module for name in names}
            elif isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
    return graph


def at_start(node: ast.AST) -> Iterator[ast.AST]:
    """What is run when a module is imported."""
    yield node
    typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    if not isinstance(node, ast.FunctionDef) and not typing:
        for child in ast.iter_child_nodes(node):
            yield from at_start(child)


def inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize(("source", "target"), FORBIDDEN, ids=lambda value: value)
def test_no_forbidden_arrow(source: str, target: str) -> None:
    graph = imports()
    assert any(inside(module, source) for module in graph)
    crossing = {
        module: sorted(name for name in targets if inside(name, target))
        for module, targets in graph.items()
        if inside(module, source)
    }
    assert not {module: names for module, names in crossing.items() if names}


def test_no_circle() -> None:
    graph = {
        module: {target for target in targets if target.startswith(("ccl", "companion"))} - {module}
        for module, targets in imports().items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other in a circle: {' <- '.join(error.args[1])}")


def test_the_method_needs_its_own_dependencies_only() -> None:
    needed = {
        name.split(".")[0]
        for module, targets in imports().items()
        if inside(module, "ccl")
        for name in targets
    }
    assert needed - set(sys.stdlib_module_names) <= METHOD_NEEDS


def import_alone(names: list[str]) -> None:
    for name in [name for name in sys.modules if inside(name, "ccl")]:
        del sys.modules[name]
    for name in ("snakemake", "papermill", "pandas", "sklearn", "seaborn", "companion"):
        sys.modules[name] = None  # type: ignore[assignment]
    for name in names:
        importlib.import_module(name)


def test_the_method_imports_where_the_companion_s_libraries_are_not(forks) -> None:
    names = [name for name in modules() if inside(name, "ccl")]
    process = forks.Process(target=import_alone, args=(names,))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_what_only_reads_results_starts_without_the_models() -> None:
    """Importing them takes seconds, in each of many small jobs."""
    parts = ("experiments.results", "book.notebooks", "book.figures")
    waiting = [f"companion.{part}" for part in parts]
    graph, found = imports(at_start), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [name.rpartition(".")[0], *graph.get(name, ())]
    assert {"companion.book", "pandas"} <= found
    assert not [name for name in found if inside(name, "torch") or inside(name, "lightning")]
