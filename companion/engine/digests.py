"""Digests of the code that computes a step: a module with what it imports, without its words.

To parse what one step reaches takes a second, and a build asks some hundred times. So what was
found in a file is kept beside the runs, by the digest of its bytes.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

from companion import ROOT
from companion.engine.files import replacing
from companion.engine.storage import DamagedFileError, read_json

PACKAGES = ("ccl", "companion")
CACHE = ".code.json"  # in `runs/`


class Parsed(TypedDict):
    """What was found in a file: the digest of its code, and the modules that it imports."""

    code: str
    imports: list[str]


@cache
def code_digest(*modules: str) -> str:
    """Digest of the code of some modules and of all modules of `PACKAGES` that it imports.

    Comments and docstrings do not count: editing them repeats no computation.
    """
    for module in modules:
        if module_path(module) is None:
            raise ValueError(f"there is no module '{module}' to take the digest of")
    kept = _read_cache()
    before = len(kept)
    closure = import_closure(kept, *modules)
    if len(kept) > before:
        _write_cache(_read_cache() | kept)
    codes = {name: closure[name]["code"] for name in sorted(closure)}
    return hashlib.sha256(json.dumps(codes).encode()).hexdigest()[:16]


def _read_cache() -> dict[str, Any]:
    """What was found before; nothing if that is absent or damaged, as it is found again."""
    try:
        return read_json(ROOT / "runs" / CACHE)
    except (OSError, DamagedFileError):
        return {}


def _write_cache(entries: dict[str, Any]) -> None:
    """Keeps it; of several processes that do so at once, the last one's stays, whole."""
    file = ROOT / "runs" / CACHE
    with suppress(OSError):  # a full disk ends what needs it, and this does not
        file.parent.mkdir(exist_ok=True)
        with replacing(file) as kept:
            json.dump(entries, kept, indent=1)


@cache
def function_digest(*functions: Callable[..., Any]) -> str:
    """Digest of the code of some functions and of all functions of the same files that they call.

    Nothing that they import counts: for that there is `code_digest`.
    """
    found = {f"{each.__module__}.{each.__name__}": _with_callees(each) for each in functions}
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


def import_closure(kept: dict[str, Any], *modules: str) -> dict[str, Parsed]:
    """Some modules and all that they import; what had to be parsed is added to what was kept."""
    found: dict[str, Parsed] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = module_path(name)
        if name not in found and path is not None:
            found[name] = _parsed(path.read_bytes(), kept)
            waiting += found[name]["imports"]
    return found


def _parsed(source: bytes, kept: dict[str, Any]) -> Parsed:
    """What is in a file; each version of Python writes a tree in its own way."""
    key = hashlib.sha256(repr(sys.version_info[:2]).encode() + source).hexdigest()
    if key not in kept:
        tree = ast.parse(source)
        imports = list(_find_imports(tree))
        code = ast.unparse(_without_docstrings(tree))
        kept[key] = Parsed(code=hashlib.sha256(code.encode()).hexdigest(), imports=imports)
    found: Parsed = kept[key]
    return found


def module_path(name: str) -> Path | None:
    """The file of a module; None where there is none of that name."""
    base = ROOT.joinpath(*name.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _find_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        # Not the packages above: what stands in their `__init__.py` is not used by this import.
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef():
                match node.body:
                    case [ast.Expr(ast.Constant(str())), *_]:
                        node.body[0] = ast.Pass()
    return tree
