"""A device for machines without one: what mixes it with the CPU fails, all else computes.

A GPU refuses what a CPU alone never notices: an operation on tensors of two devices, a tensor given
to NumPy, random numbers from another device's generator. Tensors on this device compute on the CPU,
keep account of where they are, and refuse the same. So their values can be compared with the CPU's;
a GPU's speed, memory and half precision are not imitated. What a GPU's host would wait for is noted
by `host_waits`.

Within `pretend_device` it goes by the name "meta", torch's device of tensors without memory.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("meta")
_CPU = torch.device("cpu")
_aten = torch.ops.aten
_BETWEEN_DEVICES = {_aten._to_copy, _aten.to, _aten.copy_, _aten._foreach_copy_}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
_WITHOUT_NUMBERS = {_aten.cat, _aten.stack}  # elsewhere a single number may be the CPU's
# Whose result has a shape that only the values tell, is a number, or says whether it succeeded.
_READING = {
    *(_aten._local_scalar_dense, _aten.is_nonzero, _aten.equal, _aten.nonzero),
    *(_aten.masked_select, _aten._unique2, _aten.unique_dim, _aten.bincount),
    *(_aten._linalg_eigh, _aten._linalg_svd, _aten._linalg_eigvals, _aten.linalg_cholesky_ex),
}
_WAITS: list[str] | None = None


class OnDevice(Tensor):
    """A tensor on the device; `held` are its values."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnDevice":
        # Torch takes views of a tensor that is not for inference alone for the same.
        with torch.inference_mode(False):
            return torch.Tensor._make_wrapper_subclass(
                cls,
                held.size(),
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                layout=held.layout,
                device=DEVICE,
            )

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __repr__(self, **_: Any) -> str:
        return f"OnDevice({self.held})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _computed(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sees also operations without a tensor of the device, such as those that make the first."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _computed(func, args, kwargs or {})


@contextmanager
def pretend_device() -> Iterator[torch.device]:
    """Within it there is the device."""
    fused = "torch.optim.optimizer._get_fused_kernels_supported_devices"
    with (
        mock.patch("torch.autocast", _autocast(torch.autocast)),
        mock.patch("torch.tensor", _tensor(torch.tensor)),
        mock.patch(fused, return_value=["cpu", DEVICE.type]),  # as a GPU is
        _Mode(),
    ):
        yield DEVICE


T = TypeVar("T")


def on_both(compute: Callable[[torch.device], T]) -> tuple[T, T]:
    """What a function of a device gives on the CPU, as fast as without the device, and on it."""
    with torch.utils._python_dispatch._disable_current_modes():
        here = compute(_CPU)
    return here, compute(DEVICE)


@contextmanager
def host_waits() -> Iterator[list[str]]:
    """Receives, for each operation within it that a GPU's host would wait for, where it stands.

    A host runs ahead of its GPU: it hands over work and goes on. It waits where it needs a value: a
    number, the shape of what a mask selects, whether a decomposition succeeded, a copy for itself.
    It also waits for a copy to the GPU that is not asked to be `non_blocking`.
    """
    global _WAITS
    before, _WAITS = _WAITS, []
    try:
        yield _WAITS
    finally:
        _WAITS = before


def _waits(func: Any, given: Mapping[str, Any]) -> bool:
    """Whether a GPU's host waits for an operation; `given` has a tensor of the device."""
    packet, tensors = func.overloadpacket, [x for x in _leaves(given) if isinstance(x, Tensor)]
    if packet in _READING:
        return True
    if packet is _aten.repeat_interleave:
        return given.get("output_size") is None
    if packet in _INDEXING:
        indices = [x for x in given["indices"] if x is not None]
        return any(
            x.dtype in (torch.bool, torch.uint8) or not isinstance(x, OnDevice) for x in indices
        )
    if packet in _BETWEEN_DEVICES:
        goes = _is_here(given["device"]) if given.get("device") is not None else None
        came = isinstance(tensors[-1], OnDevice)  # of `copy_(self, src)`, the source
        if packet is _aten.copy_:
            goes = isinstance(tensors[0], OnDevice)
        if goes is None or goes == came:
            return False
        return came or not given.get("non_blocking")
    return False


