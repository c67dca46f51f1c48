"""Every kind of claim gets the verdict that made-up results of known effect deserve."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from companion.claims import ledger
from companion.claims.contrasts import Setting, checked_results
from companion.claims.evidence import Evidence, _judged
from companion.claims.judging import (
    ONE_GENERATOR,
    ONE_SEED,
    Finding,
    Verdict,
    as_text,
    decide,
    judge,
    table,
)
from companion.cohorts.cohort import Cohort
from companion.evaluation.probing import probe
from tests.evaluation import test_probing as probing
from tests.evaluation.made_up import (
    FRACTIONS,
    SETTING,
    Gain,
    constant,
    encoder,
    evidence,
    papers_results,
    papers_shape,
    quality,
    records,
    results,
)

BOOK = ledger.load()
YES, NO, AGAINST, UNTESTED = (
    Verdict.supported,
    Verdict.not_supported,
    Verdict.contradicted,
    Verdict.untested,
)


def opposite_shape(domain: str, fraction: float) -> float:
    return -papers_shape(domain, fraction)


def opposite_results() -> pd.DataFrame:
    paired = encoder("counterfactual", opposite_shape)
    return results(encoder("standard"), encoder("plus"), paired)


class Judged(dict[str, Finding]):
    """Claim to finding, judged when it is looked at."""

    def __init__(self, frame: pd.DataFrame, **others: object) -> None:
        self.evidence = evidence(frame, **others)

    def __missing__(self, claim: str) -> Finding:
        (self[claim],) = judge(BOOK.subset([claim]), self.evidence)
        return self[claim]


def scattered(mean: float, step: float) -> pd.DataFrame:
    """CF-SimCLR gains mean - step, mean and mean + step with the three seeds, over both others."""
    frame = results(*(encoder(name, noise=0) for name in ("standard", "plus", "counterfactual")))
    gaining = frame["strategy"] == "counterfactual"
    frame.loc[gaining, "value"] += mean + step * (frame.loc[gaining, "pretrain_seed"] - 1)
    return frame


# The gains and differences of SimCLR


@pytest.mark.parametrize(
    ("frame", "share", "claims", "expected"),
    [
        (papers_results(), 0.97, ("C1", "C2", "C3", "C4", "C6"), YES),
        (papers_results(), 0.97, ("C5", "C7", "C9", "C10", "C14"), UNTESTED),
        (opposite_results(), 0.5, ("C1", "C2", "C3", "C4", "C6", "C8"), AGAINST),
        (scattered(0.0, 0.01), 0.8, ("C2", "C3", "C4", "C6", "C8"), NO),
    ],
    ids=["the paper's shape", "what was not run", "the opposite", "no effect"],
)
def test_shapes_are_recognised(frame, share: float, claims, expected: Verdict) -> None:
    found = Judged(frame, quality=quality(share))
    assert {found[name].verdict for name in claims} == {expected}


def test_effects_are_the_planted_ones() -> None:
    frame = results(encoder("standard", noise=0), encoder("counterfactual", papers_shape, noise=0))
    found = Judged(frame)
    shown = ("C2", "C3", "C4", "C6")
    value = {name: [each.value for each in found[name].outcomes] for name in shown}
    assert value["C2"] == pytest.approx([0.06, 0.06, 0.04])  # .02 + .03 * 2/3 (+ .02)
    assert value["C3"] == pytest.approx([0.03])  # B (rare) minus A (common)
    assert value["C4"] == pytest.approx([0.02])
    assert value["C6"] == pytest.approx([0.05 + 0.02 * 2 / 3])
    assert found["C6"].outcomes[0].effect.seeds == 3
    assert found["C6"].outcomes[0].effect.n == 40  # the images of scanner C, counted once
    assert found["C2"].outcomes[0].effect.n == 120


def test_tests_of_a_claim_share_the_error() -> None:
    """p = .03 is enough for one test alone, and not for three tests of one claim."""
    found = Judged(scattered(0.03257, 0.01))
    assert found["C6"].verdict == YES
    assert found["C6"].outcomes[0].p_value == pytest.approx(0.03, abs=1e-4)
    assert found["C2"].verdict == NO
    assert found["C2"].outcomes[0].p_value == pytest.approx(3 * found["C6"].outcomes[0].p_value)
    assert found["C2"].outcomes[0].level == pytest.approx(1 - 0.05 / 3)


def test_one_pretraining_seed_decides_nothing() -> None:
    for gain, words in ((papers_shape, Verdict.as_claimed), (opposite_shape, Verdict.against)):
        frame = results(encoder("standard", seeds=[0]), encoder("counterfactual", gain, seeds=[0]))
        found = Judged(frame)
        verdicts = {found[name].verdict for name in ("C2", "C3", "C4", "C6")}
        assert {words} <= verdicts <= {words, Verdict.undecided}
        assert found["C6"].reason == f"{ONE_SEED}; {ONE_GENERATOR}"
        effect = found["C6"].outcomes[0].effect
        assert (effect.seeds, effect.covers) == (
            1,
            "other test patients, for these encoders only",
        )


def test_verdicts_that_rest_on_one_generator_say_so() -> None:
    """Also those over several pretraining seeds, which learn from the same counterfactuals."""
    baseline = encoder("supervised", objective="simclr", protocol="finetuned")
    plain = encoder("standard", constant(0.05), protocol="finetuned")
    paired = encoder("counterfactual", constant(0.05), protocol="finetuned")
    frame = results(papers_results(), baseline, plain, paired)
    found = Judged(frame, quality=quality(), records=records())
    for name in ("C1", "C2", "C3", "C4", "C6", "C11"):
        assert (found[name].verdict, found[name].reason) == (YES, ONE_GENERATOR)
    without, resting = found["C9"].outcomes
    assert (without.verdict, without.reason) == (YES, "")  # SimCLR and Supervised have none
    assert (resting.verdict, resting.reason) == (YES, ONE_GENERATOR)


def test_counterfactuals_of_several_generators_are_judged_over_their_seeds() -> None:
    judged = pd.concat([quality(0.9), quality(0.96, "base-1"), quality(0.99, "base-2")])
    found = Judged(papers_results(), quality=judged)["C1"]
    low, high = found.outcomes[0].low, found.outcomes[0].high
    assert (found.outcomes[0].effect.seeds, found.reason) == (3, "")
    mean, error = 0.95, np.std([0.9, 0.96, 0.99], ddof=1) / np.sqrt(3)
    assert (low, high) == pytest.approx((mean - 4.3027 * error, mean + 4.3027 * error), abs=1e-4)
    one_lacks_it = pd.concat([quality(), quality(1, "base-1").query("target == 'B'")])
    with pytest.raises(ValueError, match="each of 2 generators, found 1"):
        judge(BOOK, evidence(papers_results(), quality=one_lacks_it))


def test_generators_of_other_seeds_and_variants_are_left_out(tmp_path: Path) -> None:
    runs = {}
    judged = ("quality", "quality-base-1", "quality-base-7", "quality-early")
    for name in ("evaluation-simclr-plus-0", *judged):
        runs[name] = SimpleNamespace(folder=tmp_path / name)
        runs[name].folder.mkdir()
        quality().drop(columns="generator").to_csv(runs[name].folder / "quality.csv", index=False)
    assert set(_judged(runs, {1, 2})["generator"]) == {"base", "base-1"}
    assert _judged({}, {0}) is None


def test_a_verdict_names_encoders_that_were_still_learning() -> None:
    rising = pd.DataFrame({"epoch": range(8), "validation_auc": np.linspace(0.5, 0.9, 8)})
    rising = rising.assign(objective="simclr", strategy="standard", seed=0)
    made = records()
    made[-1]["options"]["convergence"] = {"margin": 0.02}
    found = Judged(papers_results(), history=rising, records=made)["C6"]
    assert found.reason == f"not converged: SimCLR; {ONE_GENERATOR}"


def test_trainings_that_are_left_of_other_seeds_change_no_remark() -> None:
    """Seed 9 used the first seed's bank, was still learning, and was judged by another margin."""
    made = records(generators=3)
    options = {"simclr": {}, "strategy": "counterfactual"}
    for record in made[-3:]:
        record["options"]["convergence"] = {"margin": 0.5}
    left = made[-3] | {"options": options | {"seed": 9, "convergence": {"margin": 0.02}}}
    rising = pd.DataFrame({"epoch": range(8), "validation_auc": np.linspace(0.5, 0.9, 8)})
    rising = rising.assign(objective="simclr", strategy="counterfactual", seed=0)
    history = pd.concat([rising, rising.assign(seed=9, validation_auc=rising["epoch"])])
    found = Judged(papers_results(), history=history, records=[*made, left])["C6"]
    assert found.reason == ""
    assert found.outcomes[0].effect.covers.startswith("other seeds of generator and pretraining")


