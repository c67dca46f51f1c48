"""Programs that are started as forks, which must not differ from others."""

import importlib.util
import json
import os
import re
import runpy
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from companion.engine import forkserver

PROGRAM = """
import json, os, signal, sys, time
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ["MARK"], os.getppid()]), flush=True)
if "wait" in sys.argv:
    time.sleep(600)
print(sys.stdin.read(), file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["subprocess.Popen[bytes]"]:
    """One that imports nothing beforehand; the build of the workflow's test has a whole one."""
    file = tmp_path_factory.mktemp("server") / "forkserver.py"
    text = Path(forkserver.__file__).read_text()
    file.write_text(re.sub(r"^IMPORTED = .*?^\)", "IMPORTED = ()", text, flags=re.M | re.S))
    started = SimpleNamespace(**runpy.run_path(str(file))).start({})
    if started is None:
        pytest.skip("this system has no pidfd_open")
    yield started
    assert started.stdin is not None
    started.stdin.close()
    assert started.wait(600) == 0
    assert not Path(os.environ.pop(forkserver.SOCKET)).parent.exists()


def test_what_is_imported_beforehand_is_there() -> None:
    assert all(importlib.util.find_spec(name) for name in forkserver.IMPORTED)


def program(folder: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    (folder / "program.py").write_text(PROGRAM)
    mine = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.Popen(
        [*forkserver.COMMAND, "program", *arguments],
        cwd=folder,
        env=mine | {"MARK": "here"} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("status", [0, 7])
@pytest.mark.usefixtures("server")
def test_a_program_has_its_arguments_folder_environment_streams_and_status(
    status: int, tmp_path: Path
) -> None:
    asked = program(tmp_path, str(status), "--name", "o'brien")
    out, err = asked.communicate("words", timeout=600)
    *found, parent = json.loads(out)
    assert found == [[str(status), "--name", "o'brien"], str(tmp_path), "here"]
    assert parent != os.getpid()  # but a fork of the server
    assert err == "words\n"
    assert asked.returncode == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.usefixtures("server")
def test_a_program_ends_with_what_asked_for_it(number: int, tmp_path: Path) -> None:
    asked = program(tmp_path, "0", "wait")
    assert asked.stdout is not None
    asked.stdout.readline()
    asked.send_signal(number)
    assert asked.stdout.read() == ""  # the end of the program's own stream
    assert asked.wait(600) == (128 + number if number == signal.SIGTERM else -number)


def test_without_a_server_it_is_started_as_ever(tmp_path: Path) -> None:
    nowhere = {forkserver.SOCKET: str(tmp_path / "nowhere"), "PYTHONPATH": str(tmp_path)}
    asked = program(tmp_path, "3", **nowhere)
    out, _ = asked.communicate("", timeout=600)
    found, *_, parent = json.loads(out)
    assert (found, parent) == (["3"], os.getpid())
    assert asked.returncode == 3
