"""A user's settings of other work reach no program that is started here; the machine's do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from companion.book import notebooks
from companion.engine import clean_environment
from companion.engine.clean_environment import clean
from tests.test_notebooks import write

ROOT = Path(__file__).parents[1]
MACHINE = {
    **{"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "1", "NCCL_DEBUG": "INFO"},
    **{"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", "LD_LIBRARY_PATH": "/opt/lib"},
    **{"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "2", "TORCHELASTIC_RUN_ID": "a"},
    **{"https_proxy": "http://proxy:1", "NO_PROXY": "localhost", "SSL_CERT_FILE": "/etc/ca.pem"},
    **{"HF_HOME": "/scratch/hf", "HF_HUB_OFFLINE": "1", "TORCH_HOME": "/scratch/torch"},
    **{"PYTHONUNBUFFERED": "1", "GIT_CONFIG_COUNT": "0", "CCL_DATA_ROOT": "study #2"},
}
OTHER_WORK = (
    *("PYTHONHOME", "PYTHONSTARTUP", "PYTHONSAFEPATH", "PYTHONWARNINGS", "PYTHONIOENCODING"),
    *("MPLBACKEND", "MATPLOTLIBRC", "JUPYTER_PATH", "JUPYTER_CONFIG_PATH"),
    *("SNAKEMAKE_PROFILE", "SNAKEMAKE_CONDA_PREFIX", "LANG", "LC_NUMERIC", "LANGUAGE"),
    *("BASH_ENV", "CDPATH", "SHELLOPTS", "MAKEFLAGS", "GIT_DIR", "GIT_WORK_TREE", "TMPDIR"),
)
OURS = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "MPLCONFIGDIR", "PYTHONPATH")


def test_what_says_something_about_the_machine_goes_through_and_no_more(tmp_path: Path) -> None:
    made = clean(MACHINE | dict.fromkeys((*OTHER_WORK, *OURS), "/nowhere"), tmp_path)
    assert made.items() >= MACHINE.items()
    assert not made.keys() & {*OTHER_WORK}
    for name in OURS:  # which cannot be left out
        assert made[name].startswith((str(tmp_path), str(ROOT)))


def test_one_that_is_clean_stays_so(tmp_path: Path) -> None:
    """Else `ccl` would start itself for ever."""
    once = clean(dict(os.environ) | {"PYTHONPATH": "/nowhere", "XDG_CACHE_HOME": "/dev/null"})
    assert clean(once) == once


def test_a_home_that_cannot_be_written_to_gives_its_weights_and_takes_no_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "huggingface").mkdir(parents=True)
    asked = {"XDG_CACHE_HOME": str(home)}
    assert clean(asked, tmp_path).items() >= asked.items()
    monkeypatch.setattr(clean_environment, "_writable", lambda folder: folder != home)
    made = clean(asked, tmp_path)
    assert made["XDG_CACHE_HOME"] == f"{tmp_path}/cache"
    assert made["HF_HOME"] == f"{home}/huggingface"
    assert "TORCH_HOME" not in made
    assert clean(asked | {"HF_HOME": "/scratch"}, tmp_path)["HF_HOME"] == "/scratch"


def hostile(folder: Path) -> dict[str, str]:
    """An environment in which no Python of another project starts, or says the right thing."""
    (folder / "sitecustomize.py").write_text("import sys; sys.exit('sitecustomize')")
    (folder / "startup.py").write_text("raise SystemExit('startup')")
    (folder / "matplotlibrc").write_text("image.origin: lower\n")
    (folder / "ipython" / "profile_default" / "startup").mkdir(parents=True)
    (folder / "ipython/profile_default/startup/a.py").write_text("print('startup file')")
    return {
        **{"PYTHONPATH": str(folder), "PYTHONSTARTUP": str(folder / "startup.py")},
        **{"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0", "PYTHONWARNINGS": "error"},
        **{"MATPLOTLIBRC": str(folder), "MPLCONFIGDIR": str(folder), "MPLBACKEND": "no-such"},
        **{"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_CONFIG_DIR": str(folder)},
        **{"LC_ALL": "C", "LANG": "de_DE.ISO-8859-1", "GIT_DIR": str(folder / "no-repository")},
    }


LOOK = """
import json, locale, sys
import matplotlib as mpl
print(json.dumps({
    "encoding": locale.getpreferredencoding(False), "out": sys.stdout.encoding,
    "origin": mpl.rcParams["image.origin"], "warnings": sys.warnoptions,
}))
"""


def test_ccl_starts_again_in_it(tmp_path: Path) -> None:
    """Also where nobody called make."""
    (tmp_path / "yaml.py").write_text("raise SystemExit('of another project')")
    done = subprocess.run(
        [sys.executable, "-m", "companion", "plan", "--profile", "nosuch"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "nosuch.yaml is not in configs/" in done.stderr


def test_a_kernel_starts_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.ipynb", LOOK)
    for name, value in hostile(tmp_path).items():
        monkeypatch.setenv(name, value)
    notebooks.execute(tmp_path / "a.ipynb", tmp_path / "b.ipynb", {})
    *_, shown = nbformat.read(tmp_path / "b.ipynb", as_version=4).cells
    (output,) = shown.outputs
    found = json.loads(output.text)
    assert found["encoding"].lower() == found["out"].lower() == "utf-8"
    assert found["origin"] == "upper"
    assert found["warnings"] == []
