"""The released code's splits, from the definition of a shuffled split, without scikit-learn.

`train_test_split(units, test_size=share, random_state=33)` draws one permutation of the places;
its first ceil(share n) are held out, the rest stay, both in the order of the permutation.
"""

import math

import numpy as np


def hold_out(units: list[str], share: float) -> tuple[list[str], list[str]]:
    """The units that stay and those held out."""
    places = np.random.RandomState(33).permutation(len(units))
    n_held = math.ceil(share * len(units))
    held = [units[place] for place in places[:n_held]]
    rest = [units[place] for place in places[n_held:]]
    return rest, held


def three_way(units: list[str], test: float, val: float) -> list[str]:
    """The split of each row, given its unit."""
    first_seen: list[str] = []
    for unit in units:
        if unit not in first_seen:
            first_seen.append(unit)
    rest, tested = hold_out(first_seen, test)
    _, validated = hold_out(rest, val)
    return ["test" if u in tested else "val" if u in validated else "train" for u in units]
