"""Mechanisms of discrete variables that have discrete parents, e.g. breast density given age.

A table of conditional probabilities p(v | pa) says how often each value occurs, but not which value
*this* patient would have had: that takes a mechanism v := f(u, pa), and several fit one table.

- `GumbelMax`: v := argmax_k log p(k | pa) + u_k, with Gumbel noise. Counterfactually stable: a
  value that becomes more probable relative to the others is kept. Source: Oberst and Sontag 2019,
  https://arxiv.org/abs/1905.05824.
- `Monotone`: v := F^-1(u | pa), with uniform noise, for values in an order. Who is high among
  equals stays high among others. Source: Pearl 2009, section 9.3.

Abduction draws the noise from its posterior given the observed value; it is seeded, so that the
same batch of patients has the same noise each time.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ccl.generator.scm import Values

Coupling = Literal["gumbel-max", "monotone"]


@dataclass(frozen=True)
class Table(ABC):
    """Conditional probabilities of a discrete variable; a `ccl.generator.scm.Mechanism`.

    Attributes:
        parents: names of its parents.
        probabilities: p(v | pa), float64 (K_1, ..., K_P, K), above 0 and of sum 1 along the last.
        seed: of the posterior of the noise.
    """

    parents: tuple[str, ...]
    probabilities: Tensor
    seed: int = 0

    def given(self, parents: Values) -> Tensor:
        """p(v | pa) of some rows, (N, K)."""
        codes = tuple(parents[name].cpu() for name in self.parents)
        return self.probabilities[codes]

    def _home(self, found: Tensor, parents: Values) -> Tensor:
        """Codes or noise on the parents' device: tables are looked up on the CPU."""
        return found.to(parents[self.parents[0]].device)

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    @abstractmethod
    def abduct(self, value: Tensor, parents: Values) -> Tensor:
        """Noise that explains the codes `value` (N,), drawn from its posterior."""

    @abstractmethod
    def predict(self, noise: Tensor, parents: Values) -> Tensor:
        """Codes int64 (N,) that follow from the noise."""


class GumbelMax(Table):
    """v := argmax_k log p(k | pa) + u_k; noise u (N, K)."""

    def abduct(self, value: Tensor, parents: Values) -> Tensor:
        """Top-down: first the maximum, then the others, each below it."""
        log_p = self.given(parents).log()  # (N, K)
        # Some weights sum to 1, so the maximum is a standard Gumbel whatever its place.
        highest = gumbel((len(log_p), 1), self._generator())  # (N, 1)
        free = log_p + gumbel(log_p.shape, self._generator().manual_seed(self.seed + 1))
        below = -torch.logaddexp(-highest, -free)  # (N, K), Gumbels truncated at the maximum
        return self._home(below.scatter(1, value.cpu()[:, None], highest) - log_p, parents)

    def predict(self, noise: Tensor, parents: Values) -> Tensor:
        """The value of the highest perturbed log-probability."""
        return self._home((self.given(parents).log() + noise.cpu()).argmax(dim=1), parents)


class Monotone(Table):
    """v := F^-1(u | pa); noise u (N,) in (0, 1)."""

    def abduct(self, value: Tensor, parents: Values) -> Tensor:
        """Uniform between F(v - 1 | pa) and F(v | pa)."""
        p = self.given(parents)  # (N, K)
        own = value.cpu()[:, None]
        top = p.cumsum(dim=1).gather(1, own)[:, 0]
        share = torch.rand(len(p), generator=self._generator(), dtype=p.dtype)
        inner = 1e-6 + (1 - 2e-6) * share  # off the ends, where rounding might decide
        return self._home(top - p.gather(1, own)[:, 0] * inner, parents)

    def predict(self, noise: Tensor, parents: Values) -> Tensor:
        """The smallest value whose F reaches the noise."""
        below = self.given(parents).cumsum(dim=1)[:, :-1] < noise.cpu()[:, None]
        return self._home(below.sum(dim=1), parents)


COUPLINGS: Mapping[Coupling, type[Table]] = {"gumbel-max": GumbelMax, "monotone": Monotone}


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise, float64."""
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp(1e-12, 1 - 1e-12)))


def fit(
    value: Tensor,
    parents: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    size: int,
    coupling: Coupling,
    smoothing: float = 1.0,
) -> Table:
    """A table from counts.

    Args:
        value: codes (N,) of the variable.
        parents: codes (N,) of every parent.
        sizes: number of values of every parent.
        size: of the variable.
        coupling: which mechanism to make of it.
        smoothing: observations added to every cell (Laplace), so that none is impossible.
    """
    shape = (*(sizes[name] for name in parents), size)
    counts = torch.full(shape, smoothing, dtype=torch.float64)
    cells = tuple(codes.cpu() for codes in (*parents.values(), value))
    counts.index_put_(cells, torch.ones(len(value), dtype=torch.float64), accumulate=True)
    table = counts / counts.sum(dim=-1, keepdim=True)
    return COUPLINGS[coupling](tuple(parents), table)
