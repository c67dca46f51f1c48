"""Structural causal models and their counterfactuals: abduction, action, prediction.

A model is a set of mechanisms x_v := f_v(u_v, pa_v) over a directed acyclic graph, with
exogenous noise u_v. The image is one variable among others; its mechanism is an HVAE
(`ccl.generator.hvae`). A root parent such as the scanner needs no mechanism of its own: it *is*
its exogenous noise.

Source: Pearl, Causality (2009), section 7.1; Pawlowski et al. 2020, https://arxiv.org/abs/2006.06485;
De Sousa Ribeiro et al. 2023, https://arxiv.org/abs/2306.15764.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

Values = Mapping[str, Tensor]


class Mechanism(Protocol):
    """x := f(u, parents), with f invertible in u (exactly, or by an inference network)."""

    def abduct(self, value: Tensor, parents: Values) -> Any:
        """Exogenous noise u that explains `value` given its parents."""

    def predict(self, noise: Any, parents: Values) -> Tensor:
        """Value that follows from the noise under (possibly other) parents."""


class Root:
    """A variable without parents: its value is its own exogenous noise."""

    def abduct(self, value: Tensor, parents: Values) -> Tensor:
        return value

    def predict(self, noise: Tensor, parents: Values) -> Tensor:
        return noise


@dataclass(frozen=True)
class StructuralCausalModel:
    """Mechanisms over a directed acyclic graph.

    Attributes:
        parents: variable to the names of its parents, in topological order (parents first).
        mechanisms: variable to its mechanism; a variable without an entry is a `Root`.
    """

    parents: Mapping[str, tuple[str, ...]]
    mechanisms: Mapping[str, Mechanism]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for variable, parents in self.parents.items():
            if missing := set(parents) - seen:
                raise ValueError(
                    f"'{variable}' comes before its parents {sorted(missing)}: list the variables "
                    "in topological order, and without a cycle"
                )
            if parents and variable not in self.mechanisms:
                raise ValueError(f"'{variable}' has parents {parents} but no mechanism")
            seen.add(variable)
        if unknown := set(self.mechanisms) - seen:
            raise ValueError(f"mechanisms of {sorted(unknown)}, which are not in the graph")

    def counterfactual(self, observation: Values, do: Values) -> dict[str, Tensor]:
        """What every variable would have been, had those in `do` been set by intervention.

        Args:
            observation: value of every variable, each (N, ...).
            do: intervened variables and their values, each (N, ...).

        Raises:
            ValueError: a variable is missing or unknown.
        """
        exogenous = self.abduct(observation)  # 1. abduction: infer the noise of this very case
        submodel = self.act(do)  # 2. action: cut the intervened variables off their causes
        return submodel.predict(exogenous)  # 3. prediction: same noise through the changed model

    def abduct(self, observation: Values) -> dict[str, Any]:
        """Abduction: the exogenous noise of every variable."""
        if set(observation) != set(self.parents):
            raise ValueError(
                f"observation has {sorted(observation)}; the graph has {sorted(self.parents)}"
            )
        return {
            variable: self._mechanism(variable).abduct(
                observation[variable], _select(observation, parents)
            )
            for variable, parents in self.parents.items()
        }

    def act(self, do: Values) -> "StructuralCausalModel":
        """Action: the submodel in which intervened variables are constants without parents."""
        if unknown := set(do) - set(self.parents):
            raise ValueError(f"do() names {sorted(unknown)}; the graph has {sorted(self.parents)}")
        parents = {v: () if v in do else pa for v, pa in self.parents.items()}
        constants: dict[str, Mechanism] = {v: Constant(value) for v, value in do.items()}
        return StructuralCausalModel(parents, {**self.mechanisms, **constants})

    def predict(self, exogenous: Mapping[str, Any]) -> dict[str, Tensor]:
        """Prediction: runs the mechanisms in topological order on given noise."""
        values: dict[str, Tensor] = {}
        for variable, parents in self.parents.items():
            values[variable] = self._mechanism(variable).predict(
                exogenous[variable], _select(values, parents)
            )
        return values

    def _mechanism(self, variable: str) -> Mechanism:
        return self.mechanisms.get(variable, Root())


@dataclass(frozen=True)
class Constant:
    """The mechanism of an intervened variable: x := value, whatever the noise."""

    value: Tensor

    def abduct(self, value: Tensor, parents: Values) -> None:
        """A constant has no noise."""

    def predict(self, noise: Any, parents: Values) -> Tensor:
        return self.value


def _select(values: Values, names: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: values[name] for name in names}
