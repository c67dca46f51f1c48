"""Figures draw what the tables say, name their axes, and say why where there is nothing to draw."""

import io
import itertools
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from companion import strategies
from companion.book import figures
from companion.book.figures.accuracy import BOOTSTRAP, SEEDS, interval_of
from companion.book.figures.canvas import add_legend, spread
from companion.book.figures.look import SHAPES

FRACTIONS = (0.05, 0.1, 1.0)
BOTH = ("linear", "finetuned")
KEYS = ["objective", "strategy", "protocol", "pretrain_seed", "probe_seed"]
KEYS += ["label_fraction", "domain"]
INTERVAL = ["value", "ci_low", "ci_high"]


def results(
    seeds: int = 1,
    objectives: tuple[str, ...] = ("simclr",),
    protocols: tuple[str, ...] = ("linear",),
) -> pd.DataFrame:
    """results.csv of known values.

    0.6 + 0.1 fraction + 0.02 strategy + 0.001 seed, + 0.05 finetuned, + 0.004 from DINO.
    """
    order = list(figures.STRATEGIES)
    rows = itertools.product(
        *(objectives, order, protocols, range(seeds), range(2)), *(FRACTIONS, ("A", "B", "pooled"))
    )
    table = pd.DataFrame(rows, columns=KEYS)
    finetuned = table["protocol"] == "finetuned"
    controls = table["strategy"].isin(["random", "initial"])
    table = table[~(controls & finetuned) & ~((table["strategy"] == "supervised") & ~finetuned)]
    value = 0.6 + 0.1 * table["label_fraction"] + 0.02 * table["strategy"].map(order.index)
    value += 0.001 * table["pretrain_seed"] + 0.05 * (table["protocol"] == "finetuned")
    value += 0.004 * (table["objective"] == "dino")
    same = {"subgroup": "all", "metric": "roc_auc", "ci_low": 0.55, "ci_high": 0.75}
    n_labels = (1000 * table["label_fraction"]).round().astype(int)
    return table.assign(value=value, n_labels=n_labels, **same)


def by_sex(seeds: int = 1) -> pd.DataFrame:
    """Women 0.1 worse than men, nobody tested on B's women, and the gap between them."""
    table = results(seeds)
    others = table[table["domain"] != "B"]
    men = table.assign(subgroup="sex=M")
    women = others.assign(subgroup="sex=F", value=others["value"] - 0.1)
    gap = others.assign(subgroup="sex=F minus sex=M", metric="gap")
    gap = gap.assign(value=-0.1, ci_low=-0.2, ci_high=-0.05)
    size = gap.assign(metric="absolute_gap", value=0.1, ci_low=0.12, ci_high=0.3)
    return pd.concat([table, men, women, gap, size], ignore_index=True)


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
    return pd.DataFrame(rows, columns=["measure", "images", "source", "target", *INTERVAL])


def lines_of(axes: Axes, strategy: str) -> list[Line2D]:
    """The lines in a strategy's colour."""
    colour = figures.STRATEGIES[strategy].colour
    return [line for line in axes.lines if to_hex(line.get_color()).upper() == colour]


def legend_labels(figure: Figure) -> list[str]:
    """The texts of the one legend."""
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def note(figure: Figure) -> str:
    """What the legend says of bands and whiskers."""
    return str(figure.legends[0].get_title().get_text())


def named(labels: list[mpl.text.Text]) -> list[str]:
    return [label.get_text() for label in labels]


def widths(axes: Axes) -> list[float]:
    return [patch.get_width() for patch in axes.patches]


def test_strategies_differ_in_colour_and_in_the_shape_of_figures_and_icons() -> None:
    marks = list(figures.STRATEGIES.values())
    for looks in ({mark.colour for mark in marks}, {SHAPES[mark.marker] for mark in marks}):
        assert len(looks) == len(marks)
    assert set(strategies.STRATEGIES) < set(figures.STRATEGIES)


def test_label_efficiency_draws_the_means_of_the_table() -> None:
    figure = figures.label_efficiency(results(seeds=3))
    assert [axes.get_title() for axes in figure.axes] == ["A", "B", "pooled"]
    axes = figure.axes[0]
    (line,) = lines_of(axes, "counterfactual")
    np.testing.assert_allclose(line.get_xdata(), [5, 10, 100])
    np.testing.assert_allclose(line.get_ydata(), [0.6 + 0.1 * f + 0.04 + 0.001 for f in FRACTIONS])
    assert axes.get_xscale() == "log"
    assert named(axes.get_xticklabels())[0] == "5\n50"
    assert {"Random encoder", "Chance"} <= set(legend_labels(figure))
    assert not {"Supervised", "Linear probe"} & set(legend_labels(figure))
    assert "standard error over pretraining seeds" in note(figure)