def test_a_quality_verdict_and_its_p_value_are_of_one_interval() -> None:
    """A bootstrap interval that is longer below: its mean half length would exclude the bar."""
    skewed = quality()
    skewed[["value", "ci_low", "ci_high"]] = [0.9, 0.79, 0.91]
    outcome = Judged(papers_results(), quality=skewed)["C1"].outcomes[0]
    assert (outcome.low, outcome.high) == pytest.approx((0.79, 0.91))
    assert outcome.verdict == NO
    assert outcome.p_value > 0.05


def test_seeds_that_only_one_encoder_has_are_not_compared() -> None:
    frame = results(
        encoder("standard", seeds=[0, 1, 2]), encoder("counterfactual", seeds=[1, 2, 3])
    )
    assert Judged(frame)["C6"].outcomes[0].effect.seeds == 2


def test_the_interval_of_one_seed_is_of_that_seed_and_on_the_wide_side() -> None:
    """Seed 1 alone is compared; how unsure seed 0 of one encoder is does not matter."""
    frame = results(
        encoder("standard", seeds=[0, 1], noise=0), encoder("counterfactual", seeds=[1], noise=0)
    )
    frame.loc[frame["pretrain_seed"] == 0, ["ci_low", "ci_high"]] += [-0.3, 0.1]
    frame.loc[frame["pretrain_seed"] == 0, "n"] = 1000
    outcome = Judged(frame)["C6"].outcomes[0]
    assert (outcome.effect.seeds, outcome.effect.n) == (1, 40)
    assert outcome.high - outcome.value == pytest.approx(np.sqrt(2) * 0.02)


