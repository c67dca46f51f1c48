"""Two processes that work as one, with gloo on the CPU, for tests."""

import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any

import torch

COUNT = 2
LONGEST = 1200  # seconds that a test may take on a machine that does much else


class Pair:
    """Processes that stay for many tests: starting one takes longer than a test."""

    def __init__(self, forks: ForkServerContext) -> None:
        port = free_port()
        self.members = []
        for rank in range(COUNT):
            here, there = forks.Pipe()
            process = forks.Process(target=_work, args=(there, rank, port), daemon=True)
            process.start()
            self.members.append((process, here))

    def __call__(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What a function returns in each process, by rank; it is one of a module.

        Raises:
            AssertionError: it failed in a process; holds the traceback.
        """
        for _, connection in self.members:
            connection.send((work, arguments))
        answers = []
        for rank, (_, connection) in enumerate(self.members):
            assert connection.poll(LONGEST), f"process {rank} does not answer"
            result, failure = connection.recv()
            assert failure is None, f"process {rank} failed:\n{failure}"
            answers.append(result)
        return answers

    def close(self) -> None:
        """Ends both."""
        for process, _ in self.members:
            process.kill()
            process.join()


def _work(connection: Connection, rank: int, port: int) -> None:
    # What torchrun would say.
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(COUNT),
        "LOCAL_WORLD_SIZE": str(COUNT),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
    }
    torch.set_num_threads(1)
    from companion.engine import processes

    with processes.process_group():
        while True:
            work, arguments = connection.recv()
            try:
                connection.send((work(*arguments), None))
            except BaseException:
                connection.send((None, traceback.format_exc()))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
