"""The line that follows a build."""

import io
import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent / "workflow" / "progress.py"))

LOG = """\
Building DAG of jobs...
Job stats:
job        count
-------  -------
cohort         1
bank           2
total          3

[Thu Nov 26 13:49:24 2026]
Job 2: phantom-chest: making the cohort (log: runs/cohort.log)
Finished jobid: 2 (Rule: cohort)
1 of 3 steps (33%) done
Job 3: phantom-chest: making a bank (log: runs/bank.log)
Error in rule bank:
    message: None
Finished jobid: 3 (Rule: bank)
Job 4: phantom-chest: another bank (log: runs/bank.log)
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def follow(expected: dict[str, float], out: io.StringIO) -> Any:
    """Follows the log, ten seconds going by between two looks at the clock."""
    looks = iter(range(0, 1000, 10))
    progress = SCRIPT["Progress"](expected, clock=lambda: next(looks))
    SCRIPT["follow"](io.StringIO(LOG), out, progress)
    return progress


def test_one_line_says_what_runs_how_many_steps_are_done_and_how_long_is_left() -> None:
    out = io.StringIO()
    progress = follow({"cohort": 1, "bank": 100}, out)
    lines = out.getvalue().splitlines()
    assert lines[0] == "0 of 3 steps done | phantom-chest: making the cohort"
    # Making the cohort took ten times what was recorded; so will two banks, one at a time.
    assert lines[1] == "1 of 3 steps done, about 33 min left | phantom-chest: making a bank"
    assert lines[2:4] == ["Error in rule bank:", "    message: None"]
    # Cohort and bank took 30 seconds for 101.
    assert lines[4].startswith("2 of 3 steps done, about 20 s left")
    assert progress.means() == {"cohort": 10, "bank": 20}


def test_on_a_terminal_the_line_is_written_over_and_errors_stay() -> None:
    out = Terminal()
    follow({}, out)
    shown = [line.rpartition("\r\033[K")[2] for line in out.getvalue().split("\n")]
    assert shown == ["Error in rule bank:", "    message: None", ""]


@pytest.mark.parametrize(
    ("seconds", "words"), [(2, "5 s"), (41, "40 s"), (100, "2 min"), (9000, "2.5 h")]
)
def test_durations_are_said_as_people_do(seconds: float, words: str) -> None:
    assert SCRIPT["in_words"](seconds) == words
