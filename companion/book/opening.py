"""How a page's notebook is opened: downloaded, in JupyterLab, or from a fork in Binder and Colab.

The fork is `repository` in `_config.yml`, or what the variables CCL_REPOSITORY and CCL_BRANCH say.
Without one there is no button: this book does not know where it is kept.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from companion import ROOT

COLAB = "examples/colab.ipynb"
_GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?")


class Fork(NamedTuple):
    """Where a copy of the repository is public: such as 'somebody/ccl' on GitHub, and a branch."""

    name: str
    branch: str


def fork(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> Fork | None:
    """The fork that buttons lead to, or None where none is set.

    Raises:
        ValueError: its address is not one of GitHub.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    url = environment.get("CCL_REPOSITORY") or config["url"]
    branch = environment.get("CCL_BRANCH") or config["branch"]
    if not url:
        return None
    found = _GITHUB.fullmatch(url)
    if found is None or not re.fullmatch(r"[\w./-]+", branch):
        raise ValueError(
            f"repository '{url}', branch '{branch}': expected an address such as "
            "https://github.com/somebody/ccl (CCL_REPOSITORY, or `repository` in _config.yml)"
        )
    return Fork(found[1], branch)


def footer(notebook: str, place: Fork | None) -> str:
    """Markdown under an executed page: its notebook, and how to open it.

    Args:
        notebook: name of its file, beside the page.
        place: where Binder and Colab take it from.
    """
    name = Path(notebook).stem
    words = (
        f"This page is a notebook: {{download}}`download <{notebook}>` it as it was executed, or "
        f"give `make lab` and open `{name}` in JupyterLab, in a copy of your own."
    )
    if place is not None:
        words += f"\n\n[Open in Binder]({binder(name, place)}) [Open in Colab]({colab(place)})"
    return f":::{{div}} ccl-open\n{words}\n:::"


def binder(name: str, place: Fork) -> str:
    """Address of a notebook in Binder, where `.binder/postBuild` has made copies to work in."""
    inside = f"lab/tree/lab/quick/phantom-chest/{name}.ipynb"
    return f"https://mybinder.org/v2/gh/{place.name}/{place.branch}?urlpath={inside}"


def colab(place: Fork) -> str:
    """Address of the notebook that sets everything up in Colab and shows the explorer."""
    return f"https://colab.research.google.com/github/{place.name}/blob/{place.branch}/{COLAB}"
