"""Joins processes that `torchrun` or SLURM's `srun` started, so that they train as one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ccl import distributed
from ccl.distributed import World


@contextmanager
def process_group() -> Iterator[None]:
    """The process group of what was started together, each process with a GPU of its own if any.

    Raises:
        ValueError: a node has fewer GPUs than processes, or `srun` was not told how many it has.
    """
    if _world_size() == 1 or distributed.world_size() > 1:
        yield
        return
    with distributed.use(_init_process_group()):
        yield
    # Not after an error: the others may be waiting in another place.
    from torch.distributed import destroy_process_group

    destroy_process_group()


def cores() -> int:
    """Cores that this process may use, which a scheduler can make fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _world_size() -> int:
    """Number of processes that `torchrun` or `srun` started, told by the environment alone."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    # `srun --pty bash` gives a shell, in which commands are started by hand.
    if os.environ.get("SLURM_JOB_NAME") == "bash":
        return 1
    # Only `srun` says this. SLURM_NTASKS is what a job may start, also in `sbatch` and `salloc`.
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def _init_process_group() -> World:
    import torch
    from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
    from torch.distributed import ProcessGroup, init_process_group, new_group

    by_torchrun = TorchElasticEnvironment.detect()
    if not by_torchrun and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ValueError(
            "srun was told how many processes there are, but not how many each node has, which has "
            "to be the same for all: give `--nodes` and `--ntasks-per-node` instead of `--ntasks`"
        )
    # Requeueing would save within an epoch; a resumed training starts at an epoch's end.
    place = TorchElasticEnvironment() if by_torchrun else SLURMEnvironment(auto_requeue=False)
    count = place.world_size()
    per_node = int(os.environ["LOCAL_WORLD_SIZE"]) if by_torchrun else 0
    nodes = count // per_node if by_torchrun else int(os.environ.get("SLURM_NNODES", "1"))
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
    init_process_group(backend, rank=place.global_rank(), world_size=count)
    control = new_group(backend="gloo", timeout=distributed.TIMEOUT)
    assert isinstance(control, ProcessGroup)  # as every process is in it
    return World(place.global_rank(), count, nodes, control, place)
