"""The causal graph of a cohort's images."""

from ccl.generator import graph as graphs
from ccl.generator.graph import IMAGE, Graph, ImageParents
from ccl.generator.options import Coupling
from companion.cohorts.cohort import Cohort


def causal_graph(cohort: Cohort) -> Graph:
    """The paper's graph: scanner and sex are roots, and the image's parents.

    The sex is left out where some row does not state it, and where all are of one sex: a parent
    with one value explains nothing, and nothing can be learned of the other.
    """
    sexes = set(cohort.table["sex"].iloc[cohort.rows(scanners="pretraining")])
    roots = ("scanner", "sex") if sexes == set(cohort.values("sex")) else ("scanner",)
    return {**{name: () for name in roots}, IMAGE: roots}


def image_parents(
    cohort: Cohort, graph: Graph | None = None, coupling: Coupling = "monotone"
) -> ImageParents:
    """Causes of a cohort's images, by default those of `causal_graph`.

    Raises:
        ValueError: see `ccl.generator.graph.image_parents`.
    """
    rows = cohort.rows("train", "pretraining")
    return graphs.image_parents(cohort, rows, graph or causal_graph(cohort), coupling)
