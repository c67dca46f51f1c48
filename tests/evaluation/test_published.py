"""The published curves are checked, and gains out of them are those of a hand-made sum."""

import pandas as pd
import pytest

from companion.claims import ledger, published
from companion.claims.contrasts import Setting, checked_results
from companion.claims.evidence import Evidence
from companion.claims.judging import as_text, judge
from tests.evaluation.made_up import papers_results

BOOK = ledger.load()


def gain(claim: str, cohort: str, test: int = 0) -> float | None:
    reported = published.of_cohort(cohort)
    assert reported is not None
    return reported.gain(BOOK.subset([claim]).claims[0].tests[test], BOOK)


def raw(protocol: str, method: str, domains: list[str], fractions: list[float]) -> float:
    """Mean of the file's points, by plain selection."""
    table = pd.read_csv(published.REPORTED, comment="#")
    mine = table[
        (table["protocol"] == protocol)
        & (table["method"] == method)
        & table["domain"].isin(domains)
        & table["label_fraction"].isin(fractions)
    ]
    assert len(mine) == len(domains) * len(fractions)
    return float(mine["roc_auc"].mean())


def test_published_curves_are_complete_and_possible() -> None:
    table = published.load()
    assert table.notna().all(axis=None)  # no unknown method
    assert not table.duplicated([name for name in table if name != "value"]).any()
    assert table["value"].between(0.5, 1).all()
    assert set(table["label_fraction"]) <= {0.01, 0.05, 0.1, 0.25, 1.0}
    own = {name for scanners in published.SCANNERS.values() for name in scanners}
    assert (table["in_distribution"] == table["domain"].isin(own)).all()
    assert set(table["protocol"]) == {"linear", "finetuned"}
    assert table.groupby("modality")["domain"].nunique().to_dict() == {"chest": 4, "mammography": 8}
    known = table.set_index(["protocol", "strategy", "domain", "label_fraction"])["value"]
    assert known["linear", "counterfactual", "Selenia Dimensions", 0.01] == 0.9119


def test_published_gains_are_those_of_plain_sums() -> None:
    shares = [0.1, 0.25, 1.0]
    external = ["RSNA", "CheXpert"]
    paired, plain = (raw("linear", name, external, shares) for name in ("CF-SimCLR", "SimCLR"))
    assert gain("C6", "padchest") == pytest.approx(paired - plain)
    # The supervised baseline of the ledger is the paper's ImageNet.
    every = ["PadChest Imaging", "PadChest Phillips", *external]
    simclr, imagenet = (raw("finetune", name, every, shares) for name in ("SimCLR", "ImageNet"))
    assert gain("C9", "padchest") == pytest.approx(simclr - imagenet)
    rare, common = (
        raw("linear", "CF-SimCLR", [scanner], [0.01, 0.05, *shares])
        - raw("linear", "SimCLR", [scanner], [0.01, 0.05, *shares])
        for scanner in ("Senographe Pristina", "Selenia Dimensions")
    )
    assert gain("C3", "embed") == pytest.approx(rare - common)


def test_published_gains_have_the_papers_signs() -> None:
    for cohort in published.MODALITY:
        for claim in ("C2", "C4", "C6", "C8"):
            value = gain(claim, cohort)
            assert value is not None
            assert value > 0, (claim, cohort)


def test_what_the_figures_do_not_show_has_no_value() -> None:
    assert gain("C7", "padchest") is None
    assert gain("C1", "padchest") is None
    assert gain("C12", "embed") is None
    assert published.of_cohort("phantom-chest") is None


def found_on(cohort: str) -> list:
    frame = papers_results().assign(cohort=cohort, test_cohort=cohort)
    setting = Setting(cohort, ("A", "B"), ("C",))
    asked = BOOK.subset(["C2", "C6"])
    return judge(asked, Evidence(setting, checked_results(frame, setting, "results.csv")))


def test_published_values_stand_beside_ours_on_the_papers_cohorts_only() -> None:
    here = {finding.claim.id: finding for finding in found_on("padchest")}
    assert here["C6"].outcomes[0].published == gain("C6", "padchest")
    assert f"the paper: {gain('C6', 'padchest'):+.3f}" in as_text(list(here.values()))
    by_share = {each.label.rsplit(", ", 1)[-1]: each.published for each in here["C2"].outcomes}
    assert by_share["5 % of the labels"] is None  # the external sets start at a tenth
    assert by_share["25 % of the labels"] is not None
    elsewhere = found_on("made-up")
    assert all(each.published is None for finding in elsewhere for each in finding.outcomes)
