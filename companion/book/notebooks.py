"""Executes the notebooks: papermill, the kernel of this interpreter, and results all or nothing."""

import ast
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from companion import ROOT
from companion.engine import forkserver, pointers
from companion.engine.clean_environment import clean
from companion.engine.digests import PACKAGES, code_digest, module_path
from companion.engine.files import file_digest
from companion.engine.runs import Step
from companion.experiments import config, plan

STARTING = 600  # seconds that a kernel may take to start, on a busy node with a slow disk
Parameter = str | int | float | bool


class NotebookError(ValueError):
    """There is no such notebook, or it failed; the message names notebook and cell."""


class ThisInterpreter(AsyncKernelManager):
    """Starts the kernel with the interpreter that is running, whatever kernels are registered."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """A kernel specification that no registry had to know."""
        return KernelSpec(
            argv=[*forkserver.COMMAND, "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Starts it without the user's settings of other work."""
        await super().start_kernel(**(options | {"env": clean(os.environ)}))


def show(profile: str, cohort: str, data_root: str | None, name: str) -> Path:
    """Executes a notebook on finished steps, unless this was done with the same runs and code.

    Args:
        profile, cohort, data_root: become the notebook's parameters.
        name: of a file in `notebooks/`.

    Returns:
        The executed notebook, under its fixed name.

    Raises:
        NotebookError: there is no such notebook, or it failed.
        FileNotFoundError: a step that it shows is not finished.
    """
    known = [*plan.NOTEBOOKS, *plan.LECTURES]
    if name not in known:
        raise NotebookError(f"there is no notebook '{name}'; there are {', '.join(known)}")
    notebook = ROOT / "notebooks" / f"{name}.ipynb"
    root = plan.folder(profile, cohort)
    parameters = {"profile": profile, "cohort": cohort, "data_root": data_root or ""}
    shown = plan.pointers(name, plan.contents(config.experiment(profile, cohort, data_root)))
    step = Step(
        root=root,
        name="notebook",
        options={"assets": plan.assets_digest(name), **parameters},
        inputs={pointer: pointers.read_pointer(root, pointer) for pointer in shown},
        modules=(__name__,),
        label=name,
    )
    (executed,) = execute_once(
        step, [notebook], lambda folder: execute(notebook, folder / notebook.name, parameters)
    )
    return executed


def execute_once(
    step: Step, notebooks: Sequence[Path], compute: Callable[[Path], None]
) -> list[Path]:
    """Executes notebooks, unless that was done with the same cells, code and inputs.

    Args:
        step: what they depend on, beside their cells and what these import.
        notebooks: the stored ones.
        compute: executes them into a folder.

    Returns:
        The executed ones, under their fixed names in `<root>/notebooks/`.
    """
    imports = sorted({module for notebook in notebooks for module in imported(notebook)})
    own = {
        "content": {file.name: file_digest(file) for file in notebooks},
        "code": {module: code_digest(module) for module in imports},
    }
    folder = replace(step, options=own | dict(step.options)).run(compute).folder
    fixed = step.root / "notebooks"
    return [pointers.copy_file(folder / each.name, fixed / each.name) for each in notebooks]


def imported(notebook: Path) -> list[str]:
    """The modules of `PACKAGES` that a notebook imports."""
    cells = nbformat.read(notebook, as_version=4).cells
    code = ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    found: set[str] = set()
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in PACKAGES:
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return sorted(name for name in found if module_path(name))


def execute(
    notebook: Path, output: Path, parameters: Mapping[str, Parameter], folder: Path = ROOT
) -> None:
    """Executes a notebook.

    Args:
        notebook: with one cell tagged `parameters`.
        output: receives the executed notebook, when it is whole.
        parameters: values of some of its parameters.
        folder: working directory of the kernel.

    Raises:
        NotebookError: a cell failed, or the kernel did not start or died.
    """
    unfinished = output.with_name(f".{output.stem}.unfinished.ipynb")
    try:
        papermill.execute_notebook(
            str(notebook),
            str(unfinished),
            dict(parameters),
            kernel_name="python3",
            language="python",
            cwd=str(folder),
            progress_bar=False,
            start_timeout=STARTING,
            kernel_manager_class=ThisInterpreter,
        )
    except DeadKernelError as error:
        raise NotebookError(_dead(notebook, unfinished)) from error
    except RuntimeError as error:  # nbclient's, of a kernel that nothing was asked of yet
        raise NotebookError(
            f"{notebook}: its kernel did not start ({error}). If the machine is that busy, let "
            "fewer jobs run at once; otherwise look whether "
            f"`{sys.executable} -m ipykernel_launcher --version` runs, and if not, make .venv anew"
        ) from error
    except PapermillExecutionError as error:
        raise NotebookError(
            f"{_describe(notebook, error)}; the notebook as far as it came is {unfinished}"
        ) from error
    _tidy(unfinished, notebook, parameters)
    unfinished.replace(output)


def _describe(notebook: Path, error: PapermillExecutionError) -> str:
    place = f"cell {error.cell_index + 1}" if error.cell_index is not None else "a cell"
    return (
        f"{notebook}: {place} (`{_first_line(error.source)}`) failed with {error.ename}: "
        f"{error.evalue}"
    )


def _dead(notebook: Path, unfinished: Path) -> str:
    """The notebook, the cell that it had come to, and what most likely ended its kernel."""
    cells = nbformat.read(unfinished, as_version=4).cells
    at = max(n for n, cell in enumerate(cells) if cell.metadata.papermill.get("start_time"))
    return (
        f"{notebook}: its kernel died in cell {at + 1} (`{_first_line(cells[at].source)}`), most "
        "likely ended by the system for lack of memory. "
        "Take a smaller profile or batch size, or let fewer jobs run at once (`--cores 1` of "
        "Snakemake), and give the same command again"
    )


def _first_line(source: str) -> str:
    return next(iter(source.strip().splitlines()), "")


def _tidy(executed: Path, notebook: Path, parameters: Mapping[str, Parameter]) -> None:
    """Shows the parameters in effect instead of the defaults, and forgets the files' places."""
    content = nbformat.read(executed, as_version=4)
    content.metadata.papermill.update(input_path=notebook.name, output_path=notebook.name)
    for cell in content.cells:
        tags = cell.metadata.get("tags", [])
        if "parameters" in tags:
            cell.source = in_effect(cell.source, parameters)
        if "injected-parameters" in tags:
            tags.append("remove-cell")
    nbformat.write(content, executed)


def in_effect(source: str, parameters: Mapping[str, Parameter]) -> str:
    """The parameters cell with other values; types and comments stay."""
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        match statement:
            case ast.AnnAssign(ast.Name(name), value=ast.Constant() as old) if name in parameters:
                row, start, end = old.lineno - 1, old.col_offset, old.end_col_offset
                lines[row] = lines[row][:start] + repr(parameters[name]) + lines[row][end:]
    return "\n".join(lines)
