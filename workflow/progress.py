"""Follows a build: what is done, what runs and about how long is left, in one line.

Reads what Snakemake prints (`snakemake ... 2>&1 | python progress.py PROFILE`) and replaces its own
account of steps; all else, errors above all, goes through as it is. How long the steps to come will
take is estimated from the seconds in `step_seconds.json`, scaled by how long those before took
here. A build that ends well leaves its own seconds in `runs/<profile>/step_seconds.json`, which
then replace these. Standard library only.
"""

import json
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

RECORDED = Path(__file__).with_name("step_seconds.json")

SILENT = re.compile(
    r"\[\w{3} \w{3} .*\]|Select jobs to execute\.\.\.|Execute \d+ jobs\.\.\.|Using shell: .*"
    r"|Assuming unrestricted .*|Building DAG of jobs\.\.\.|Provided cores: .*"
    r"|Rules claiming more threads .*|\d+ of \d+ steps .*"
)
COUNT = re.compile(r"(\w+) +(\d+)")
STARTED = re.compile(r"Job (\d+): (.*?)(?: \(log: .*\))?")
FINISHED = re.compile(r"Finished jobid: (\d+) \(Rule: (\w+)\)")


class Progress:
    """The state of a build, from the lines that Snakemake prints.

    Attributes:
        expected: rule to seconds of one of its jobs, on some machine.
        left: rule to the number of its jobs that have not finished.
        running: job number to what it does and when it began.
        seconds: rule to how long each of its finished jobs took.
    """

    def __init__(self, expected: dict[str, float], clock: Callable[[], float] = time.monotonic):
        self.expected = expected
        self.left: Counter[str] = Counter()
        self.running: dict[str, tuple[str, float]] = {}
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.clock = clock
        self.began = clock()

    def start(self, job: str, what: str) -> None:
        """Notes that a job has begun."""
        self.running[job] = what, self.clock()

    def finish(self, job: str, rule: str) -> None:
        """Notes that a job has come to its end."""
        now = self.clock()
        self.left[rule] -= 1
        _, started = self.running.pop(job, ("", now))
        self.seconds[rule].append(now - started)

    def seconds_left(self) -> float | None:
        """About how many seconds the build will still take; none before a step has finished."""
        spent = sum(map(sum, self.seconds.values()))
        foreseen = sum(self._foreseen(rule) * len(took) for rule, took in self.seconds.items())
        if not spent or not foreseen:
            return None
        now = self.clock()
        under_way = sum(now - started for _, started in self.running.values())
        at_once = max(1.0, (spent + under_way) / max(now - self.began, 1e-9))
        ahead = sum(self._foreseen(rule) * jobs for rule, jobs in self.left.items())
        return max(0.0, ahead * spent / foreseen - under_way) / at_once

    def line(self) -> str:
        """Such as '9 of 54 steps done, about 6 min left | phantom-chest: ...'."""
        done, total = sum(map(len, self.seconds.values())), sum(self.left.values())
        seconds = self.seconds_left()
        left = "" if seconds is None else f", about {in_words(seconds)} left"
        doing = "; ".join(what for what, _ in self.running.values())
        return f"{done} of {done + total} steps done{left}" + (f" | {doing}" if doing else "")

    def means(self) -> dict[str, float]:
        """Rule to seconds of one of its jobs, of this build where it ran some."""
        own = {rule: round(sum(took) / len(took), 1) for rule, took in self.seconds.items()}
        return self.expected | own

    def _foreseen(self, rule: str) -> float:
        """Seconds of one job of a rule; of one that nobody timed, as of a job on average."""
        known = self.expected.values()
        return self.expected.get(rule, sum(known) / len(known) if known else 1.0)


def in_words(seconds: float) -> str:
    """A duration as it is said: '40 s', '6 min', '3.5 h'."""
    if seconds < 55:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def own_seconds(profile: str) -> Path:
    """Where a build leaves its times."""
    return Path("runs") / profile / "step_seconds.json"


def read_seconds(profile: str) -> dict[str, float]:
    """Seconds of one job of each rule: this machine's where a build was timed, or the recorded."""
    try:
        found: dict[str, float] = json.loads(own_seconds(profile).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = json.loads(RECORDED.read_text(encoding="utf-8")).get(profile, {})
    return found


def follow(log: TextIO, out: TextIO, progress: Progress) -> None:
    """Prints a log as it comes, with one line of progress in place of its account of steps.

    On a terminal the line is written over; in a file there is one for each step that starts.
    """
    wipe = "\r\033[K" if out.isatty() else ""
    in_table = False
    for line in (raw.rstrip("\n") for raw in log):
        in_table = line == "Job stats:" or (in_table and line != "")
        if in_table:
            if (row := COUNT.fullmatch(line.strip())) and row[1] != "total":
                progress.left[row[1]] = int(row[2])
        elif finished := FINISHED.fullmatch(line):
            progress.finish(*finished.groups())
        elif started := STARTED.fullmatch(line):
            progress.start(*started.groups())
            out.write(wipe + progress.line()[:119] if wipe else progress.line() + "\n")
        elif line and not SILENT.fullmatch(line):
            out.write(f"{wipe}{line}\n")
        out.flush()
    out.write(wipe)


def main(profile: str) -> None:
    """Follows standard input, and keeps the times of a build that came to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the build, whose last words count
    progress = Progress(read_seconds(profile))
    follow(sys.stdin, sys.stdout, progress)
    if progress.seconds and not +progress.left:
        own_seconds(profile).parent.mkdir(parents=True, exist_ok=True)
        own_seconds(profile).write_text(json.dumps(progress.means(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
