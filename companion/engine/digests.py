"""Digests of the code that computes a step: a module with what it imports, without its words."""

import ast
import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from companion import ROOT

PACKAGES = ("ccl", "companion")


@cache
def code_digest(*modules: str) -> str:
    """Digest of the code of some modules and of all modules of `PACKAGES` that it imports.

    Comments and docstrings do not count: editing them repeats no computation.
    """
    for module in modules:
        if module_path(module) is None:
            raise ValueError(f"there is no module '{module}' to take the digest of")
    sources = {name: _code(path) for name, path in sorted(_import_closure(*modules).items())}
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


@cache
def function_digest(*functions: Callable[..., Any]) -> str:
    """Digest of the code of some functions and of all functions of the same files that they call.

    Nothing that they import counts: for that there is `code_digest`.
    """
    found = {f"{f.__module__}.{f.__name__}": _with_callees(f) for f in functions}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _with_callees(function: Callable[..., Any]) -> dict[str, str]:
    """Code of a function and of those of its file that it calls, by their names."""
    path = module_path(function.__module__)
    body = _without_docstrings(ast.parse(path.read_text(encoding="utf-8"))).body if path else []
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    found: dict[str, str] = {}
    waiting = [function.__name__]
    while waiting:
        node = functions.get(waiting.pop())
        if node is not None and node.name not in found:
            found[node.name] = ast.unparse(node)
            waiting += [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
    return found


def _import_closure(*modules: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = module_path(name)
        if name in found or path is None:
            continue
        found[name] = path
        waiting += _imports(path)
    return found


def module_path(name: str) -> Path | None:
    """The file of a module; None where there is none of that name."""
    base = ROOT.joinpath(*name.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(_find_imports(path))


def _find_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        # Not the packages above: what stands in their `__init__.py` is not used by this import.
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


@cache
def _code(path: Path) -> str:
    return ast.unparse(_without_docstrings(ast.parse(path.read_text(encoding="utf-8"))))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0] = ast.Pass()
    return tree


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