@pytest.mark.parametrize("width", [3.0, 6.0, 12.0])
def test_a_legend_is_as_wide_as_its_figure_at_most(width: float) -> None:
    figure, axes = mpl.pyplot.subplots(figsize=(width, 2), layout="constrained")
    for name in ("Oracle pairs of the sexes", "Dead-leaves weights", "Random encoder"):
        axes.plot([0, 1], label=name)
    add_legend(figure, axes, "band: standard error over pretraining seeds")
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert figure.bbox.containsx(legend.get_window_extent().x0)
    assert figure.bbox.containsx(legend.get_window_extent().x1)
    mpl.pyplot.close(figure)


def test_baselines_do_not_decide_the_band() -> None:
    table = results(seeds=3, protocols=BOTH)
    baseline = table["strategy"].isin(strategies.CONTROLS)
    assert interval_of(table[~baseline | (table["pretrain_seed"] == 0)]) == SEEDS
    assert interval_of(table[baseline | (table["pretrain_seed"] == 0)]) == BOOTSTRAP


def test_band_over_seeds_averages_probe_seeds_first() -> None:
    table = results(seeds=3)
    table.loc[table["probe_seed"] == 1, "value"] += 0.1  # spread between probe seeds is no s.e.
    axes = figures.label_efficiency(table).axes[0]
    edges = axes.collections[0].get_paths()[0].vertices[:, 1]
    centre = axes.lines[0].get_ydata()[0]
    np.testing.assert_allclose(edges[1] - centre, -np.std([0, 1e-3, 2e-3], ddof=1) / np.sqrt(3))


def test_protocols_differ_in_line_and_objectives_in_name() -> None:
    table = results(objectives=("simclr", "dino"), protocols=BOTH)
    figure = figures.label_efficiency(table, objective="dino", n_classes=4)
    axes = figure.axes[0]
    probed, finetuned = lines_of(axes, "standard")
    assert (probed.get_linestyle(), finetuned.get_linestyle()) == ("-", "--")
    np.testing.assert_allclose(probed.get_ydata(), [0.604 + 0.1 * f for f in FRACTIONS])
    np.testing.assert_allclose(np.subtract(finetuned.get_ydata(), probed.get_ydata()), 0.05)
    assert [line.get_linestyle() for line in lines_of(axes, "supervised")] == ["--"]
    names = {"DINO", "DINO+", "CF-DINO", "Oracle pairs", "Random encoder", "Supervised"}
    assert names | {"Linear probe", "Finetuned"} <= set(legend_labels(figure))
    assert legend_labels(figure).count("DINO+") == 1
    assert axes.get_ylabel() == "macro ROC-AUC"
    assert "patient bootstrap" in note(figure)
    differences = figures.gain(table, objective="dino", n_classes=4)
    assert {"DINO", "DINO+", "CF-DINO"} <= set(legend_labels(differences))
    assert differences.axes[0].get_ylabel() == "macro ROC-AUC\n− DINO's"


def test_gain_is_the_difference_to_the_reference() -> None:
    table = results(seeds=3, protocols=BOTH)
    table["value"] += 0.01 * table["pretrain_seed"] * (table["strategy"] == "plus")
    for protocol, words in (("linear", "Linear probe"), ("finetuned", "Finetuned")):
        figure = figures.gain(table[table["domain"] == "A"], protocol=protocol)
        heights = [patch.get_height() for patch in figure.axes[0].patches]
        np.testing.assert_allclose(heights, np.repeat([0.03, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14], 3))
        assert note(figure).startswith(words)
        assert "standard error" in note(figure)
    whiskers = figure.axes[0].containers[0]  # SimCLR+'s: seeds .02, .03, .04 above
    (segment, *_) = whiskers[2][0].get_segments()
    np.testing.assert_allclose(np.ptp(segment[:, 1]), 2 * 0.01 / np.sqrt(3))
    assert not {"Random encoder", "Supervised"} & set(legend_labels(figure))
    assert named(figure.axes[0].get_xticklabels())[0] == "5\n50"
    one_seed = figures.gain(results())
    assert "no whiskers" in note(one_seed)
    assert not one_seed.axes[0].collections


