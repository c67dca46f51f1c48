"""Discrete mechanisms: their noise explains what was seen, and has the distribution it should."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ccl.generator import tabular
from ccl.generator.generator import Generator, save, to_model
from ccl.generator.graph import IMAGE
from ccl.generator.hvae import HVAE
from ccl.generator.options import Coupling
from ccl.generator.tabular import COUPLINGS, PATIENT, GumbelMax, Monotone, Table
from companion.cohorts import truths
from companion.cohorts.causes import image_parents
from companion.cohorts.cohort import Cohort
from companion.cohorts.registry import build
from companion.cohorts.simulation.phantom_breast import PhantomBreastOptions
from companion.experiments.generator import load
from companion.quality.under_age import under_age
from tests.generator.conftest import SMALL

P = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]], dtype=torch.float64)
N = 5_000
GRAPH = {"scanner": (), "image": ("scanner", "label"), "label": ("age",), "age": ()}


def observed(p: Tensor) -> tuple[Tensor, Tensor]:
    """Parents 0 and 1 in turn, and values drawn from the table."""
    torch.manual_seed(0)
    parents = torch.arange(N) % 2
    return parents, torch.multinomial(p[parents], 1)[:, 0]


def of_patients(parents: Tensor) -> dict[str, Tensor]:
    """What abduction is given: codes, and a patient for each row."""
    return {"a": parents, PATIENT: torch.arange(len(parents))}


@pytest.fixture(params=sorted(COUPLINGS))
def table(request: pytest.FixtureRequest) -> Table:
    return COUPLINGS[request.param](("a",), P)


def test_the_noise_explains_what_was_seen(table: Table) -> None:
    parents, value = observed(P)
    noise = table.abduct(value, of_patients(parents))
    assert torch.equal(table.predict(noise, {"a": parents}), value)
    assert torch.equal(noise, table.abduct(value, of_patients(parents)))


def test_counterfactuals_have_the_interventional_distribution(table: Table) -> None:
    """Averaged over patients, do(a) must give p(v | a): true of every valid coupling."""
    parents, value = observed(P)
    noise = table.abduct(value, of_patients(parents))
    for a in (0, 1):
        new = table.predict(noise, {"a": torch.full_like(parents, a)})
        found = torch.bincount(new, minlength=3).double() / N
        torch.testing.assert_close(found, P[a], atol=0.03, rtol=0)


def test_gumbel_max_is_counterfactually_stable() -> None:
    """From a = 0 to 1 the odds of value 2 rise against all others: who has it keeps it."""
    parents = torch.zeros(N, dtype=torch.int64)
    two = torch.full_like(parents, 2)
    table = GumbelMax(("a",), P)
    assert (table.predict(table.abduct(two, of_patients(parents)), {"a": parents + 1}) == 2).all()


def test_monotone_noise_gives_the_closed_form() -> None:
    """Value 0 at a = 0 is u < .5; at a = 1 value 0 ends at .1 and value 1 at .4."""
    parents = torch.zeros(N, dtype=torch.int64)
    table = Monotone(("a",), P)
    noise = table.abduct(torch.zeros_like(parents), of_patients(parents))
    new = table.predict(noise, {"a": parents + 1})
    found = torch.bincount(new, minlength=3).double() / N
    expected = torch.tensor([0.2, 0.6, 0.2], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0)


def test_variables_of_a_patient_have_independent_noise(table: Table) -> None:
    parents, value = observed(P)
    one, other = (
        replace(table, variable=name).abduct(value, of_patients(parents)) for name in ("x", "y")
    )
    same = (parents == 0) & (value == 0)
    drawn = torch.stack([x[same].reshape(int(same.sum()), -1)[:, 0] for x in (one, other)])
    assert abs(float(torch.corrcoef(drawn)[0, 1])) < 0.1


def test_tables_are_smoothed_counts() -> None:
    a, v = torch.tensor([0, 0, 1]), torch.tensor([1, 1, 0])
    table = tabular.fit(v, {"a": a}, {"a": 3}, 2, "monotone")
    expected = torch.tensor([[1 / 4, 3 / 4], [2 / 3, 1 / 3], [1 / 2, 1 / 2]], dtype=torch.float64)
    torch.testing.assert_close(table.probabilities, expected)


@pytest.fixture(scope="module")
def breast(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    options = PhantomBreastOptions(
        height=32, width=32, n_train=600, n_val=20, n_test_per_scanner=60, age_effect=0.8
    )
    return build(options, None, tmp_path_factory.mktemp("breast") / "cohort")


@pytest.fixture
def joint(breast: Cohort) -> Generator:
    """Age acts on density, density and scanner on the image; the image mechanism is untrained."""
    parents = image_parents(breast, GRAPH)
    torch.manual_seed(0)
    hvae = HVAE(SMALL, parents.sizes, 32, 32)
    for parameter in hvae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return Generator(parents, hvae.eval().requires_grad_(False))


def test_the_density_follows_the_age_as_in_the_phantom(breast: Cohort, joint: Generator) -> None:
    rows = breast.rows("test", "pretraining")
    codes = joint.parents.codes(breast, rows)
    exogenous = joint.abduct(to_model(breast.images[rows]), codes)
    old, young = (
        joint.predict_all(exogenous, do={"age": age})["label"].numpy()
        for age in ("70 and above", "below 50")
    )
    truth_old, truth_young = (
        truths.true_labels(breast, rows, {"age": age}) for age in ("75", "45")
    )
    assert young.mean() - old.mean() == pytest.approx(
        truth_young.mean() - truth_old.mean(), abs=0.25
    )
    # The individual, not only the average: more often right than leaving alone, and than drawing
    # anew from the women of that age.
    own = codes["label"].numpy()
    anew = np.random.default_rng(0).permutation(old)
    right = (old == truth_old).mean()
    assert right > (own == truth_old).mean() + 0.1
    assert right > (anew == truth_old).mean() + 0.1


def test_the_measure_under_age_prefers_mechanisms_that_keep_the_patient(
    breast: Cohort, joint: Generator
) -> None:
    rows = breast.rows("test", "pretraining")
    table = under_age(breast, joint, rows)
    pooled = table[table["target"] == "all"].set_index(["measure", "images"])["value"]
    found = pooled["label_under_age"]
    # The phantom's own mechanism is monotone; Gumbel-max presumes another, and at so strong an
    # effect keeps hardly more of the patient than a new draw.
    assert found["monotone"] > found.drop("monotone").max() + 0.1
    assert pooled["gold_error_age", "untouched"] > 0.5
    assert "counterfactual" in pooled["gold_error_age"]
    alone = Generator(image_parents(breast), joint.hvae)  # age is not in its graph
    assert set(under_age(breast, alone, rows[:20])["measure"]) == {"label_under_age"}


def test_image_and_parents_change_together(breast: Cohort, joint: Generator) -> None:
    rows = breast.rows("test", "pretraining")[:12]
    x, codes = to_model(breast.images[rows]), joint.parents.codes(breast, rows)
    exogenous = joint.abduct(x, codes)
    same = joint.predict_all(exogenous, do={})
    assert all(torch.equal(same[name], codes[name]) for name in codes)
    torch.testing.assert_close(same[IMAGE], x, atol=1e-4, rtol=0)
    new = joint.predict_all(exogenous, do={"age": "below 50"})
    moved = new["label"] != codes["label"]
    assert 0 < moved.sum() < len(rows)
    change = (new[IMAGE] - x).abs().amax(dim=(1, 2, 3))
    assert (change[moved] > 1e-2).all()
    assert (change[~moved] < 1e-4).all()  # the age acts through the density alone
    # An intervention on the density leaves its cause, the age, alone.
    dense = joint.predict_all(exogenous, do={"label": "D"})
    assert torch.equal(dense["age"], codes["age"])
    assert (dense["label"] == 3).all()


@pytest.mark.parametrize("coupling", sorted(COUPLINGS))
def test_counterfactuals_do_not_hang_on_how_batches_are_cut(
    breast: Cohort, joint: Generator, coupling: Coupling
) -> None:
    rows = breast.rows("test", "pretraining")[:24]
    generator = replace(joint, parents=image_parents(breast, GRAPH, coupling))
    together = anew(breast, generator, rows)
    assert (together != breast.table["label"].to_numpy()[rows]).any()
    apart = [anew(breast, generator, part) for part in np.split(rows, [1, 3, 10])]
    np.testing.assert_array_equal(np.concatenate(apart), together)
    np.testing.assert_array_equal(anew(breast, generator, rows[::-1]), together[::-1])


def anew(cohort: Cohort, generator: Generator, rows: np.ndarray) -> np.ndarray:
    """Labels of some rows under do(age = below 50)."""
    exogenous = generator.abduct(*generator.observed(cohort, rows))
    return generator.predict_all(exogenous, do={"age": "below 50"})["label"].numpy()


def test_images_of_a_patient_share_their_noise(breast: Cohort) -> None:
    rows = breast.rows("test", "pretraining")
    parents = image_parents(breast, GRAPH, "gumbel-max")
    keys = parents.codes(breast, rows)[PATIENT]
    patients = breast.table["patient_id"].to_numpy()[rows]
    assert len(set(zip(patients, keys.tolist(), strict=True))) == len(set(patients))
    assert len(set(keys.tolist())) == len(set(patients))


def test_tables_are_saved(breast: Cohort, joint: Generator, tmp_path) -> None:
    save(joint, tmp_path)
    again = load(tmp_path).parents
    assert again.values == joint.parents.values
    assert again.graph == joint.parents.graph == {
        "scanner": (), "age": (), "label": ("age",), "image": ("scanner", "label")
    }  # fmt: skip
    assert again.tables["label"].variable == joint.parents.tables["label"].variable == "label"
    torch.testing.assert_close(
        again.tables["label"].probabilities, joint.parents.tables["label"].probabilities
    )


def test_faulty_graphs_are_named(breast: Cohort) -> None:
    with pytest.raises(ValueError, match="'scanner' among its parents"):
        image_parents(breast, {"scanner": (), "image": ()})
    with pytest.raises(ValueError, match=r"\['sex'\] are parents, but no variables"):
        image_parents(breast, {"scanner": ("sex",), "image": ("scanner",)})
    with pytest.raises(ValueError, match=r"\['age'\] cannot be caused by the image"):
        image_parents(breast, {"scanner": (), "age": ("image",), "image": ("scanner",)})
    cyclic = {"scanner": (), "age": ("label",), "label": ("age",), "image": ("scanner", "age")}
    with pytest.raises(ValueError, match="cycle"):
        image_parents(breast, cyclic)
    with pytest.raises(ValueError, match="'weight' is unknown"):
        image_parents(breast, {"scanner": (), "weight": (), "image": ("scanner", "weight")})
