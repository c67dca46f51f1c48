"""Counterfactuals of a linear-Gaussian model have a closed form; the interface must give it."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ccl.generator.scm import StructuralCausalModel, Values


@dataclass(frozen=True)
class Linear:
    """v := sum_p w_p pa_p + u."""

    weights: dict[str, float]

    def _mean(self, parents: Values) -> Tensor:
        return torch.stack([w * parents[p] for p, w in self.weights.items()]).sum(dim=0)

    def abduct(self, value: Tensor, parents: Values) -> Tensor:
        return value - self._mean(parents)

    def predict(self, noise: Tensor, parents: Values) -> Tensor:
        return self._mean(parents) + noise


@pytest.fixture
def chain() -> StructuralCausalModel:
    """a -> b -> c and a -> c, with c = 2a - 3b + u."""
    return StructuralCausalModel(
        {"a": (), "b": ("a",), "c": ("a", "b")},
        {"b": Linear({"a": 0.5}), "c": Linear({"a": 2.0, "b": -3.0})},
    )


@pytest.fixture
def observation() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: torch.randn(7, dtype=torch.float64) for name in "abc"}


def test_intervening_on_a_root_moves_all_descendants(chain, observation):
    a, b, c = observation.values()
    new = chain.counterfactual(observation, {"a": a + 1})
    torch.testing.assert_close(new["b"], b + 0.5)
    torch.testing.assert_close(new["c"], c + 2 * 1 - 3 * 0.5)


def test_intervening_on_a_mediator_leaves_its_causes_alone(chain, observation):
    a, b, c = observation.values()
    new = chain.counterfactual(observation, {"b": torch.zeros_like(b)})
    torch.testing.assert_close(new["a"], a)
    torch.testing.assert_close(new["c"], c + 3 * b)


def test_the_null_intervention_and_there_and_back_change_nothing(chain, observation):
    for name, value in chain.counterfactual(observation, {}).items():
        torch.testing.assert_close(value, observation[name])
    there = chain.counterfactual(observation, {"a": observation["a"] * -2})
    back = chain.counterfactual(there, {"a": observation["a"]})
    torch.testing.assert_close(back["c"], observation["c"])


def test_the_graph_is_checked(chain, observation):
    with pytest.raises(ValueError, match="topological order"):
        StructuralCausalModel({"b": ("a",), "a": ()}, {"b": Linear({"a": 1.0})})
    with pytest.raises(ValueError, match="no mechanism"):
        StructuralCausalModel({"a": (), "b": ("a",)}, {})
    with pytest.raises(ValueError, match="not in the graph"):
        StructuralCausalModel({"a": ()}, {"z": Linear({"a": 1.0})})
    with pytest.raises(ValueError, match=r"do\(\) names \['z'\]"):
        chain.counterfactual(observation, {"z": observation["a"]})
    with pytest.raises(ValueError, match="observation has"):
        chain.abduct({"a": observation["a"]})