# Single shares, finetuning, the supervised baseline, DINO, sex, the ablation, other cohorts


def but_with_all_labels(gain: float) -> pd.DataFrame:
    """CF-SimCLR gains .05, but with all labels something else."""
    return results(
        encoder("standard"),
        encoder("counterfactual", lambda domain, fraction: 0.05 if fraction < 1 else gain),
    )


def finetuned(smaller: float) -> pd.DataFrame:
    return results(
        papers_results(),
        encoder("standard", protocol="finetuned"),
        encoder("counterfactual", constant(smaller), protocol="finetuned"),
    )


def supervised(gain: float) -> pd.DataFrame:
    """What self-supervision gains over the supervised baseline."""
    return results(
        encoder("supervised", objective="simclr", protocol="finetuned"),
        encoder("standard", constant(gain), protocol="finetuned"),
        encoder("counterfactual", constant(gain), protocol="finetuned"),
    )


def dino(gain: Gain) -> pd.DataFrame:
    base = [encoder(name, objective="dino") for name in ("standard", "plus")]
    return results(*base, encoder("counterfactual", gain, objective="dino"))


def dino_plus(gain: float) -> pd.DataFrame:
    return results(
        papers_results(),
        encoder("plus", objective="dino", noise=1e-4),
        encoder("counterfactual", constant(gain), objective="dino", noise=1e-4),
    )


def sexes(gain_f: float, gain_m: float) -> pd.DataFrame:
    return results(
        encoder("standard", constant(-0.1), subgroup="sex=F"),
        encoder("standard", subgroup="sex=M"),
        encoder("sexcf", constant(-0.1 + gain_f), subgroup="sex=F"),
        encoder("sexcf", constant(gain_m), subgroup="sex=M"),
    )


def step_by_step(gain: float) -> pd.DataFrame:
    """The same gain with each better kind of counterfactuals."""
    steps = ("standard", "earlycf", "counterfactual", "tunedcf")
    return results(*(encoder(name, constant(gain * i)) for i, name in enumerate(steps)))


