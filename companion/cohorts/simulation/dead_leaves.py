"""Procedural grey images without any meaning: dead leaves, shapes that occlude one another.

What encoders learn their initial weights from, as the paper's start from ImageNet: no radiograph
and no phantom is in them, only edges, corners, textures and occlusion at every scale.

Source:
    Lee, Mumford and Huang, Occlusion Models for Natural Images, IJCV 2001,
    https://doi.org/10.1023/A:1011109015675; as images to pretrain on: Baradad et al., Learning to
    See by Looking at Noise, NeurIPS 2021, https://arxiv.org/abs/2106.05963
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

from ccl.options import Options

_AT_ONCE = 500  # images that one call of a process draws


class LeavesOptions(Options):
    """Which images are drawn; lengths are shares of the image's side.

    Attributes:
        n: number of images.
        size: height and width in pixels.
        seed: of everything random; image i is the same whatever n is.
        shapes: fewest and most shapes of an image.
        radius: smallest and largest radius; between them, densities fall with its cube, which
            makes images statistically alike at every scale.
        blur: largest standard deviation of the blur in pixels.
        noise: largest standard deviation of the noise, of grey values in [0, 1].
    """

    n: int = 24_000
    size: int = 64
    seed: int = 0
    shapes: tuple[int, int] = (15, 60)
    radius: tuple[float, float] = (0.05, 0.5)
    blur: float = 1.2
    noise: float = 0.05


def dead_leaves(options: LeavesOptions, processes: int = 1) -> np.ndarray:
    """Images, uint8 (n, size, size), drawn by some processes, on which they do not depend."""
    starts = range(0, options.n, _AT_ONCE)
    if processes == 1:
        return np.concatenate([_chunk(options, start) for start in starts])
    with ProcessPoolExecutor(processes) as pool:
        return np.concatenate(list(pool.map(partial(_chunk, options), starts)))


def _chunk(options: LeavesOptions, start: int) -> np.ndarray:
    stop = min(start + _AT_ONCE, options.n)
    return np.stack([dead_leaf(options, index) for index in range(start, stop)])


def dead_leaf(options: LeavesOptions, index: int) -> np.ndarray:
    """One image, uint8 (size, size)."""
    rng = np.random.default_rng([options.seed, index])
    side = (np.arange(options.size, dtype=np.float32) + 0.5) / options.size
    x, y = np.meshgrid(side, side)
    image = np.full_like(x, rng.random())
    count = int(rng.integers(*options.shapes, endpoint=True))
    for radius in _radii(rng, count, options.radius):
        _occlude(image, x, y, radius, rng)
    image = gaussian_filter(image, rng.uniform(0, options.blur))
    image += rng.uniform(0, options.noise) * rng.standard_normal(image.shape, dtype=np.float32)
    contrast, brightness = rng.uniform(0.5, 1.0), rng.uniform(-0.1, 0.1)
    image = 0.5 + contrast * (image - 0.5) + brightness
    return np.round(255 * image.clip(0, 1)).astype(np.uint8)


def _radii(rng: np.random.Generator, count: int, limits: tuple[float, float]) -> np.ndarray:
    """Radii (count,) whose density falls with the cube, by inversion of its distribution."""
    low, high = (limit**-2.0 for limit in limits)
    return np.asarray((low - rng.random(count) * (low - high)) ** -0.5)


def _occlude(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, radius: float, rng: np.random.Generator
) -> None:
    """Draws one shape over an image in [0, 1], which it changes; x and y are its pixels' places."""
    angle, centre = rng.uniform(0, 2 * np.pi), rng.random(2)
    softness = rng.choice([0.5, 0.5, rng.uniform(1, 6)])  # pixels over which it fades
    reach = 1.5 * radius + softness / len(image)  # the corner of a square lies at 1.42 radii
    first, last = (np.clip((centre + way * reach) * len(image), 0, len(image)) for way in (-1, 1))
    window = tuple(slice(int(a), int(np.ceil(b))) for a, b in zip(first, last, strict=True))
    x, y = x[window] - centre[1], y[window] - centre[0]
    u = (x * np.cos(angle) + y * np.sin(angle)) / radius
    v = (y * np.cos(angle) - x * np.sin(angle)) / radius * rng.uniform(1, 3)
    outside = _beyond_outline(u, v, rng) * radius * len(image)  # pixels beyond the outline
    alpha = (0.5 - outside / (2 * softness)).clip(0, 1)
    image[window] += alpha * (_texture(u, v, rng) - image[window])


def _beyond_outline(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance from the outline of a shape of radius 1, negative within."""
    kind = rng.integers(3)
    if kind == 0:  # ellipse
        return np.asarray(np.hypot(u, v) - 1)
    if kind == 1:  # rectangle
        return np.maximum(np.abs(u), np.abs(v)) - 1
    corners = 2 * np.pi / rng.integers(3, 7)  # polygon
    theta = np.arctan2(v, u) % corners - corners / 2
    return np.asarray(np.hypot(u, v) * np.cos(theta) - np.cos(corners / 2))


def _texture(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray | float:
    """Grey values in [0, 1] of a shape: flat, shaded or striped."""
    grey, kind = rng.random(), rng.integers(4)
    if kind < 2:
        return grey
    if kind == 2:
        return np.asarray((grey + rng.uniform(-0.3, 0.3) * u).clip(0, 1))
    stripes = np.sin(2 * np.pi * rng.uniform(0.5, 4) * v + rng.uniform(0, 2 * np.pi))
    return np.asarray((grey + rng.uniform(0.05, 0.3) * stripes).clip(0, 1))
