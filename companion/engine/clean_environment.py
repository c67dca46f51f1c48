"""The environment that everything of this project runs in: without settings made for other work.

A user's settings of Python, matplotlib, Jupyter, Snakemake and the shell would change a build, or
end it. `clean` leaves them out; what says something about the machine (SLURM, CUDA, threads,
proxies, certificates, caches) goes through. Every program that is started here is given it:

    python -I companion/engine/clean_environment.py COMMAND ...   becomes the command; used by make
    enter()                                          starts this program again; used by `ccl`

Standard library only, and nothing of `ccl`, as it runs before anything else.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "runs" / ".settings"

# Left out: what begins with one of these, or is one of those.
_PROGRAMS = ("PYTHON", "MPL", "MATPLOTLIB", "IPYTHON", "JUPYTER", "SNAKEMAKE_", "LC_", "PANDAS_")
_SETTINGS = {
    *("LANG", "LANGUAGE"),
    *("BASH_ENV", "BASHOPTS", "BASH_XTRACEFD", "CDPATH", "ENV", "GLOBIGNORE", "SHELLOPTS"),
    *("MAKEFILES", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"),
    # Of another repository: git sets them in its hooks.
    *("GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_WORK_TREE"),
}
# Of these programs, but how they run and not what they do.
_HARMLESS = {
    *("PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED"),
}


def clean(environment: Mapping[str, str], settings: Path = SETTINGS) -> dict[str, str]:
    """An environment without settings made for other work; one that is clean stays as it is.

    Args:
        environment: of this process.
        settings: folder for what programs keep, such as a list of fonts.
    """
    cleaned = {name: value for name, value in environment.items() if not _is_left_out(name)}
    if "TMPDIR" in cleaned and not _writable(Path(cleaned["TMPDIR"])):
        del cleaned["TMPDIR"]
    cleaned |= {
        "IPYTHONDIR": f"{settings}/ipython",
        "JUPYTER_CONFIG_DIR": f"{settings}/jupyter",
        "JUPYTER_DATA_DIR": f"{settings}/jupyter",
        "MPLCONFIGDIR": f"{settings}/matplotlib",
        "LC_ALL": "C",  # is on every system; texts are UTF-8 whatever it is, by PYTHONUTF8
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
    }
    return cleaned | _caches(cleaned, settings)


def _is_left_out(name: str) -> bool:
    return name not in _HARMLESS and (name in _SETTINGS or name.startswith(_PROGRAMS))


def _caches(environment: Mapping[str, str], settings: Path) -> dict[str, str]:
    """A folder for caches where the home cannot be written to; weights that lie there are used."""
    home = Path(environment.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    existing = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    if _writable(existing):
        return {}
    found = {"XDG_CACHE_HOME": f"{settings}/cache"}
    for name, folder in (("HF_HOME", "huggingface"), ("TORCH_HOME", "torch")):
        if name not in environment and (home / folder).is_dir():
            found[name] = str(home / folder)
    return found


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder; tried, as of root the system says so of any."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def enter() -> None:
    """Starts this program again, in the same process, unless its environment is clean."""
    wanted = clean(os.environ)
    if wanted != dict(os.environ):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)


if __name__ == "__main__":
    os.execvpe(sys.argv[1], sys.argv[1:], clean(os.environ))
