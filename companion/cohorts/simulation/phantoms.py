"""Every phantom, a line each."""

from collections.abc import Mapping
from typing import Any

from companion.cohorts.simulation.phantom import Phantom
from companion.cohorts.simulation.phantom_breast import BREAST
from companion.cohorts.simulation.phantom_chest import CHEST

PHANTOMS: Mapping[str, Phantom[Any]] = {phantom.name: phantom for phantom in (CHEST, BREAST)}
