"""Mechanisms of discrete variables that have discrete parents, e.g. breast density given age.

A table of conditional probabilities p(v | pa) says how often each value occurs, but not which value
*this* patient would have had: that takes a mechanism v := f(u, pa), and several fit one table.

- `GumbelMax`: v := argmax_k log p(k | pa) + u_k, with Gumbel noise. Counterfactually stable: a
  value that becomes more probable relative to the others is kept. Source: Oberst and Sontag 2019,
  https://arxiv.org/abs/1905.05824.
- `Monotone`: v := F^-1(u | pa), with uniform noise, for values in an order. Who is high among
  equals stays high among others. Source: Pearl 2009, section 9.3.

Abduction draws the noise from its posterior given the observed value. Random numbers are keyed by
variable and patient: a patient has the same noise in every image, whichever others are beside it.
"""

import hashlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ccl.generator.options import Coupling
from ccl.generator.scm import Values

PATIENT = "patient"  # keys of patients, among the values that abduction is given


@dataclass(frozen=True)
class Table(ABC):
    """Conditional probabilities of a discrete variable; a `ccl.generator.scm.Mechanism`.

    Attributes:
        parents: names of its parents.
        probabilities: p(v | pa), float64 (K_1, ..., K_P, K), above 0 and of sum 1 along the last.
        variable: its name; different variables of a patient have independent noise.
    """

    coupling: ClassVar[Coupling]

    parents: tuple[str, ...]
    probabilities: Tensor
    variable: str = ""

    def given(self, parents: Values) -> Tensor:
        """p(v | pa) of some rows, (N, K)."""
        codes = tuple(parents[name].cpu() for name in self.parents)
        return self.probabilities[codes]

    def _home(self, result: Tensor, parents: Values) -> Tensor:
        """Codes or noise on the parents' device: tables are looked up on the CPU."""
        return result.to(parents[self.parents[0]].device)

    def _uniform(self, parents: Values, draws: int) -> Tensor:
        """Uniform random numbers of the patients, float64 (N, draws) in [0, 1)."""
        variable = zlib.crc32(self.variable.encode())
        numbers = np.empty((len(parents[PATIENT]), draws))
        for row, key in zip(numbers, parents[PATIENT].cpu().tolist(), strict=True):
            row[:] = np.random.Generator(np.random.Philox(key=[variable, key])).random(draws)
        return torch.from_numpy(numbers)

    @abstractmethod
    def abduct(self, value: Tensor, parents: Values) -> Tensor:
        """Noise that explains codes (N,), drawn from its posterior; parents with `PATIENT`."""

    @abstractmethod
    def predict(self, noise: Tensor, parents: Values) -> Tensor:
        """Codes int64 (N,) that follow from the noise."""


class GumbelMax(Table):
    """v := argmax_k log p(k | pa) + u_k; noise u (N, K)."""

    coupling = "gumbel-max"

    def abduct(self, value: Tensor, parents: Values) -> Tensor:
        """Top-down: first the maximum, then the others, each below it."""
        log_p = self.given(parents).log()  # (N, K)
        noise = gumbel(self._uniform(parents, 1 + log_p.shape[1]))  # (N, 1 + K)
        # Some weights sum to 1, so the maximum is a standard Gumbel whatever its place.
        highest, free = noise[:, :1], log_p + noise[:, 1:]
        below = -torch.logaddexp(-highest, -free)  # (N, K), Gumbels truncated at the maximum
        return self._home(below.scatter(1, value.cpu()[:, None], highest) - log_p, parents)

    def predict(self, noise: Tensor, parents: Values) -> Tensor:
        """The value of the highest perturbed log-probability."""
        return self._home((self.given(parents).log() + noise.cpu()).argmax(dim=1), parents)


class Monotone(Table):
    """v := F^-1(u | pa); noise u (N,) in (0, 1)."""

    coupling = "monotone"

    def abduct(self, value: Tensor, parents: Values) -> Tensor:
        """Uniform between F(v - 1 | pa) and F(v | pa)."""
        p = self.given(parents)  # (N, K)
        own = value.cpu()[:, None]
        top = p.cumsum(dim=1).gather(1, own)[:, 0]
        share = self._uniform(parents, 1)[:, 0]
        inner = 1e-6 + (1 - 2e-6) * share  # off the ends, where rounding might decide
        return self._home(top - p.gather(1, own)[:, 0] * inner, parents)

    def predict(self, noise: Tensor, parents: Values) -> Tensor:
        """The smallest value whose F reaches the noise."""
        below = self.given(parents).cumsum(dim=1)[:, :-1] < noise.cpu()[:, None]
        return self._home(below.sum(dim=1), parents)


COUPLINGS: Mapping[Coupling, type[Table]] = {kind.coupling: kind for kind in (GumbelMax, Monotone)}


def patient_keys(names: np.ndarray) -> Tensor:
    """Keys, int64 (n,), of the names (n,) of patients; each hangs on its own name alone."""
    hashes = (hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in names)
    return torch.tensor([int.from_bytes(h) >> 1 for h in hashes], dtype=torch.int64)


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise of uniform numbers in [0, 1)."""
    return -torch.log(-torch.log(uniform.clamp(1e-12, 1 - 1e-12)))


def fit(
    value: Tensor,
    parents: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    size: int,
    coupling: Coupling,
    *,
    variable: str = "",
    smoothing: float = 1.0,
) -> Table:
    """A table from counts.

    Args:
        value, parents: codes (N,) of the variable and of every parent.
        sizes, size: number of values of every parent, and of the variable.
        coupling: which mechanism to make of it.
        variable: its name.
        smoothing: observations added to every cell (Laplace), so that none is impossible.
    """
    shape = (*(sizes[name] for name in parents), size)
    counts = torch.full(shape, smoothing, dtype=torch.float64)
    cells = tuple(codes.cpu() for codes in (*parents.values(), value))
    counts.index_put_(cells, torch.ones(len(value), dtype=torch.float64), accumulate=True)
    table = counts / counts.sum(dim=-1, keepdim=True)
    return COUPLINGS[coupling](tuple(parents), table, variable)