def chexpert(gain: float) -> pd.DataFrame:
    here = {"objective": "dino", "test_cohort": "chexpert", "fractions": [0.1, 0.25, 1.0]}
    return results(
        encoder("standard", objective="dino"),
        encoder("counterfactual", constant(0.1), objective="dino"),
        encoder("standard", domains=["X"], **here),
        encoder("counterfactual", constant(gain), domains=["X"], **here),
    )


@pytest.mark.parametrize(
    ("claim", "made", "gains", "expected"),
    [
        ("C2", but_with_all_labels, (0.0,), NO),  # every share means every one
        ("C2", but_with_all_labels, (-0.05,), AGAINST),
        ("C5", finetuned, (0.01,), YES),
        ("C5", finetuned, (-0.02,), AGAINST),
        ("C5", finetuned, (0.2,), AGAINST),  # it gains, but not less
        ("C7", dino, (papers_shape,), YES),
        ("C7", dino, (constant(0.05),), NO),  # the gap between scanners stays
        ("C8", dino_plus, (-0.003,), YES),  # within the margin
        ("C8", dino_plus, (-0.02,), AGAINST),
        ("C9", supervised, (0.05,), YES),
        ("C9", supervised, (-0.05,), AGAINST),
        ("C12", sexes, (0.06, 0.02), YES),
        ("C12", sexes, (0.02, 0.06), AGAINST),  # the weaker sex gains less
        ("C12", sexes, (0.06, -0.02), AGAINST),
        ("C13", step_by_step, (0.02,), YES),
        ("C13", step_by_step, (-0.02,), AGAINST),
        ("C14", chexpert, (-0.02,), YES),
        ("C14", chexpert, (0.02,), AGAINST),
    ],
)
def test_planted_effects_get_their_verdicts(claim, made, gains, expected) -> None:
    assert Judged(made(*gains))[claim].verdict == expected


def test_finetuning_and_probing_are_compared_on_the_shares_that_both_have() -> None:
    frame = results(
        encoder("standard", noise=0),
        encoder("counterfactual", papers_shape, noise=0),
        encoder("standard", protocol="finetuned", fractions=[1.0], noise=0),
        encoder("counterfactual", protocol="finetuned", fractions=[1.0], noise=0),
    )
    outcome = Judged(frame)["C5"].outcomes[1]
    assert outcome.value == pytest.approx(-0.04)  # the linear gain at 1.0 alone


def test_a_claim_of_which_a_part_was_not_tested_is_not_supported() -> None:
    found = Judged(papers_results())["C8"]
    assert [each.verdict for each in found.outcomes] == [YES, UNTESTED]
    assert found.verdict == NO
    assert "CF-DINO was not run (objective 'dino', strategy 'counterfactual')" in found.reason


def test_external_cohorts_are_held_out_and_start_at_their_own_share() -> None:
    frame = results(
        encoder("standard", noise=0),
        encoder("counterfactual", noise=0),
        *(
            encoder(name, constant(g), test_cohort="rsna", domains=["A"], fractions=[1.0], noise=0)
            for name, g in (("standard", 0.0), ("counterfactual", 0.08))
        ),
    )
    found = Judged(frame)
    assert found["C6"].outcomes[0].value == pytest.approx(0.04)  # C: 0, A of rsna: .08
    assert len(found["C2"].outcomes) == 1  # at 1.0 alone, which every domain has
    assert found["C4"].verdict == UNTESTED


# The other kinds


@pytest.mark.parametrize(("share", "expected"), [(0.95, YES), (0.5, AGAINST), (0.8, NO)])
def test_effectiveness_has_a_bar(share: float, expected: Verdict) -> None:
    found = Judged(papers_results(), quality=quality(share))["C1"]
    assert found.verdict == expected
    outcome = found.outcomes[0]
    assert (outcome.low, outcome.high) == (share - 0.02, share + 0.01)  # as measured, asymmetric
    assert outcome.effect.covers == "other test patients, for this generator"
    assert outcome.effect.n == 80


def separability(cf: float, seeds: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {"objective": "simclr", "strategy": strategy, "pretrain_seed": seed, "n": 90}
            | {"measure": "scanner", "value": value + rng.normal(0, 0.01)}
            for seed in range(seeds)
            for strategy, value in (("standard", 0.9), ("plus", 0.9), ("counterfactual", cf))
        ]
    )


