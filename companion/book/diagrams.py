"""The book's drawn diagrams, of this build's own images, graph and architecture."""

from collections.abc import Mapping, Sequence

import numpy as np

from ccl.generator.hvae_options import HVAEOptions
from companion.book import drawing as d


def method(
    real: np.ndarray, counterfactual: np.ndarray, other: np.ndarray, scanners: tuple[str, str]
) -> str:
    """Counterfactual contrastive learning in one picture.

    Args:
        real: a patient's image, uint8 (H, W).
        counterfactual: the same patient's under another scanner.
        other: another patient's image on the scanner of `real`.
        scanners: the real image's and the counterfactual's.
    """
    own, asked = scanners
    height = 120.0
    width = height * real.shape[1] / real.shape[0]
    left, right = (30.0, 24.0), (450 - width, 24.0)
    middle = left[0] + width / 2, right[0] + width / 2
    z, z_cf, z_other = (190.0, 292.0), (284.0, 292.0), (214.0, 412.0)
    return d.svg(
        480,
        452,
        f"A patient's image of {own}; a causal generator makes the same patient's on {asked}; the "
        "encoder's embeddings of the two are pulled together, another patient's is pushed away.",
        d.picture(left, (width, height), real),
        d.picture(right, (width, height), counterfactual),
        d.text((middle[0], 16), f"real, {own}", bold=True),
        d.text((middle[1], 16), f"do(scanner = {asked})", bold=True),
        d.arrow((left[0] + width + 6, 84), (184, 84)),
        d.box((186, 54), (108, 60), colour="brand"),
        d.text((240, 80), "causal", bold=True),
        d.text((240, 98), "generator", bold=True),
        d.arrow((296, 84), (right[0] - 6, 84)),
        *(_encoder(x) for x in middle),
        d.circle((240, 336), 92),
        d.text((372, 400), "embeddings", colour="faint", size=13),
        d.path(f"M{middle[0]:g} 206C{middle[0]:g} 262 130 288 {z[0] - 10:g} {z[1]:g}"),
        d.path(f"M{middle[1]:g} 206C{middle[1]:g} 262 350 288 {z_cf[0] + 10:g} {z_cf[1]:g}"),
        d.arrow((z[0] + 9, z[1]), (233, z[1]), colour="pull"),
        d.arrow((z_cf[0] - 9, z_cf[1]), (241, z_cf[1]), colour="pull"),
        d.text((237, 282), "pulled together", colour="pull", bold=True, size=13),
        d.arrow((216, 318), (z_other[0] - 2, z_other[1] - 30), colour="push"),
        d.text((268, 360), "pushed away", colour="push", bold=True, size=13),
        d.dot(z, colour="pull"),
        d.dot(z_cf, colour="pull"),
        d.dot(z_other, colour="push"),
        d.picture((20, 316), (width * 0.8, height * 0.8), other),
        d.text((20 + width * 0.4, 430), "another patient", bold=True),
        d.path(f"M{26 + width * 0.8:g} 380C160 392 170 412 {z_other[0] - 10:g} {z_other[1]:g}"),
    )


def _encoder(x: float) -> str:
    shape = f"M{x - 34:g} 156L{x + 34:g} 156L{x + 18:g} 204L{x - 18:g} 204z"
    return (
        f'<path d="{shape}" fill="{d.CARD}" stroke="{d.INK}" stroke-width="1.5"/>'
        + d.text((x, 176), "encoder", size=12)
        + d.text((x, 192), "f", size=13)
        + d.arrow((x, 145), (x, 154))
    )


def causal_graph(graph: Mapping[str, Sequence[str]]) -> str:
    """Variables layer by layer, each above what it causes; an arrow from each cause.

    Args:
        graph: variable to its causes, in topological order; the last is drawn as what is made.
    """
    layers = _layers(graph)
    width = 96.0 * max(len(layer) for layer in layers) + 8
    places = {
        name: (width / 2 + 96 * (i - (len(layer) - 1) / 2), 38 + 92.0 * depth)
        for depth, layer in enumerate(layers)
        for i, name in enumerate(layer)
    }
    last = list(graph)[-1]
    arrows = [
        d.arrow(*_between(places[cause], places[effect], 36))
        for effect, causes in graph.items()
        for cause in causes
    ]
    nodes = [
        d.circle(at, 36, colour="brand" if name == last else "ink", fill=d.CARD)
        + d.text((at[0], at[1] + 4), name, size=13, bold=name == last)
        for name, at in places.items()
    ]
    words = "; ".join(f"{e} follows from {' and '.join(c)}" for e, c in graph.items() if c)
    return d.svg(width, 92 * len(layers) - 14, f"Causal graph: {words}.", *arrows, *nodes)