def test_subgroups_stand_beside_each_other() -> None:
    figure = figures.label_efficiency(by_sex(), subgroups=("sex=F", "sex=M"), domains=["A", "B"])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["A, sex=F", "A, sex=M", "B, sex=F", "B, sex=M"]
    women, men = (lines_of(axes, "plus")[0].get_ydata() for axes in figure.axes[:2])
    np.testing.assert_allclose(np.subtract(men, women), 0.1)
    assert named(figure.axes[2].texts) == ["too few images"]


@pytest.mark.parametrize(("seeds", "words"), [(1, "patient bootstrap"), (3, "standard error")])
def test_gaps_are_drawn_with_their_sign_or_without(seeds: int, words: str) -> None:
    figure = figures.subgroup_gap(by_sex(seeds), ("sex=F", "sex=M"))
    assert [axes.get_title() for axes in figure.axes] == ["A", "pooled"]
    drawn = figure.axes[0].containers[0]
    np.testing.assert_allclose(drawn[0].get_ydata(), -0.1)
    (segment, *_) = drawn[2][0].get_segments()
    np.testing.assert_allclose(segment[:, 1], [-0.2, -0.05] if seeds == 1 else -0.1)
    assert words in note(figure)
    sizes = figures.subgroup_gap(by_sex(), ("sex=F", "sex=M"), absolute=True)
    np.testing.assert_allclose(sizes.axes[0].containers[0][0].get_ydata(), 0.1)
    assert sizes.axes[0].get_ylabel().startswith("|")


def test_bars_show_values_with_the_ceiling_beside() -> None:
    figure = figures.effectiveness(quality())
    heights = [patch.get_height() for patch in figure.axes[0].patches]
    np.testing.assert_allclose(heights, [99, 99, 90, 90])
    assert "[%]" in figure.axes[0].get_ylabel()
    errors = figures.gold_error(quality()).axes[0]
    np.testing.assert_allclose(widths(errors), np.repeat([40, 20, 10], 3))


def test_overall_draws_the_means_over_all_directions_and_names_cycles() -> None:
    table = quality().replace("counterfactual", "counterfactual, 10 cycles")
    (axes,) = figures.overall(table, {"absent": "-", "gold_error": "error"}).axes
    assert widths(axes) == [40, 20, 10]
    assert named(axes.get_yticklabels())[2] == "Counterfactuals, 10 cycles"


def test_the_ablation_has_a_point_per_seed_and_a_panel_per_place() -> None:
    rows = [
        (strategy, seed, where, error, gain + 0.01 * seed)
        for strategy, error, gain in (("standard", 40, 0), ("earlycf", 20, 0.1))
        for seed in (0, 1)
        for where in ("rarest scanner", "held-out scanners")
    ]
    columns = ["strategy", "seed", "where", "error", "gain"]
    figure = figures.ablation(pd.DataFrame(rows, columns=columns))
    assert [axes.get_title() for axes in figure.axes] == ["rarest scanner", "held-out scanners"]
    points = [drawn.get_offsets().tolist() for drawn in figure.axes[1].collections]
    assert points == [[[40, 0], [40, 0.01]], [[20, 0.1], [20, 0.11]]]
    assert legend_labels(figure) == ["SimCLR", "CF-SimCLR, generator stopped early"]


def test_histories_are_named_and_skip_missing_values() -> None:
    history = pd.DataFrame({"epoch": [0, 0, 1, 1], "strategy": ["standard", "counterfactual"] * 2})
    history["loss"] = [1.0, np.nan, 0.5, 0.4]
    figure = figures.training_history(history, {"loss": "loss [nats]"}, objective="dino")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "loss [nats]"
    assert len(axes.lines[1].get_xdata()) == 1
    assert "CF-DINO" in legend_labels(figure)
    plain = history.drop(columns="strategy")
    assert not figures.training_history(plain, {"loss": "loss [nats]"}).legends


def test_latents_of_each_resolution_are_named_at_the_ends_of_their_lines() -> None:
    history = pd.DataFrame({"epoch": [0, 1, 2], "kl": 3.0, "kl_16": [2, 3, 4.0], "kl_4": [0, 1, 1]})
    figure = figures.kl_per_resolution(history)
    (axes,) = figure.axes
    assert "bits per pixel" in axes.get_ylabel()
    assert figure.legends == []
    ends = {text.get_text(): tuple(map(float, text.xy)) for text in axes.texts}
    assert ends == {"latents of\n4 × 4": (2.0, 1.0), "latents of\n16 × 16": (2.0, 4.0)}


