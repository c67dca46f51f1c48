"""`python -m companion` and `ccl`: the command line, without settings made for other work."""

from companion.engine.clean_environment import enter


def main() -> None:
    """The command line, or what is missing for it: `pip install .` installs `ccl` alone."""
    enter()  # what is imported reads its settings at once
    try:
        from companion.cli import app
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"ccl: {error.name} is not installed. The command line belongs to the companion: "
            "pip install '.[companion]'"
        ) from error
    app()


if __name__ == "__main__":
    main()
