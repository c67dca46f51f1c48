"""Several processes that work as one, started by `torchrun` or SLURM's `srun`.

Each is known by its rank; rank 0 decides and writes, the others compute along. All see the same
files. Where one process was started, or within `alone`, everything here is of no effect.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from lightning.fabric.plugins.environments import ClusterEnvironment
    from torch.distributed import ProcessGroup

Said = TypeVar("Said")
Share: TypeAlias = "Callable[[np.ndarray], np.ndarray]"  # of the rows of a batch

# Others wait for what rank 0 does alone, such as an evaluation; the launcher ends them if it fails.
LONGEST_WAIT = timedelta(days=30)
LONGEST_FAREWELL = timedelta(seconds=60)  # for rank 0 to write down why all of them end


@dataclass(frozen=True)
class _Processes:
    rank: int
    count: int
    nodes: int
    control: "ProcessGroup"  # for messages, on the CPU; tensors go through the default group


_JOINED: ContextVar[_Processes | None] = ContextVar("joined processes", default=None)


def count() -> int:
    """How many processes work as one."""
    joined = _JOINED.get()
    return 1 if joined is None else joined.count


def rank() -> int:
    """Which of them this is, from 0."""
    joined = _JOINED.get()
    return 0 if joined is None else joined.rank


def nodes() -> int:
    """On how many machines they run, on each the same number."""
    joined = _JOINED.get()
    return 1 if joined is None else joined.nodes


def is_first() -> bool:
    """Whether this is the process that decides and writes."""
    return rank() == 0


def share(rows: "np.ndarray") -> "np.ndarray":
    """This process's rows of a whole batch, in the order of the ranks.

    Raises:
        ValueError: the rows cannot be shared evenly.
    """
    if len(rows) % count():
        raise ValueError(
            f"batch_size = {len(rows)} cannot be shared evenly among {count()} processes: it is "
            "the size of the whole batch; make it a multiple of their number"
        )
    each = len(rows) // count()
    return rows[rank() * each : (rank() + 1) * each]


def whole(rows: "np.ndarray") -> "np.ndarray":
    """All rows of a batch, for what every process computes by itself."""
    return rows


def apart() -> tuple[int, ...]:
    """The part of a seed that is a process's own; none of the first, which draws as one alone."""
    # Beyond any byte, of which seeds are made as well.
    return (2**16 + rank(),) if rank() else ()


@contextmanager
def joined() -> Iterator[None]:
    """Joins the processes that were started together, each with its own GPU where there are any.

    Raises:
        ValueError: a node has fewer GPUs than processes, or `srun` was not told how many it has.
    """
    if _started() == 1 or _JOINED.get() is not None:
        yield
        return
    token = _JOINED.set(_join())
    try:
        yield
    finally:
        _JOINED.reset(token)
    # Not after an error: the others may be waiting in another place.
    from torch import distributed

    distributed.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """Within it this process works by itself, as if no other had been started."""
    token = _JOINED.set(None)
    try:
        yield
    finally:
        _JOINED.reset(token)


def told(value: Said) -> Said:
    """What rank 0 says; the others wait for it, and their own value does not matter.

    Raises:
        ConnectionError: another process ended.
    """
    joined = _JOINED.get()
    if joined is None:
        return value
    from torch import distributed

    said = [value]
    with _ended_by_others():
        distributed.broadcast_object_list(said, src=0, group=joined.control)
    return said[0]


def wait(longest: timedelta = LONGEST_WAIT) -> None:
    """Returns once every process has come here.

    Raises:
        ConnectionError: another process ended, or did not come in time.
    """
    joined = _JOINED.get()
    if joined is not None:
        from torch import distributed

        with _ended_by_others():
            distributed.monitored_barrier(joined.control, timeout=longest)


def environment() -> "ClusterEnvironment":
    """What Lightning is to know of the processes."""
    from lightning.fabric.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    if _JOINED.get() is None:
        return LightningEnvironment()
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    # Its requeueing would save in the middle of an epoch; a resumed training starts at one's end.
    return SLURMEnvironment(auto_requeue=False)


@contextmanager
def _ended_by_others() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ConnectionError(
            "another process ended before its work was done; its message says why"
        ) from error


def _started() -> int:
    """How many processes `torchrun` or `srun` started, without importing either's library."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    # `srun --pty bash` gives a shell, in which commands are started by hand.
    if os.environ.get("SLURM_JOB_NAME") == "bash":
        return 1
    # Only `srun` says this. SLURM_NTASKS is what a job may start, also in `sbatch` and `salloc`.
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def _join() -> _Processes:
    import torch
    from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
    from torch import distributed

    by_torchrun = TorchElasticEnvironment.detect()
    if not by_torchrun and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ValueError(
            "srun was told how many processes there are, but not how many each node has, which has "
            "to be the same for all: give `--nodes` and `--ntasks-per-node` instead of `--ntasks`"
        )
    place = TorchElasticEnvironment() if by_torchrun else SLURMEnvironment(auto_requeue=False)
    count = place.world_size()
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if by_torchrun else 0
    nodes = count // here if by_torchrun else int(os.environ.get("SLURM_NNODES", "1"))
    backend = "gloo"
    if torch.cuda.is_available():
        if place.local_rank() >= torch.cuda.device_count():
            raise ValueError(
                f"process {place.global_rank()} is number {place.local_rank()} on its node, which "
                f"shows it {torch.cuda.device_count()} GPUs (numbered from 0): start one process "
                "per GPU, and let each see all GPUs of its node (`--gpus-per-node`)"
            )
        torch.cuda.set_device(place.local_rank())
        backend = "nccl"
    os.environ["MASTER_ADDR"] = place.main_address
    os.environ["MASTER_PORT"] = str(place.main_port)
    distributed.init_process_group(backend, rank=place.global_rank(), world_size=count)
    control = distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)
    assert isinstance(control, distributed.ProcessGroup)  # as every process is in it
    return _Processes(place.global_rank(), count, nodes, control)
