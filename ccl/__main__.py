"""`python -m ccl`: the same commands as `ccl`, for where the script is not on the path."""

from ccl.cli import app

app()
