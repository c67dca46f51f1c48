"""Starts Python programs as forks of a process that has imported what they need.

Importing torch, timm and their like takes longer than many a step computes, and a build starts some
fifty programs (measured in `benchmarks/forkserver.py`). So the workflow starts one server
(`start`), and each program as

    python -I forkserver.py MODULE ...         for `python -m MODULE ...`

which hands arguments, environment, folder and standard streams to the server and ends as the
program does. A fork imports the project's own code itself, so that code which was edited meanwhile
is never mixed with what it was. Where no server answers, the program is started as ever.

Standard library only, as it is run as a script for every program.
"""

import atexit
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

# What steps and notebooks import, and none of this project.
IMPORTED = (
    "torch",
    "torchvision",
    "timm",
    "lightning.pytorch",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.linear_model",
    "matplotlib.pyplot",
    "seaborn",
    "ipykernel.kernelapp",
    "papermill",
    "sphinx.application",
    "typer",
)
# Compiles 38 grammars in 3 s, to check addresses in notebooks by; jsonschema does without.
SLOW = "rfc3987_syntax"
STREAMS = (0, 1, 2)
COMMAND = (sys.executable, "-I", __file__)  # and a module with its arguments
SOCKET = "CCL_FORK_SERVER"  # the environment variable that says where the server listens


def start(environment: Mapping[str, str]) -> "subprocess.Popen[bytes] | None":
    """The server, which ends when its standard input is closed; none where the system cannot."""
    if not hasattr(os, "pidfd_open"):  # macOS, whose libraries do not survive a fork either
        return None
    os.environ[SOCKET] = str(Path(tempfile.mkdtemp(prefix="ccl-")) / "forks")
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with socket.socket(socket.AF_UNIX) as listener:  # listens before the server has imported all
        listener.bind(os.environ[SOCKET])
        listener.listen(64)
        return subprocess.Popen(
            [sys.executable, "-P", __file__, "--serve", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **environment, **one_thread},
            pass_fds=[listener.fileno()],
        )


class Request(NamedTuple):
    """A program that is asked for."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    streams: list[int]


def serve(listener: socket.socket) -> Request | None:
    """The request of a program, in a fork for each; none in the server, at its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the programs
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks leave no zombies
    sys.modules[SLOW] = None  # type: ignore[assignment]  # to import it fails
    for name in IMPORTED:
        importlib.import_module(name)
    watched: list[Any] = [sys.stdin, listener]
    while sys.stdin not in select.select(watched, [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return attend(connection)
        connection.close()
    shutil.rmtree(Path(os.environ[SOCKET]).parent)
    return None


def attend(connection: socket.socket) -> Request:
    """The request of a program, in its process; this one tells who asked for it how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, *_ = socket.recv_fds(connection, 1, len(STREAMS))
    arguments, environment, folder = json.loads(connection.makefile("rb").readline())
    if (process := os.fork()) == 0:
        connection.close()
        return Request(arguments, environment, folder, streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(b"%d\n" % process)
    watched: list[Any] = [ended := os.pidfd_open(process), connection]
    if ended not in select.select(watched, [], [])[0]:  # who asked has gone
        os.kill(process, signal.SIGTERM)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with suppress(OSError):
        connection.sendall(b"%d\n" % status)
    os._exit(0)


def become(request: Request) -> int:
    """Exit status of the program that was asked for, run as this process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, stream in enumerate(request.streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    if threads := request.environment.get("OMP_NUM_THREADS"):
        import threadpoolctl
        import torch

        # Of libraries that were loaded before.
        threadpoolctl.threadpool_limits(int(threads))
        torch.set_num_threads(int(threads))
    sys.argv[:] = request.arguments
    sys.orig_argv[:] = [sys.executable, "-m", *request.arguments]
    sys.path.insert(0, request.folder)
    try:
        runpy.run_module(request.arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            print(ended.code, file=sys.stderr)
            return 1
        return ended.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def leave(status: int) -> None:
    """Ends this process, without taking down one by one what was imported, which takes seconds."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def ask(arguments: Sequence[str]) -> int:
    """Exit status of a program that the server runs.

    Raises:
        OSError, ValueError: there is no server.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[SOCKET])
        request = [arguments, dict(os.environ), os.getcwd()]
        socket.send_fds(connection, [b"."], STREAMS)
        connection.sendall(json.dumps(request).encode() + b"\n")
        answers = connection.makefile("rb")
        process = int(answers.readline())  # ValueError: the server ended before it forked
        signal.signal(signal.SIGTERM, lambda number, _: os.kill(process, number))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program gets it as well
        status = int(answers.readline() or 1)
    return status if status >= 0 else 128 - status


def main(arguments: list[str]) -> None:
    """Asks the server, or starts the program as ever where there is none."""
    if SOCKET in os.environ:
        with suppress(OSError, ValueError):
            sys.exit(ask(arguments))
    os.execv(sys.executable, [sys.executable, "-m", *arguments])


if __name__ == "__main__":
    if sys.argv[1] != "--serve":
        main(sys.argv[1:])
    else:
        program = serve(socket.socket(fileno=int(sys.argv[2])))
        leave(become(program) if program else 0)