def _layers(graph: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Variables in layers, each as near above what it causes as can be."""
    height: dict[str, int] = {}
    for name in reversed(list(graph)):
        effects = [height[other] for other, causes in graph.items() if name in causes]
        height[name] = 1 + max(effects, default=-1)
    return [
        [name for name in graph if height[name] == level]
        for level in range(max(height.values()), -1, -1)
    ]


def _between(start: d.Point, end: d.Point, radius: float) -> tuple[d.Point, d.Point]:
    """An arrow between the rims of two circles."""
    (x, y), (u, v) = start, end
    length = float(np.hypot(u - x, v - y))
    along = (u - x) / length, (v - y) / length
    return (
        (x + radius * along[0], y + radius * along[1]),
        (u - (radius + 3) * along[0], v - (radius + 3) * along[1]),
    )


def hierarchy(options: HVAEOptions, frame: tuple[int, int]) -> str:
    """The HVAE with its resolutions: the encoder's way down, the decoder's way up, latents between.

    Args:
        options: the architecture.
        frame: height and width of the images.
    """
    stages, row = options.stages, 62.0
    height = 96 + row * len(stages)
    parts = [
        d.text((110, 18), "encoder", bold=True),
        d.text((370, 18), "decoder", bold=True),
        d.text((110, 40), f"x, {frame[0]} × {frame[1]}", size=13),
        d.text((370, 40), "mean image μ(z, pa)", size=13),
    ]
    for i, stage in enumerate(stages):
        y = 58 + row * i
        wide = 150 - 80 * i / max(1, len(stages) - 1)
        for x in (110, 370):
            parts.append(d.box((x - wide / 2, y), (wide, 40), colour="ink"))
        size = max(1, round(frame[1] / frame[0] * stage.resolution))
        parts += [
            d.text((110, y + 25), f"{stage.resolution} × {size}", size=13),
            d.text((370, y + 25), f"{stage.resolution} × {size}", size=13),
            d.arrow((110, y - 14), (110, y - 2)) if i else d.arrow((110, 45), (110, 56)),
            d.arrow((370, y - 2), (370, y - 14 if i else 45)),
        ]
        if stage.latent_channels:
            latent = f"z, {stage.latent_channels} × {stage.decoder_blocks}"
            parts += [
                d.arrow((110 + wide / 2 + 3, y + 20), (202, y + 20), colour="pull"),
                d.box((204, y + 6), (72, 28), colour="pull", round_=14),
                d.text((240, y + 24), latent, colour="pull", size=12),
                d.arrow((278, y + 20), (370 - wide / 2 - 4, y + 20), colour="pull"),
            ]
    parts.append(
        d.text((240, height - 12), "parents pa enter every block", colour="faint", size=13)
    )
    title = (
        "The hierarchical VAE: an encoder down through its resolutions, a decoder up again, with"
    )
    return d.svg(480, height, f"{title} latents at each.", *parts)


def chain(steps: Sequence[tuple[str, str]]) -> str:
    """The chain of steps.

    Args:
        steps: name of each and what it makes.
    """
    row = 62.0
    parts = []
    for i, (name, makes) in enumerate(steps):
        y = 8 + row * i
        parts += [
            d.box((120, y), (240, 42), colour="brand" if i == len(steps) - 1 else "ink"),
            d.text((240, y + 18), name, bold=True),
            d.text((240, y + 34), makes, colour="faint", size=12),
        ]
        if i:
            parts.append(d.arrow((240, y - 18), (240, y - 2)))
    names = ", ".join(name for name, _ in steps)
    return d.svg(480, row * len(steps), f"The chain of steps: {names}.", *parts)


def split_image(left: np.ndarray, right: np.ndarray, scanners: tuple[str, str]) -> str:
    """One patient, half on one scanner and half on another: uint8 (H, W) each."""
    cut = left.shape[1] // 2
    both = np.concatenate([left[:, :cut], right[:, cut:]], axis=1)
    width = 110 * left.shape[1] / left.shape[0]
    at = ((240 - width) / 2, 5.0)
    title = f"A radiograph, half on {scanners[0]} and half on {scanners[1]}."
    middle = f"M{at[0] + width * cut / left.shape[1]:g} 5v110"
    line = f'<path d="{middle}" stroke="#e69f00" stroke-width="3"/>'
    return d.svg(240, 120, title, d.picture(at, (width, 110), both), line)


def softmax(similarities: Sequence[float], temperature: float) -> str:
    """Shares of the softmax as bars, the positive's first."""
    mass = np.exp(np.asarray(similarities) / temperature)
    partner = mass[0] / mass.sum()
    bars = [
        f'<rect x="30" y="{12 + 20 * i:g}" width="{max(2.0, 180 * share):g}" height="13" rx="3" '
        f'fill="{d.PUSH if i else d.PULL}"/>'
        for i, share in enumerate(mass / mass.sum())
    ]
    title = "Bars: the share of a positive pair in the softmax, and those of the negatives."
    words = (
        d.text((172, 23), f"the partner: {partner:.0%}", colour="pull", size=12),
        d.text((172, 83), f"other images: {1 - partner:.0%}", colour="push", size=12),
    )
    return d.svg(240, 120, title, *bars, *words)


def intervals(found: Sequence[tuple[float, float, float]]) -> str:
    """Effects with their intervals around zero.

    Args:
        found: estimate, lower and upper end of each, in one unit; the first six are drawn.
    """
    shown = [each for each in found if np.isfinite(each).all()][:6]
    reach = max([abs(end) for each in shown for end in each] + [1e-9])
    rows = [
        f'<path d="M{120 + 105 * low / reach:g} {y}H{120 + 105 * high / reach:g}" '
        f'stroke="{d.INK}" stroke-width="2"/>'
        + d.dot((120 + 105 * value / reach, y), colour="brand")
        for y, (value, low, high) in zip(range(14, 120, 18), shown, strict=False)
    ]
    zero = f'<path d="M120 4V116" stroke="{d.FAINT}" stroke-dasharray="3 3"/>'
    title = "Effects of this build that claims are tested on, with their intervals, around zero."
    words = (
        d.text((60, 132), "lower AUC", colour="faint", size=12),
        d.text((180, 132), "higher AUC", colour="faint", size=12),
    )
    return d.svg(240, 136, title, zero, *rows, *words)