@pytest.mark.parametrize(("cf", "expected"), [(0.6, YES), (0.9, NO), (0.99, AGAINST)])
def test_embeddings_cluster_less_by_scanner(cf: float, expected: Verdict) -> None:
    assert Judged(papers_results(), separability=separability(cf))["C10"].verdict == expected


def test_separability_of_one_seed_has_no_interval() -> None:
    found = Judged(papers_results(), separability=separability(0.6, seeds=1))["C10"]
    assert found.verdict == Verdict.undecided
    assert "no interval" in found.outcomes[0].interval_text
    assert found.outcomes[0].effect.covers == ""
    assert "interval over" not in as_text([found])


@pytest.mark.parametrize(("implants", "expected"), [(0.9, YES), (0.5, AGAINST)])
def test_implants_stay_told_apart_where_they_are_known(implants: float, expected: Verdict) -> None:
    frame = separability(0.6)
    told = frame.assign(
        measure="attribute",
        value=frame["value"].where(frame["strategy"] != "counterfactual", implants),
    )
    known = pd.concat([frame, told], ignore_index=True)
    assert Judged(papers_results(), separability=known)["C10"].verdict == expected
    without = Judged(papers_results(), separability=frame)["C10"]
    assert without.verdict == YES
    assert without.outcomes[-1].verdict == Verdict.untested
    assert without.outcomes[-1].reason == "the images of this cohort have no attribute"
    assert without.reason == ONE_GENERATOR


def test_cost_of_the_generator() -> None:
    for made, expected in (
        (records(), YES),
        (records(generator=300), AGAINST),
        (records(pretrain=[100]), Verdict.undecided),
    ):
        assert Judged(papers_results(), records=made)["C11"].verdict == expected
    found = Judged(papers_results(), records=records(pretrain=[100, 200]))["C11"]
    assert found.outcomes[0].value == pytest.approx((0.4 + 0.2) / 2)
    assert found.outcomes[0].effect.unit == "times"


def test_an_interval_covers_the_generator_where_each_seed_had_one_of_its_own() -> None:
    shared, own = (Judged(papers_results(), records=records(generators=n))["C6"] for n in (1, 3))
    assert (shared.reason, own.reason) == (ONE_GENERATOR, "")
    covered = [found.outcomes[0].effect.covers for found in (shared, own)]
    assert covered == [
        "other pretraining seeds, on these test patients",
        "other seeds of generator and pretraining, on these test patients",
    ]


def test_trainings_that_show_how_long_to_train_are_no_encoders() -> None:
    made = records()
    training = next(each for each in made if each["step"] == "pretraining")
    longer = training | {"digest": "longer", "seconds": 1e6}
    length = {"step": "length", "digest": "length", "inputs": {"random": "longer"}}
    found = evidence(papers_results(), records=[*made, longer, length])
    assert training in found.trainings.values()
    assert longer not in found.trainings.values()


def test_cost_is_of_the_encoders_that_were_evaluated() -> None:
    """The trainings of seeds that a profile no longer has may still lie there."""
    left = records(pretrain=[100, 110, 105, 1])
    outcome = Judged(papers_results(), records=left)["C11"].outcomes[0]
    assert outcome.effect.seeds == 3
    assert outcome.verdict == YES


def test_cost_is_not_tested_where_what_came_before_an_interruption_is_not_known() -> None:
    made = records()
    made[2]["continued"] = True
    found = Judged(papers_results(), records=made)["C11"]
    assert found.verdict == UNTESTED
    assert "'bank'" in found.reason
    assert "interrupted" in found.reason


