"""Every phantom, a line each."""

from collections.abc import Mapping

from companion.cohorts.simulation.phantom import PhantomOptions
from companion.cohorts.simulation.phantom_breast import PhantomBreastOptions
from companion.cohorts.simulation.phantom_chest import PhantomChestOptions

PHANTOMS: Mapping[str, type[PhantomOptions]] = {
    "phantom-chest": PhantomChestOptions,
    "phantom-breast": PhantomBreastOptions,
}
