"""Makes the pages: `python -m companion.book.pages TABLE BUILDER`, a program by itself.

Jupyter Book's own command, but for the processes that read and write pages side by side.
"""

import sys
import warnings
from pathlib import Path

from jupyter_book.sphinx import build_sphinx  # type: ignore[import-untyped]

from companion.engine.processes import cores


def main(table: str, builder: str) -> None:
    """Builds the book in this folder, and fails after the last page if there was any warning.

    Args:
        table: file of the table of contents.
        builder: Sphinx's, also the name of the folder in `_build/`.
    """
    # One extension looks at every object that there is, torch's outdated ones as well.
    warnings.filterwarnings("ignore", "`torch", FutureWarning)
    failed = build_sphinx(
        Path.cwd(),
        Path("_build", builder).absolute(),
        noconfig=True,
        path_config="_config.yml",
        confoverrides={
            "external_toc_path": table,
            "latex_individualpages": False,
            "nitpicky": True,
        },
        builder=builder,
        warningiserror=True,
        keep_going=True,
        quiet=True,
        jobs=cores(),
    )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
