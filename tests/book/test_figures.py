"""Figures draw what the tables say, name their axes, and refuse what they cannot draw."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ccl import figures

FRACTIONS = (0.05, 0.1, 1.0)


def results(seeds: int = 1) -> pd.DataFrame:
    """results.csv of known values: 0.6 + 0.1 fraction + 0.02 strategy + 0.001 seed."""
    rows = [
        {
            "strategy": strategy,
            "pretrain_seed": seed,
            "probe_seed": probe,
            "label_fraction": fraction,
            "n_labels": round(1000 * fraction),
            "domain": domain,
            "subgroup": "all",
            "metric": "roc_auc",
            "value": 0.6 + 0.1 * fraction + 0.02 * s + 0.001 * seed,
            "ci_low": 0.55,
            "ci_high": 0.75,
        }
        for (s, strategy), seed, probe, fraction, domain in itertools.product(
            enumerate(figures.STRATEGIES), range(seeds), range(2), FRACTIONS, ("A", "B", "pooled")
        )
    ]
    return pd.DataFrame(rows)


def quality() -> pd.DataFrame:
    """A quality table with both measures."""
    rows = [
        ("effectiveness", images, "all", target, value, value - 0.02, value + 0.01)
        for images, value in (("real", 0.99), ("counterfactual", 0.9))
        for target in ("A", "B")
    ]
    rows += [
        ("gold_error", images, source, target, value, value - 1, value + 1)
        for images, value in (("untouched", 40.0), ("histogram", 20.0), ("counterfactual", 10.0))
        for source, target in (("A", "B"), ("B", "A"), ("all", "all"))
    ]
    columns = ["measure", "images", "source", "target", "value", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


def test_strategies_differ_in_colour_and_marker() -> None:
    marks = figures.STRATEGIES.values()
    assert len({mark.colour for mark in marks}) == len({mark.marker for mark in marks}) == 5


def test_label_efficiency_draws_the_means_of_the_table() -> None:
    figure = figures.label_efficiency(results(seeds=3))
    assert [axes.get_title() for axes in figure.axes] == ["A", "B", "pooled"]
    colour = figures.STRATEGIES["counterfactual"].colour
    (line,) = [li for li in figure.axes[0].lines if to_hex(li.get_color()).upper() == colour]
    np.testing.assert_allclose(line.get_xdata(), [5, 10, 100])
    np.testing.assert_allclose(line.get_ydata(), [0.6 + 0.1 * f + 0.04 + 0.001 for f in FRACTIONS])
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_xticklabels()[0].get_text() == "5\n(50)"


def test_label_efficiency_has_control_chance_and_names_its_band() -> None:
    for seeds, words in ((1, "patient bootstrap"), (3, "standard error over pretraining seeds")):
        (legend,) = figures.label_efficiency(results(seeds)).legends
        labels = [text.get_text() for text in legend.get_texts()]
        assert {"Random encoder", "Chance"} <= set(labels)
        assert words in legend.get_title().get_text()


def test_band_over_seeds_averages_probe_seeds_first() -> None:
    table = results(seeds=3)
    table.loc[table["probe_seed"] == 1, "value"] += 0.1  # spread between probe seeds is no s.e.
    axes = figures.label_efficiency(table, band="seeds").axes[0]
    edges = axes.collections[0].get_paths()[0].vertices[:, 1]
    centre = axes.lines[0].get_ydata()[0]
    np.testing.assert_allclose(edges[1] - centre, -np.std([0, 1e-3, 2e-3], ddof=1) / np.sqrt(3))


def test_gain_is_the_difference_to_the_reference() -> None:
    figure = figures.gain(results(seeds=3), domains=["A"])
    colour = figures.STRATEGIES["plus"].colour
    (line,) = [li for li in figure.axes[0].lines if to_hex(li.get_color()).upper() == colour]
    np.testing.assert_allclose(line.get_ydata(), 0.02)
    assert "Random encoder" in [t.get_text() for t in figure.legends[0].get_texts()]


def test_bars_show_values_with_the_ceiling_beside() -> None:
    figure = figures.effectiveness(quality())
    heights = [patch.get_height() for patch in figure.axes[0].patches]
    np.testing.assert_allclose(heights, [99, 99, 90, 90])
    assert "[%]" in figure.axes[0].get_ylabel()
    lengths = [patch.get_width() for patch in figures.gold_error(quality()).axes[0].patches]
    np.testing.assert_allclose(lengths, np.repeat([40, 20, 10], 3))


def test_histories_have_units_and_skip_missing_values() -> None:
    history = pd.DataFrame(
        {
            "epoch": [0, 0, 1, 1],
            "strategy": ["standard", "counterfactual"] * 2,
            "alignment": [1.0, np.nan, 0.5, 0.4],
            "uniformity": [-1.0, -1.0, -2.0, -2.0],
        }
    )
    figure = figures.alignment_uniformity(history)
    assert all("[" in axes.get_ylabel() for axes in figure.axes)
    assert len(figure.axes[0].lines[1].get_xdata()) == 1
    kl = pd.DataFrame({"epoch": [0, 1], "kl": [3.0, 5], "kl_16": [2.0, 3], "kl_4": [1.0, 2]})
    axes = figures.kl_per_resolution(kl).axes[0]
    assert "bits per pixel" in axes.get_ylabel()
    assert [line.get_label() for line in axes.lines] == ["4 x 4", "16 x 16"]
    loss = figures.training_history(history.drop(columns="strategy"), {"alignment": "a [nats]"})
    assert not loss.legends


def test_image_grid_tells_images_from_differences() -> None:
    image = np.zeros((8, 8), np.uint8)
    figure = figures.image_grid(
        [[image, image.astype(np.int16) - 3], [image, None]], columns=["real", "difference"]
    )
    shown = [axes.images[0] for axes in figure.axes[:3] if axes.images]
    assert shown[0].get_clim() == (0, 255)
    assert shown[1].get_clim() == (-3, 3)
    assert "grey levels" in figure.axes[-1].get_xlabel()
    assert isinstance(figure, Figure)


def test_figures_show_themselves_in_a_notebook() -> None:
    assert (
        figures.kl_per_resolution(pd.DataFrame({"epoch": [0, 1], "kl_4": [1.0, 2]}))
        ._repr_png_()
        .startswith(b"\x89PNG")
    )


def test_cohort_counts_names_its_axes() -> None:
    table = pd.DataFrame({"scanner": ["A", "A", "B"], "split": ["train", "test", "val"]})
    axes = figures.cohort_counts(table).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("images", "scanner")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: figures.label_efficiency(results().drop(columns="n_labels")), "n_labels"),
        (lambda: figures.label_efficiency(results(), domains=["Z"]), "Z"),
        (lambda: figures.label_efficiency(results().replace("plus", "minus")), "minus"),
        (lambda: figures.gain(results().query("strategy == 'random'")), "standard"),
        (lambda: figures.effectiveness(quality().iloc[:0]), "no rows"),
        (lambda: figures.gold_error(quality().query("measure == 'effectiveness'")), "nothing"),
        (lambda: figures.image_grid([[np.zeros((2, 2))]], columns=["a", "b"]), "2 cells"),
    ],
)
def test_what_cannot_be_drawn_is_an_error_that_says_why(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
