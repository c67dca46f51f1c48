"""The causal graph of a cohort: the image's causes, their values and their mechanisms."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ccl.generator import tabular
from ccl.generator.images import Images
from ccl.generator.options import Coupling
from ccl.generator.tabular import PATIENT, Table

IMAGE = "image"
Graph = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class ImageParents:
    """Discrete causes of the image; in the paper's graphs all are roots and parents of it.

    Attributes:
        values: variable to its values, in the order of their integer codes; causes come first.
        tables: variables that have parents themselves to their mechanisms.
        indirect: variables that act on the image only through others.
    """

    values: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, Table] = field(default_factory=dict)
    indirect: tuple[str, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """Parent of the image to its number of values."""
        return {name: len(self.values[name]) for name in self.graph[IMAGE]}

    @property
    def graph(self) -> dict[str, tuple[str, ...]]:
        """Variables and their parents; the image comes last."""
        roots: dict[str, tuple[str, ...]] = {name: () for name in self.values}
        caused = {name: table.parents for name, table in self.tables.items()}
        direct = tuple(name for name in self.values if name not in self.indirect)
        return {**roots, **caused, IMAGE: direct}

    @property
    def causal_graph(self) -> dict[str, tuple[str, ...]]:
        """The same for `StructuralCausalModel`; tables have the patient, a root, as a parent."""
        if not self.tables:
            return self.graph
        by_patient = {v: (*pa, PATIENT) if v in self.tables else pa for v, pa in self.graph.items()}
        return {PATIENT: (), **by_patient}

    def codes(self, source: Images, rows: np.ndarray) -> dict[str, Tensor]:
        """Integer codes int64 (n,) of every variable; with tables, the patients' keys as well."""
        codes = {name: torch.from_numpy(source.codes(name, rows)) for name in self.values}
        if self.tables:
            codes[PATIENT] = tabular.patient_keys(source.patients(rows))
        return codes

    def code(self, name: str, value: str) -> int:
        """Integer code of one value.

        Raises:
            ValueError: no such variable or value.
        """
        if name not in self.values or value not in self.values[name]:
            raise ValueError(f"do({name}={value}): the graph knows {dict(self.values)}")
        return self.values[name].index(value)


def image_parents(
    source: Images, rows: np.ndarray, graph: Graph, coupling: Coupling = "monotone"
) -> ImageParents:
    """Causes of the images, with tables of those that have parents, counted over training rows.

    Args:
        source, rows: training images.
        graph: variables, with 'image' among them, to their parents.
        coupling: what `ccl.generator.tabular` makes of a table.

    Raises:
        ValueError: the graph lacks the image or its scanner, has a cycle or causes behind the
            image, names a parent that is no variable of it, or a row does not state a variable.
    """
    ordered = _ordered(graph)
    values = {name: source.values(name) for name in ordered if name != IMAGE}
    sizes = {name: len(names) for name, names in values.items()}
    codes = {name: torch.from_numpy(source.codes(name, rows)) for name in values}
    tables = {
        name: tabular.fit(
            codes[name], {p: codes[p] for p in graph[name]}, sizes, size, coupling, variable=name
        )
        for name, size in sizes.items()
        if graph[name]
    }
    indirect = tuple(name for name in values if name not in graph[IMAGE])
    return ImageParents(values, tables, indirect)


def _ordered(graph: Graph) -> list[str]:
    """The variables, causes first."""
    if "scanner" not in graph.get(IMAGE, ()):
        raise ValueError(f"graph {dict(graph)}: expected 'image', with 'scanner' among its parents")
    if caused := sorted(name for name, parents in graph.items() if IMAGE in parents):
        raise ValueError(f"graph {dict(graph)}: {caused} cannot be caused by the image")
    if unknown := {parent for parents in graph.values() for parent in parents} - set(graph):
        raise ValueError(f"graph {dict(graph)}: {sorted(unknown)} are parents, but no variables")
    ordered: list[str] = []
    while len(ordered) < len(graph):
        ready = [v for v in graph if v not in ordered and set(graph[v]) <= set(ordered)]
        if not ready:
            raise ValueError(f"graph {dict(graph)}: there is a cycle among its variables")
        ordered += ready
    return ordered
