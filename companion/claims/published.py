"""The paper's own curves, read off its figures, in the form of `results.csv`.

`book/reported_auc.csv` says in its first lines where they come from and how exact they are.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from companion import ROOT
from companion.claims.contrasts import (
    NotTestedError,
    Setting,
    Weights,
    difference_weights,
    gain_weights,
)
from companion.claims.effects import seed_effects
from companion.claims.ledger import DifferenceTest, Gain, Ledger, Test

REPORTED = ROOT / "book" / "reported_auc.csv"

COLUMNS = ("modality", "protocol", "method", "domain", "in_distribution", "label_fraction")
PROTOCOLS = {"linear": "linear", "finetune": "finetuned"}
METHODS = {
    "SimCLR": ("simclr", "standard"),
    "SimCLR+": ("simclr", "plus"),
    "CF-SimCLR": ("simclr", "counterfactual"),
    "ImageNet": ("simclr", "supervised"),
}
# The paper's cohorts for pretraining, their scanners from the commonest to the rarest (shares of
# the training images: Table 1 and the released splits).
SCANNERS = {
    "mammography": (
        "Selenia Dimensions",
        "Senograph 2000D",
        "Lorad Selenia",
        "Clearview CSm",
        "Senographe Pristina",
    ),
    "chest": ("PadChest Imaging", "PadChest Phillips"),
}
MODALITY = {"embed": "mammography", "padchest": "chest"}


@dataclass(frozen=True)
class Published:
    """What the paper reports on one of its cohorts, as if it were one pretraining seed."""

    auc: pd.DataFrame
    setting: Setting

    def gain(self, test: Test, ledger: Ledger) -> float | None:
        """The published value of a test's contrast, or None where the figures do not show it."""
        try:
            weights = self._weights(test, ledger)
        except NotTestedError:
            return None
        if weights is None:
            return None
        return float(seed_effects(self.auc, weights)[0])

    def _weights(self, test: Test, ledger: Ledger) -> Weights | None:
        if isinstance(test, Gain):
            return gain_weights(self.auc, test, ledger.encoders, self.setting)
        if isinstance(test, DifferenceTest):
            return difference_weights(self.auc, test, ledger.encoders, self.setting)
        return None


def load(path: Path = REPORTED) -> pd.DataFrame:
    """The published curves, after checks.

    Returns:
        A row per point: `modality`, `protocol` ('linear' or 'finetuned'), `objective`, `strategy`,
        `domain`, `in_distribution`, `label_fraction`, `value` (ROC-AUC).

    Raises:
        ValueError: a column is missing, or a point is unknown, impossible or there twice; names
            file and point.
    """
    table = pd.read_csv(path, comment="#")
    if missing := [name for name in (*COLUMNS, "roc_auc") if name not in table.columns]:
        raise ValueError(f"{path}: columns {missing} are missing; it has {list(table.columns)}")
    for column in ("label_fraction", "roc_auc"):
        table[column] = pd.to_numeric(table[column], errors="coerce")  # NaN is refused below
    own = {name for scanners in SCANNERS.values() for name in scanners}
    checks = {
        "modality": (table["modality"].isin(list(SCANNERS)), f"one of {list(SCANNERS)}"),
        "protocol": (table["protocol"].isin(list(PROTOCOLS)), f"one of {list(PROTOCOLS)}"),
        "method": (table["method"].isin(list(METHODS)), f"one of {list(METHODS)}"),
        "in_distribution": (
            table["in_distribution"] == table["domain"].isin(own),
            "True exactly for the scanners of pretraining",
        ),
        "label_fraction": (table["label_fraction"].between(0.001, 1), "a share in (0, 1]"),
        "roc_auc": (table["roc_auc"].between(0.5, 1), "an AUC from 0.5 to 1"),
        "domain": (~table.duplicated(list(COLUMNS)), "one value per point, not a second one"),
    }
    for column, (good, expected) in checks.items():
        if not good.all():
            point = table[~good].iloc[0]
            raise ValueError(f"{path}: {column} of the point {point.to_dict()} is not {expected}")
    return pd.DataFrame(
        {
            "modality": table["modality"],
            "protocol": table["protocol"].map(PROTOCOLS),
            "objective": table["method"].map({name: o for name, (o, _) in METHODS.items()}),
            "strategy": table["method"].map({name: s for name, (_, s) in METHODS.items()}),
            "domain": table["domain"],
            "in_distribution": table["in_distribution"],
            "label_fraction": table["label_fraction"],
            "value": table["roc_auc"],
        }
    )


def of_cohort(cohort: str, path: Path = REPORTED) -> Published | None:
    """What the paper reports on a cohort, or None where it is not one of the paper's own."""
    if cohort not in MODALITY:
        return None
    modality = MODALITY[cohort]
    table = load(path)
    table = table[table["modality"] == modality]
    held_out = tuple(sorted(set(table.loc[~table["in_distribution"], "domain"])))
    auc = table.assign(subgroup="all", test_cohort=cohort, pretrain_seed=0, probe_seed=0)
    return Published(auc, Setting(cohort, SCANNERS[modality], held_out))
