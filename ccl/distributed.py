"""Processes that train as one: rank, world size, barrier and broadcast; of one alone, no-ops.

Rank 0 decides and writes, the others compute along. Whoever knows the launcher calls `use`.
`ccl.collectives` has what they tell each other of tensors. torch is imported where it is needed:
a command that computes nothing answers at once.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from lightning.fabric.plugins.environments import ClusterEnvironment
    from torch.distributed import ProcessGroup

Value = TypeVar("Value")
Shard: TypeAlias = "Callable[[np.ndarray], np.ndarray]"  # of the rows of a batch

# Others wait for what rank 0 does alone, such as an evaluation; the launcher ends them if it fails.
TIMEOUT = timedelta(days=30)


@dataclass(frozen=True)
class World:
    """The processes that train as one.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
        nodes: machines that they run on, on each the same number.
        control: group for messages, on the CPU; tensors go through the default group.
        environment: what Lightning is to know of the launcher.
    """

    rank: int = 0
    size: int = 1
    nodes: int = 1
    control: "ProcessGroup | None" = None
    environment: "ClusterEnvironment | None" = None


ALONE = World()
_WORLD: ContextVar[World] = ContextVar("world", default=ALONE)


@contextmanager
def use(world: World) -> Iterator[None]:
    """Context in which this process is one of a world."""
    token = _WORLD.set(world)
    try:
        yield
    finally:
        _WORLD.reset(token)


def single_process() -> AbstractContextManager[None]:
    """Context in which this process works by itself, as if no other had been started."""
    return use(ALONE)


def world() -> World:
    """The processes that this one trains with."""
    return _WORLD.get()


def world_size() -> int:
    """Number of processes that train as one."""
    return world().size


def rank() -> int:
    """Rank of this process, from 0."""
    return world().rank


def is_main_process() -> bool:
    """Whether this is rank 0, which decides and writes."""
    return rank() == 0


def shard(rows: "np.ndarray") -> "np.ndarray":
    """This rank's rows of a whole batch, in the order of the ranks.

    Raises:
        ValueError: the rows cannot be divided evenly.
    """
    if len(rows) % world_size():
        raise ValueError(
            f"batch_size = {len(rows)} cannot be shared evenly among {world_size()} processes: it "
            "is the size of the whole batch; make it a multiple of their number"
        )
    each = len(rows) // world_size()
    return rows[rank() * each : (rank() + 1) * each]


def unsharded(rows: "np.ndarray") -> "np.ndarray":
    """All rows of a batch, for what every process computes by itself."""
    return rows


def rank_seed() -> tuple[int, ...]:
    """Extension of a seed on each rank; empty on rank 0, which draws as one process does."""
    # Beyond any byte, of which seeds are made as well.
    return (2**16 + rank(),) if rank() else ()


def broadcast(value: Value) -> Value:
    """Rank 0's value, on every rank.

    Raises:
        ConnectionError: another process ended.
    """
    if world_size() == 1:
        return value
    from torch import distributed

    values = [value]
    with _connection_errors():
        distributed.broadcast_object_list(values, src=0, group=world().control)
    return values[0]


def barrier(timeout: timedelta = TIMEOUT) -> None:
    """Returns once every process has called it.

    Raises:
        ConnectionError: another process ended, or did not call it in time.
    """
    if world_size() > 1:
        from torch import distributed

        with _connection_errors():
            distributed.monitored_barrier(world().control, timeout=timeout)


@contextmanager
def _connection_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ConnectionError(
            "another process ended before its work was done; its message says why"
        ) from error