def test_what_was_not_run_is_not_tested_and_says_why() -> None:
    frame = papers_results()
    found = Judged(frame)
    assert found["C1"].reason == "there is no quality.csv"
    assert found["C10"].reason == "there is no separability.csv"
    assert found["C11"].verdict == UNTESTED
    assert "not run with the protocol 'finetuned'" in found["C5"].reason
    assert "Supervised was not run" in Judged(finetuned(0.01))["C9"].reason
    without_c = Judged(frame[frame["domain"] != "C"])
    assert without_c["C6"].reason == "there are no figures on held-out scanners"
    assert without_c["C6"].verdict == UNTESTED
    one_scanner = Judged(frame[frame["domain"] != "B"])
    assert "only one to choose" in one_scanner["C3"].reason
    one_share = Judged(frame[frame["label_fraction"] == 1])
    assert "only one to choose" in one_share["C4"].reason
    by_no_sex = Judged(results(encoder("standard"), encoder("sexcf")))["C12"].reason
    assert "subgroup 'sex=F'" in by_no_sex
    assert "no figures of both sexes" in by_no_sex
    assert "there are no figures on cohort 'chexpert'" in Judged(dino(papers_shape))["C14"].reason
    plain = separability(0.6).query("strategy != 'counterfactual'")
    unmeasured = Judged(frame, separability=plain)["C10"].reason
    assert unmeasured == "separability.csv has no figures of CF-SimCLR"


# Rules


@pytest.mark.parametrize(
    ("direction", "margin", "low", "high", "expected"),
    [
        ("above", 0.0, 0.0, 0.1, NO),
        ("above", 0.05, 0.01, 0.02, AGAINST),
        ("above", 0.0, -math.inf, math.inf, NO),
        ("below", 0.0, -0.02, -0.01, YES),
        ("below", 0.0, 0.01, 0.02, AGAINST),
        ("not below", 0.05, -0.06, -0.01, NO),
        ("equal", 0.05, -0.04, 0.04, YES),
        ("equal", 0.05, -0.04, 0.06, NO),
        ("equal", 0.05, 0.06, 0.07, AGAINST),
        ("equal", 0.05, -0.07, -0.06, AGAINST),
    ],
)
def test_what_an_interval_decides(direction, margin, low, high, expected) -> None:
    assert decide(direction, margin, low, high) == expected


def test_an_equal_claim_has_two_margins() -> None:
    """Holm's p-value of an equivalence belongs to the nearer margin."""
    claim = {"id": "C99", "statement": "equal", "where": "nowhere"}
    asked = {"kind": "gain", "first": "CF-SimCLR", "second": "SimCLR", "domains": "held-out"}
    asked |= {"direction": "equal", "margin": 0.03}
    content = {"claims": [claim | {"tests": [asked]}], "encoders": BOOK.encoders}
    equal = ledger.Ledger.model_validate(content)
    frame = results(encoder("standard"), encoder("counterfactual", constant(0.01), noise=0.003))
    found = judge(equal, evidence(frame))[0]
    assert found.verdict == YES
    outcome = found.outcomes[0]
    low, high = outcome.effect.estimate.interval(1 - outcome.p_value)
    assert max(high, -low) == pytest.approx(0.03)


# Bad tables: never a silent pass


