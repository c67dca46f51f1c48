"""Networks through torch.compile, where a profile asks for it."""

import logging
from collections.abc import Iterable

import torch
from torch import nn

from ccl.devices import fastest_device
from ccl.errors import CompilerError

logger = logging.getLogger(__name__)

SHAPES = 256  # of parts and inputs, at most; those beyond run uncompiled


def compile_parts(parts: Iterable[nn.Module], wanted: bool) -> None:
    """Has each part of a network compiled when it is first called, if wanted and if that pays.

    Parts stay the modules that they are: names of weights, copies and checkpoints are the same as
    without. A part is compiled for each shape of its inputs, once for all parts that are alike, so
    parts that repeat, such as the blocks of a transformer, are better given one by one. On a CPU,
    where compiling takes minutes and gains little or loses (`benchmarks/faster.py`), nothing is.

    Raises:
        CompilerError: this machine has a GPU and cannot compile for it.

    Source:
        https://docs.pytorch.org/tutorials/recipes/regional_compilation.html
    """
    if not wanted:
        return
    if fastest_device().type == "cpu":
        logger.warning("compile: true is for GPUs; on this CPU networks run as they are")
        return
    require_compiler()
    for part in parts:
        part.compile(recompile_limit=SHAPES)


def require_compiler() -> None:
    """Compiles next to nothing: the first step would otherwise be the one to end in a traceback.

    Raises:
        CompilerError: that fails.
    """
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.zeros(8, device=fastest_device()))
    except Exception as error:  # of many classes, none of them public
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CompilerError(
            f"compile: true, but torch.compile does not work here: {reason}. Install a C++ "
            "compiler (on Debian: g++) and, for a GPU, Triton, or set compile: false"
        ) from error
