"""The pair maker: batches of pairs and the terms of NT-Xent, as HTML that needs no kernel."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from companion.book.widgets.page import component, png_base64
from companion.book.widgets.projection import COLUMNS, sheet, thumbnails

BATCH = 8  # pairs, as in pair_maker.js


class Views(NamedTuple):
    """Views of a pool of n pairs under one strategy.

    Attributes:
        label: the strategy's name.
        images: uint8 (2n, H, W), the n first views, then their partners.
        facts: what to say of each, 2n texts.
    """

    label: str
    images: np.ndarray
    facts: Sequence[str]


class Compared(NamedTuple):
    """What an encoder finds alike.

    Attributes:
        label: its name.
        similarities: strategy to cosine similarities of its views, (2n, 2n).
    """

    label: str
    similarities: Mapping[str, np.ndarray]


def pair_maker_html(
    views: Mapping[str, Views], encoders: Mapping[str, Compared], temperature: float
) -> str:
    """A batch of eight pairs, their similarities and each term of NT-Xent.

    Args:
        views: strategy to the views of one pool of pairs.
        encoders: strategy that each was trained with to what it finds alike.
        temperature: tau to begin with.

    Returns:
        An HTML fragment; several may stand on one page.
    """
    every = thumbnails(np.concatenate([each.images for each in views.values()]))
    counts = [len(each.images) for each in views.values()]
    starts = np.cumsum([0, *counts])[:-1].tolist()
    data = {
        "width": every.shape[2],
        "height": every.shape[1],
        "columns": COLUMNS,
        "pool": counts[0] // 2,
        "temperature": temperature,
        "sprite": "data:image/png;base64," + png_base64(sheet(every)),
        "offsets": dict(zip(views, starts, strict=True)),
        "facts": {name: list(each.facts) for name, each in views.items()},
        "strategies": [{"name": name, "label": each.label} for name, each in views.items()],
        "encoders": [
            {
                "name": name,
                "label": each.label,
                "similarities": {
                    strategy: np.round(1000 * values).astype(int).ravel().tolist()
                    for strategy, values in each.similarities.items()
                },
            }
            for name, each in encoders.items()
        ],
    }
    return component(
        "pair_maker.html",
        data,
        styles=["widget.css", "pair_maker.css"],
        scripts=["elements.js", "images.js", "draws.js", "pair_maker.js"],
        render="renderPairMaker",
    )