@given(values=st.lists(st.integers(-20, 20), min_size=1, max_size=8))
def test_names_have_room_and_keep_their_order(values: list[float]) -> None:
    order = np.argsort(values, kind="stable")
    assert (np.diff(spread(values, 2.0)[order]) >= 2 - 1e-9).all()
    apart = sorted(set(values))
    np.testing.assert_allclose(spread(apart, 1.0), apart, atol=1e-9)  # had room, and stay


def test_equal_values_share_the_room_around_them() -> None:
    assert spread([3, 3, 3], 2.0).tolist() == [1.0, 3.0, 5.0]


def test_a_history_of_one_epoch_is_seen() -> None:
    one = pd.DataFrame({"epoch": [0], "loss": [1.0], "kl_4": [2.0]})
    for history, marker in ((one, "o"), (pd.concat([one, one.assign(epoch=1)]), "")):
        for figure in (
            figures.training_history(history, {"loss": "loss [nats]"}),
            figures.kl_per_resolution(history),
        ):
            assert figure.axes[0].lines[0].get_marker() == marker


def test_images_are_drawn_in_grey_and_empty_cells_stay_empty() -> None:
    image = np.zeros((8, 8), np.uint8)
    figure = figures.image_grid([[image, image], [image, None]], columns=["a", "b"])
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 0]
    assert figure.axes[0].images[0].get_clim() == (0, 255)


def test_a_user_s_own_settings_of_matplotlib_change_no_figure() -> None:
    image = np.zeros((40, 40), np.uint8)
    image[:20] = 255

    def drawn() -> str:
        return figures.image_grid([[image]], columns=["x"])._repr_svg_()

    plain = drawn()
    settings = {"image.origin": "lower", "text.usetex": True}
    with mpl.rc_context(settings | {"savefig.transparent": True, "savefig.bbox": "tight"}):
        assert drawn() == plain


def test_names_of_rows_keep_to_their_rows() -> None:
    names = [mark.label for mark in figures.marks("simclr").values()]
    image = np.zeros((8, 8), np.uint8)
    figure = figures.image_grid([[image]] * len(names), columns=["a"], names=names)
    figure.savefig(io.BytesIO())  # which lays it out
    boxes = [axes.yaxis.label.get_window_extent() for axes in figure.axes]
    assert all(below.y1 < above.y0 for above, below in itertools.pairwise(boxes))
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)


def test_separability_draws_every_seed_and_what_knowing_nothing_means() -> None:
    rows = [
        (objective, strategy, seed, measure, 0.6, 0.5, 0.7)
        for objective, strategy in (("simclr", "standard"), ("dino", "random"))
        for seed in (0, 1)
        for measure in ("scanner", "scanner_knn", "silhouette", "mixing")
    ]
    columns = ["objective", "strategy", "pretrain_seed", "measure", *INTERVAL]
    figure = figures.separability(pd.DataFrame(rows, columns=columns), 4)
    first = figure.axes[0]
    assert named(first.get_yticklabels()) == ["SimCLR", "Random encoder, DINO"]
    assert [list(drawn[0].get_xdata()) for drawn in first.containers] == [[0.6, 0.6]] * 2
    assert [axes.lines[-1].get_xdata()[0] for axes in figure.axes] == [0.25, 0.25, 0.0, 1.0]


def test_maps_share_colours_and_show_every_image() -> None:
    maps = {name: np.random.default_rng(0).normal(size=(30, 2)) for name in ("standard", "random")}
    values = ["_A"] * 20 + ["none"] * 10
    figure = figures.projection(maps, values, figures.palette(["_A", "none"]), what="kind")
    assert [axes.get_title() for axes in figure.axes] == ["SimCLR", "Random encoder"]
    assert legend_labels(figure) == ["_A", "none"]
    assert note(figure) == "kind"
    for axes in figure.axes:
        assert sum(len(points.get_offsets()) for points in axes.collections) == 30


def test_more_values_than_colours_begin_again() -> None:
    found = list(figures.palette([f"scanner {i}" for i in range(30)]).values())
    assert found == (found[: len(set(found))] * 30)[:30]


def test_confusion_is_in_per_cent_of_the_rows() -> None:
    rows = [("A", "A", 30), ("A", "B", 10), ("B", "A", 0), ("B", "B", 5)]
    table = pd.DataFrame(rows, columns=["scanner", "predicted", "n"])
    table = table.assign(objective="simclr", strategy="plus")
    figure = figures.scanner_confusion(table, ["A", "B"], "simclr")
    assert named(figure.axes[0].texts) == ["75", "25", "0", "100"]


