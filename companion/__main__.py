"""`python -m ccl` and `ccl`: the command line, in an environment without settings of other work."""

from companion.engine.clean_environment import enter


def main() -> None:
    """What is imported reads its settings at once, so the environment is seen to before."""
    enter()
    from companion.cli import app

    app()


if __name__ == "__main__":
    main()