def test_every_column_is_needed_and_a_figure_of_auc() -> None:
    frame = papers_results()
    with pytest.raises(ValueError, match=r"results.csv: columns \['ci_low', 'n'\] are missing"):
        evidence(frame.drop(columns=["ci_low", "n"]))
    with pytest.raises(ValueError, match="no row has the metric 'roc_auc'"):
        evidence(frame.assign(metric="accuracy"))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("strategy", "countrfactual", "line 4: strategy is 'countrfactual', expected one of"),
        ("objective", "SimCLR", "line 4: objective is 'SimCLR'"),
        ("protocol", "finetune", "line 4: protocol is 'finetune'"),
        ("cohort", "other", r"line 4: cohort is 'other', expected one of \['made-up'\]"),
        ("domain", "D", "line 4: domain is 'D'"),
        ("value", 1.5, "line 4: value is .*1.5.*, expected an AUC"),
        ("value", np.nan, "line 4: value is"),
        ("probe_seed", 0, "line 4: domain is 'A', expected one row per figure"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(column: str, value: object, message: str) -> None:
    frame = papers_results()
    frame.loc[2, column] = value
    if column == "probe_seed":
        frame.loc[2] = frame.loc[0]
    with pytest.raises(ValueError, match=message):
        evidence(frame)


def lacking(strategy: str, domain: str, probe_seed: int) -> pd.DataFrame:
    frame = papers_results()
    gone = (frame["strategy"] == strategy) & (frame["domain"] == domain)
    return frame[~(gone & (frame["probe_seed"] == probe_seed))]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            results(encoder("standard", seeds=[0]), encoder("counterfactual", seeds=[1])),
            r"claim C2: empty contrast: .*seed in common, \[1\] and",
        ),
        *(
            (
                results(encoder("standard", fractions=fractions), encoder("counterfactual")),
                r"claim C2: .*same shares of the labels.*\[0.05, 0.25",
            )
            for fractions in ([0.25, 1.0], [0.1])
        ),
        (lacking("standard", "B", 1), r"claim C2: SimCLR \(linear\) lacks the figure.*'B'"),
    ],
)
def test_figures_that_only_one_encoder_has_are_refused(frame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge(BOOK.subset(["C2"]), evidence(frame))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("quality", lambda t: t.assign(measure="off"), r"found 0; it has the measures \['off"),
        ("quality", lambda t: t[t["target"] != "all"], "found 0"),
        ("quality", lambda t: t.assign(value=np.nan), "expected one row with figures"),
        ("quality", lambda t: pd.concat([t, t]), "found 2"),
        ("separability", lambda t: t.assign(measure="knn"), r"'scanner'; it has \['knn'\]"),
        ("separability", lambda t: pd.concat([t, t]), "two figures of one pretraining seed"),
        (
            "separability",
            lambda t: t[(t["strategy"] == "counterfactual") == (t["pretrain_seed"] == 0)],
            "no pretraining seed in common",
        ),
    ],
)
def test_other_wrong_tables_are_refused(kind: str, change, message: str) -> None:
    tables = {"quality": quality(), "separability": separability(0.6)}
    with pytest.raises(ValueError, match=message):
        judge(
            BOOK.subset(["C1", "C10"]), evidence(papers_results(), **{kind: change(tables[kind])})
        )


# What comes out


def test_the_table_has_a_row_per_test_and_the_text_a_claim() -> None:
    judged = judge(BOOK, evidence(papers_results(), quality=quality()))
    found = table(judged)
    assert found["claim"].nunique() == 14
    assert (found["claim"] == "C2").sum() == len(FRACTIONS)
    row = found[found["claim"] == "C6"].iloc[0]
    assert (row["verdict"], row["unit"], row["seeds"], row["n"]) == ("supported", "AUC", 3, 40)
    assert (row["notebook"], row["figure"]) == ("probing", "fig-probing-gain")
    assert row["ci_low"] < row["effect"] < row["ci_high"]
    untested = found[found["test_verdict"] == "not tested here"]
    assert untested["effect"].isna().all()
    assert (untested["reason"] != "").all()
    text = as_text(judged)
    assert sum(line.startswith("C") for line in text.splitlines()) == 14
    assert "97.0% (95.0% to 98.0%) share; 95.0% interval over other test patients" in text
    assert "3 seeds, n = 40" in text


def test_the_commonest_scanner_is_counted_in_training() -> None:
    frame = pd.DataFrame({"split": ["train"] * 10, "scanner": ["B"] + ["A"] * 9})
    info = {"name": "made-up", "scanners": ["B", "A"], "held_out_scanners": ["C"]}
    found = Setting.of(Cohort(Path(), info, np.zeros((10, 2, 2), np.uint8), frame))
    assert found == SETTING


def test_real_probing_results_are_accepted() -> None:
    """What `probe` writes is what claims read."""
    cohort = probing.make_cohort(300)
    options = probing.OPTIONS.model_copy(update={"seeds": (0,), "c_grid": (0.1,)})
    tables = [
        probe(
            cohort,
            probing.gaussian_features(cohort, distance, seed=seed),
            options,
            {"objective": "simclr", "strategy": strategy, "pretrain_seed": seed},
        )
        for seed in (0, 1, 2)
        for strategy, distance in (("standard", 0.3), ("counterfactual", 2.5))
    ]
    setting = Setting.of(cohort)
    checked = checked_results(pd.concat(tables, ignore_index=True), setting, "results.csv")
    (found,) = judge(BOOK.subset(["C6"]), Evidence(setting, checked))
    assert found.verdict == YES
    assert found.outcomes[0].value > 0.2
