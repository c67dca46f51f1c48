import numpy as np
import pytest

from companion.cohorts import bank as banks
from companion.cohorts.bank import BankOptions, all_counterfactuals
from companion.cohorts.truths import true_counterfactual

OPTIONS = BankOptions(batch_size=16)


def test_every_image_under_every_scanner(phantom, generator, folder):
    banks.make(phantom, generator, OPTIONS, folder)
    bank = banks.load(folder, phantom)
    rows = phantom.rows(scanners="pretraining")
    assert bank.images.shape == (len(rows), 3, 32, 32)
    assert bank.values == phantom.scanners
    own = phantom.codes("scanner", rows)
    entries = bank.position[rows]
    np.testing.assert_array_equal(bank.images[entries, own], phantom.images[rows])
    other = (own + 1) % 3
    expected = all_counterfactuals(phantom, generator, rows[:16], OPTIONS)[
        np.arange(16), other[:16]
    ]
    made = bank.images[entries[:16], other[:16]].astype(int)
    np.testing.assert_allclose(made, expected, atol=1)  # other batches: rounding may differ
    assert (bank.position[phantom.rows(scanners="held_out")] == -1).all()


def test_a_killed_bank_goes_on_where_it_was(phantom, generator, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    banks.make(phantom, generator, OPTIONS, whole)
    calls = []

    def stopping(*arguments, **options):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return all_counterfactuals(*arguments, **options)

    monkeypatch.setattr(banks, "all_counterfactuals", stopping)
    with pytest.raises(KeyboardInterrupt):
        banks.make(phantom, generator, OPTIONS, broken)
    with pytest.raises(FileNotFoundError, match="make the bank first"):
        banks.load(broken, phantom)
    before = len(calls)
    monkeypatch.setattr(
        banks,
        "all_counterfactuals",
        lambda *a, **o: calls.append(1) or all_counterfactuals(*a, **o),
    )
    banks.make(phantom, generator, OPTIONS, broken)
    assert len(calls) - before < len(np.load(whole / "rows.npy")) / 16  # not from the start
    assert (broken / "counterfactuals.npy").read_bytes() == (
        whole / "counterfactuals.npy"
    ).read_bytes()


def test_progress_ahead_of_the_bank_is_not_believed(phantom, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    banks.make_from_truth(phantom, OPTIONS, whole)
    content = (whole / "counterfactuals.npy").read_bytes()
    (broken / "counterfactuals.npy").write_bytes(content[:-5000])
    (broken / "progress-0.txt").write_text("\n0 written\n")
    banks.make_from_truth(phantom, OPTIONS, broken)
    assert (broken / "counterfactuals.npy").read_bytes() == content


def test_a_whole_bank_is_not_made_again(phantom, generator, folder, monkeypatch):
    """Its record may be missing, when a kill came while checksums were computed."""
    banks.make(phantom, generator, OPTIONS, folder)
    (folder / "progress-0.txt").touch()
    monkeypatch.setattr(
        banks, "all_counterfactuals", lambda *_, **__: pytest.fail("computed again")
    )
    banks.make(phantom, generator, OPTIONS, folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["bank.json", "counterfactuals.npy", "rows.npy"]


def test_the_oracle_bank_is_the_truth(phantom, folder):
    banks.make_from_truth(phantom, OPTIONS, folder)
    bank = banks.load(folder, phantom)
    rows = phantom.rows("test", "pretraining")[:8]
    for k, scanner in enumerate(bank.values):
        truth = true_counterfactual(phantom, rows, {"scanner": scanner})
        np.testing.assert_array_equal(bank.images[bank.position[rows], k], truth)


def test_a_bank_over_sex_holds_both_sexes(phantom, generator, folder):
    banks.make(phantom, generator, BankOptions(variable="sex", batch_size=64), folder)
    bank = banks.load(folder, phantom)
    rows = phantom.rows(scanners="pretraining")
    assert (bank.variable, bank.values) == ("sex", ("F", "M"))
    own = phantom.codes("sex", rows)
    np.testing.assert_array_equal(bank.images[bank.position[rows], own], phantom.images[rows])


def test_a_variable_that_the_generator_does_not_know_is_named(phantom, generator, folder):
    with pytest.raises(ValueError, match=r"bank over height.*\['scanner', 'sex'\]"):
        banks.make(phantom, generator, BankOptions(variable="height"), folder)
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("half_precision")
def test_precision_and_pixel_noise_reach_the_prediction(phantom, generator):
    rows = phantom.rows("test", "pretraining")[:4]
    exact, rough, without = (
        all_counterfactuals(phantom, generator, rows, BankOptions(**changed)).astype(int)
        for changed in ({}, {"bfloat16": True}, {"pixel_noise": False})
    )
    assert 0 < abs(exact - rough).mean() < 20
    assert (exact != without).mean() > 0.5