def _note() -> None:
    """Notes the innermost line, of the project or of Lightning, that is being run."""
    assert _WAITS is not None
    for frame in reversed(traceback.extract_stack()):
        if any(f"/{name}/" in frame.filename for name in ("ccl", "companion", "lightning")):
            _WAITS.append(f"{frame.filename}:{frame.lineno}: {frame.line}")
            return
    _WAITS.append("elsewhere")


def _autocast(of_torch: Callable[..., Any]) -> Callable[..., Any]:
    """Half precision is not imitated."""

    def autocast(device_type: str, *rest: Any, **named: Any) -> Any:
        of_device = device_type == DEVICE.type
        return nullcontext() if of_device else of_torch(device_type, *rest, **named)

    return autocast


def _tensor(of_torch: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Torch itself makes a tensor without values of any data for "meta"."""

    def tensor(data: Any, *, device: Any = None, **named: Any) -> Tensor:
        return of_torch(data, **named).to(device or _CPU)

    return tensor


def _computed(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Any:
    given = dict(zip(_arguments(func), args, strict=False)) | dict(kwargs)
    tensors = [x for x in _leaves(given) if isinstance(x, Tensor)]
    asked, here = given.get("device"), any(isinstance(x, OnDevice) for x in tensors)
    on_device = here if asked is None else _is_here(asked)
    if any(_is_here(x.device) and not isinstance(x, OnDevice) for x in tensors):
        raise AssertionError(
            f"{func}: a tensor on '{DEVICE}' was made by a way that is not watched"
        )
    if not (here or on_device):
        return func(*args, **kwargs)
    if _WAITS is not None and _waits(func, given):
        _note()
    if here and func.overloadpacket not in _BETWEEN_DEVICES:
        _require_one_device(func, given)
    if on_device and any(isinstance(x, torch.Generator) for x in _leaves(given)):
        raise RuntimeError(f"{func}: expected a generator of '{DEVICE}', found the CPU's")
    named = {name: _map(_plain, value) for name, value in kwargs.items()}
    made = func(*_map(_plain, args), **named)
    given_as = {id(_plain(x)): x for x in tensors}

    def placed(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        before = given_as.get(id(x))
        if before is not None:
            if asked is None or isinstance(before, OnDevice) == on_device:
                return before  # written to in place
            x = x.clone()  # devices share no memory
        return OnDevice(x) if on_device else x

    return _map(placed, made)


def _map(change: Callable[[Any], Any], x: Any) -> Any:
    """Torch's `tree_map`, for what operations take and give, in a tenth of its time."""
    if isinstance(x, list | tuple):
        return type(x)(_map(change, each) for each in x)
    return change(x)


def _leaves(x: Any) -> list[Any]:
    if isinstance(x, dict):
        x = [*x.values()]
    return [leaf for each in x for leaf in _leaves(each)] if isinstance(x, list | tuple) else [x]


@cache
def _arguments(func: Any) -> dict[str, bool]:
    """Names of an operation's arguments, and whether it writes to them."""
    return {
        argument.name: argument.alias_info is not None and argument.alias_info.is_write
        for argument in func._schema.arguments
    }


def _is_here(device: torch.device) -> bool:
    return device.type == DEVICE.type


def _plain(x: Any) -> Any:
    """The same for an operation on the CPU."""
    if isinstance(x, OnDevice):
        return x.held
    return _CPU if isinstance(x, torch.device) and _is_here(x) else x


def _require_one_device(func: Any, given: Mapping[str, Any]) -> None:
    """Raises what a GPU would where tensors of the CPU are among those of the device."""
    for name, value in given.items():
        for x in _leaves(value):
            if not isinstance(x, Tensor) or isinstance(x, OnDevice):
                continue
            indexes = name == "indices" and func.overloadpacket in _INDEXING
            number = x.ndim == 0 and func.overloadpacket not in _WITHOUT_NUMBERS
            if _arguments(func)[name] or not (indexes or number):
                raise RuntimeError(
                    f"{func}: expected all tensors to be on the same device, but '{name}' is on "
                    f"the CPU and others are on '{DEVICE}'"
                )
