"""The paper's own curves, read off its figures, in the form of `results.csv`.

`book/reported_auc.csv` says in its first lines where they come from and how exact they are.
"""

from dataclasses import dataclass

import pandas as pd

from companion import ROOT
from companion.claims.contrasts import NotTestedError, Setting, contrast, seed_effects
from companion.claims.ledger import DifferenceTest, Gain, Ledger, Test

REPORTED = ROOT / "book" / "reported_auc.csv"

PROTOCOLS = {"linear": "linear", "finetune": "finetuned"}
# The supervised baseline of the ledger is the paper's ImageNet.
STRATEGIES = {
    "SimCLR": "standard",
    "SimCLR+": "plus",
    "CF-SimCLR": "counterfactual",
    "ImageNet": "supervised",
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
        if not isinstance(test, Gain | DifferenceTest):
            return None
        try:
            weights = contrast(self.auc, test, ledger.encoders, self.setting)
        except NotTestedError:
            return None
        return float(seed_effects(self.auc, weights).iloc[0])


def load() -> pd.DataFrame:
    """The published curves.

    Returns:
        A row per point: `modality`, `protocol` ('linear' or 'finetuned'), `objective`, `strategy`,
        `domain`, `in_distribution`, `label_fraction`, `value` (ROC-AUC).
    """
    table = pd.read_csv(REPORTED, comment="#").rename(columns={"roc_auc": "value"})
    table = table.replace({"protocol": PROTOCOLS})
    return table.assign(objective="simclr", strategy=table.pop("method").map(STRATEGIES))


def of_cohort(cohort: str) -> Published | None:
    """What the paper reports on a cohort, or None where it is not one of the paper's own."""
    if cohort not in MODALITY:
        return None
    modality, table = MODALITY[cohort], load()
    table = table[table["modality"] == modality]
    held_out = tuple(sorted(set(table.loc[~table["in_distribution"], "domain"])))
    auc = table.assign(subgroup="all", test_cohort=cohort, pretrain_seed=0, probe_seed=0)
    return Published(auc, Setting(cohort, SCANNERS[modality], held_out))