def test_partners_are_drawn_before_and_after() -> None:
    rows = [("plus", "before", 0.2), ("plus", "after", 0.8), ("sexcf", "before", 0.1)]
    rows += [("sexcf", "after", 0.7)]
    table = pd.DataFrame(rows, columns=["strategy", "training", "value"])
    table = table.assign(ci_low=table["value"] - 0.1, ci_high=table["value"] + 0.1)
    axes = figures.pair_similarity(table).axes[0]
    assert named(axes.get_yticklabels()) == ["SimCLR+", "SexCF-SimCLR"]
    assert [drawn[0].get_xdata()[0] for drawn in axes.containers] == [0.2, 0.8, 0.1, 0.7]


def test_costs_are_minutes_with_memory_beside_and_what_is_not_known_is_said() -> None:
    rows = [
        ("generator", "", 60.0, 1024.0),
        ("pretraining", "simclr-plus", 180.0, 2048.0),
        ("pretraining", "dino-oracle", 120.0, 512.0),
        ("bank", "sex", np.nan, 512.0),
    ]
    table = pd.DataFrame(rows, columns=["step", "what", "seconds", "peak_memory_mib"])
    axes = figures.cost(table).axes[0]
    np.testing.assert_equal(widths(axes), [1, np.nan, 3, 2])
    names = ["generator", "SimCLR+", "Oracle pairs, DINO", "bank: sex"]
    assert named(axes.get_yticklabels()) == names
    assert named(axes.texts)[1::2] == [" 2.0 GiB", " interrupted; 0.5 GiB"]
    assert axes.texts[3].get_position()[0] == 0


def test_initial_weights_are_named_in_every_figure_after_where_they_come_from() -> None:
    for pretrained, name in (
        ("leaves", "Dead-leaves weights"),
        ("dinov2", "DINO-v2 weights"),
        ("mine.safetensors", "Initial weights"),
    ):
        assert figures.marks("simclr", {"simclr": pretrained})["initial"].label == name
    initial = {"simclr": "imagenet"}
    gap = figures.subgroup_gap(by_sex(), ("sex=F", "sex=M"), initial=initial)
    for figure in (figures.label_efficiency(results(), initial=initial), gap):
        assert "ImageNet weights" in legend_labels(figure)
    row = {"objective": "simclr", "strategy": "initial", "scanner": "A", "predicted": "A", "n": 1}
    row |= {"measure": "scanner", "value": 0.5, "ci_low": 0.4, "ci_high": 0.6}
    table, maps = pd.DataFrame([row]), {"initial": np.zeros((2, 2))}
    for figure in (
        figures.projection(maps, ["A", "A"], {"A": "#000000"}, initial=initial),
        figures.scanner_confusion(table, ["A"], "simclr", initial),
    ):
        assert figure.axes[0].get_title() == "ImageNet weights"
    axes = figures.separability(table, 2, initial).axes[0]
    assert named(axes.get_yticklabels()) == ["ImageNet weights, SimCLR"]


def test_an_unknown_strategy_is_named() -> None:
    with pytest.raises(ValueError, match="minus"):
        figures.label_efficiency(results().replace("plus", "minus"))


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: figures.ablation(None), "no truth to compare"),
        (lambda: figures.label_efficiency(results(), objective="dino"), "trains no DINO"),
        (lambda: figures.label_efficiency(results(), domains=["Z"]), "enough test images"),
        (lambda: figures.gain(None), "Nothing of this was computed"),
        (lambda: figures.gain(results().query("strategy != 'standard'")), "on standard pairs"),
        (lambda: figures.gain(results(), protocol="finetuned"), "Finetuned: no SimCLR"),
        (lambda: figures.subgroup_gap(results(), ("sex=F", "sex=M")), "enough test images"),
        (lambda: figures.gold_error(quality().query("measure == 'effectiveness'")), "are real"),
        (lambda: figures.training_history(None, {"loss": "loss"}, objective="dino"), "no DINO"),
        (lambda: figures.pair_similarity(pd.DataFrame()), "trains no SimCLR"),
        (lambda: figures.separability(pd.DataFrame(), 1), "of one scanner"),
        (lambda: figures.projection({}, None, None), "states no such thing"),
        (lambda: figures.cost(None), "Nothing of this was computed"),
        (lambda: figures.overall(quality(), {"beauty": "of counterfactuals"}), "Not measured"),
    ],
)
def test_where_there_is_nothing_to_draw_the_figure_says_why(
    draw: Callable[[], Figure], words: str
) -> None:
    figure = draw()
    assert figure.axes == []
    assert words in " ".join(" ".join(named(figure.texts)).split())
