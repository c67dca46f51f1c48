"""Random views of a whole batch of images at once.

Crop, rotation and flips of an image become one affine map and the batch is resampled once;
intensity, sharpness and erasing follow on the sampled pixels. All random numbers are drawn on
the CPU from one generator, so a seed gives the same views on every device. What is copied to a GPU
is `non_blocking`: the host waits for nothing.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from ccl.views.batch import as_image
from ccl.views.options import AugmentOptions, Range

# Every random number of a view: always all are drawn, so switching one part off leaves the
# draws of the others as they were.
_DRAWS = (
    *("crop", "crop_area", "crop_ratio", "crop_x", "crop_y", "rotate", "angle"),
    *("flip_x", "flip_y", "intensity", "brightness", "contrast", "sharpen", "sharpness"),
    *("erase", "erase_area", "erase_ratio", "erase_x", "erase_y"),
)
Draws = dict[str, Tensor]
_PIXELS_AT_ONCE = 2**20


def augment(
    source: Tensor,
    options: AugmentOptions,
    generator: torch.Generator,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """One random view of each image.

    Args:
        source: uint8 (n, H, W).
        options: what may happen to a view.
        generator: CPU generator that all randomness comes from.
        size: (height, width) of the views in pixels; by default the source's.

    Returns:
        float32 (n, 1, height, width) in [0, 1], on the source's device; 0 outside the source.

    Raises:
        ValueError: `source` is not uint8 (n, H, W).
    """
    if source.ndim != 3 or source.dtype != torch.uint8:
        raise ValueError(f"source must be uint8 (n, H, W), got {source.dtype} {source.shape}")
    uniform = torch.rand(len(_DRAWS), len(source), generator=generator)  # (draws, n)
    most = _at_once(source, size or (source.shape[1], source.shape[2]))
    views = [
        _views(part, dict(zip(_DRAWS, numbers, strict=True)), options, size)
        for part, numbers in zip(source.split(most), uniform.split(most, dim=1), strict=True)
    ]
    return torch.cat(views) if len(views) > 1 else views[0]


def _at_once(source: Tensor, size: tuple[int, int]) -> int:
    """Images whose buffers a processor's cache can hold; a GPU takes all at once."""
    if source.device.type != "cpu":
        return max(1, len(source))
    return max(1, _PIXELS_AT_ONCE // (size[0] * size[1]))


def _views(
    source: Tensor, draws: Draws, options: AugmentOptions, size: tuple[int, int] | None
) -> Tensor:
    """Views of images, each from its own draws alone."""
    height, width = source.shape[1:]
    tall, wide = size or (height, width)
    stretch = (wide / tall) * (height / width)
    affine = view_to_source(draws, options, height / width, stretch)
    affine = affine.to(source.device, non_blocking=True)
    view = resample(source, affine, size)  # (n, 1, height, width)
    view = _intensity(view, draws, options)
    view = _sharpness(view, draws, options)
    return _erase(view, draws, options)


def view_to_source(
    draws: Draws, options: AugmentOptions, aspect: float, stretch: float = 1.0
) -> Tensor:
    """The affine map from a view's coordinates to its source's, both in [-1, 1].

    A view is the flipped, rotated, cropped source, so its points go back through flip, rotation
    and crop. The rotation is rigid in the view's pixels: its off-diagonals carry their aspect.

    Args:
        draws: uniform random numbers (n,) by name.
        options: ranges and probabilities.
        aspect: height / width of the frame.
        stretch: width / height of the view over that of the frame; crops are as much wider, so
            that the frame's pixels stay square in a view of another shape.

    Returns:
        float32 (n, 2, 3); the last axis is (x, y, 1).
    """
    size, centre = _boxes(draws, options, stretch)
    probabilities = options.horizontal_flip_probability, options.vertical_flip_probability
    flipped = [draws[f"flip_{axis}"] < p for axis, p in zip("xy", probabilities, strict=True)]
    flip = 1 - 2 * torch.stack(flipped, dim=1).float()  # (n, 2), +1 or -1
    rotated = draws["rotate"] < options.rotation_probability
    largest = math.radians(options.rotation_degrees)
    angle = torch.where(rotated, _between(draws["angle"], (-largest, largest)), 0.0)
    cos, sin = angle.cos(), angle.sin()
    view = aspect / stretch  # its height / width
    rotation = torch.stack(
        [torch.stack([cos, -sin * view], 1), torch.stack([sin / view, cos], 1)], 1
    )  # (n, 2, 2)
    linear = size[:, :, None] * rotation * flip[:, None, :]  # crop . rotation . flip
    return torch.cat([linear, centre[:, :, None]], dim=2)


def _boxes(draws: Draws, options: AugmentOptions, stretch: float = 1.0) -> tuple[Tensor, Tensor]:
    """Crop boxes in units of the frame: size (n, 2) in (0, 1], centre (n, 2) in [-1, 1]."""
    cropped = draws["crop"] < options.crop_probability
    area = _between(draws["crop_area"], options.crop_scale)
    ratio = stretch * _between_in_logarithm(draws["crop_ratio"], options.crop_ratio)
    # A side longer than the frame's is cut to it; rejecting the draw would need a loop.
    size = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1).clamp(max=1)
    size = torch.where(cropped[:, None], size, 1.0)
    place = torch.stack([draws["crop_x"], draws["crop_y"]], 1)
    return size, (1 - size) * (2 * place - 1)


def resample(source: Tensor, affine: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Views, float32 (n, 1, height, width) in [0, 1], each sampled bilinearly from its source.

    Args:
        source: uint8 (n, H, W).
        affine: (n, 2, 3) map from view to source coordinates, on the source's device.
        size: (height, width) of the views; by default (H, W).
    """
    n = len(source)
    height, width = size or source.shape[1:]
    x = _pixel_centres(width, source.device)
    y = _pixel_centres(height, source.device)
    # Built from rows and columns: cheaper than `affine_grid`, which multiplies matrices.
    grid = torch.empty(n, height, width, 2, device=source.device)
    for axis in (0, 1):
        along_x = affine[:, axis, :1] * x + affine[:, axis, 2:]  # (n, W)
        along_y = affine[:, axis, 1:2] * y  # (n, H)
        torch.add(along_y[:, :, None], along_x[:, None, :], out=grid[..., axis])
    return functional.grid_sample(as_image(source), grid, padding_mode="zeros", align_corners=False)


def _intensity(view: Tensor, draws: Draws, options: AugmentOptions) -> Tensor:
    """Brightness, then contrast about the view's mean; values are clipped once, at the end."""
    changed = (draws["intensity"] < options.intensity_probability).float()
    b, c = options.brightness, options.contrast
    brightness = 1 + changed * _between(draws["brightness"], (-b, b))
    contrast = 1 + changed * _between(draws["contrast"], (-c, c))
    scale = _per_image(brightness * contrast, view)
    shift = _per_image(brightness * (1 - contrast), view) * view.mean((1, 2, 3), keepdim=True)
    return view.mul_(scale).add_(shift).clamp_(0, 1)


def _sharpness(view: Tensor, draws: Draws, options: AugmentOptions) -> Tensor:
    """Extrapolates from a 3x3 smoothing (weights 1, in the middle 5) through the view."""
    chosen = torch.nonzero(draws["sharpen"] < options.sharpness_probability).flatten()
    if len(chosen) == 0:
        return view
    factor = _between(draws["sharpness"][chosen], options.sharpness_factor)
    chosen = chosen.to(view.device, non_blocking=True)
    original = view[chosen]
    smooth = (9 * _box_mean(original)).add_(original, alpha=4).div_(13)
    view[chosen] = torch.lerp(smooth, original, _per_image(factor, view)).clamp_(0, 1)
    return view


def _box_mean(view: Tensor) -> Tensor:
    """Mean of each pixel (n, 1, H, W) and those of its eight neighbours that there are.

    Rows first and then columns: several times as fast on a processor as average pooling.
    """
    total, count = view, torch.ones_like(view[:1])
    for axis in (2, 3):
        total, count = (_with_neighbours(values, axis) for values in (total, count))
    return total.div_(count)


def _with_neighbours(values: Tensor, axis: int) -> Tensor:
    total, pixels = values.clone(), values.shape[axis]
    total.narrow(axis, 1, pixels - 1).add_(values.narrow(axis, 0, pixels - 1))
    total.narrow(axis, 0, pixels - 1).add_(values.narrow(axis, 1, pixels - 1))
    return total


def _erase(view: Tensor, draws: Draws, options: AugmentOptions) -> Tensor:
    """Blackens a rectangle that lies wholly in the view."""
    chosen = draws["erase"] < options.erase_probability
    if not chosen.any():
        return view
    area = _between(draws["erase_area"], options.erase_scale)
    ratio = _between_in_logarithm(draws["erase_ratio"], options.erase_ratio)
    width = (area * ratio).sqrt().clamp(max=1) * chosen  # of an unchosen view: 0
    height = (area / ratio).sqrt().clamp(max=1) * chosen
    in_x = _inside(width, draws["erase_x"], view.shape[3])  # (n, W)
    in_y = _inside(height, draws["erase_y"], view.shape[2])  # (n, H)
    in_x, in_y = (inside.to(view.device, non_blocking=True) for inside in (in_x, in_y))
    return view.masked_fill_((in_y[:, :, None] & in_x[:, None, :]).unsqueeze(1), 0.0)


def _inside(size: Tensor, place: Tensor, pixels: int) -> Tensor:
    """Which pixels (n, pixels) have their centre in an interval of `size` in [0, 1]."""
    start = (1 - size) * place  # (n,)
    centre = (torch.arange(pixels) + 0.5) / pixels
    return (centre >= start[:, None]) & (centre < (start + size)[:, None])


def _pixel_centres(pixels: int, device: torch.device) -> Tensor:
    """Coordinates (pixels,) of the pixel centres in a frame that spans [-1, 1]."""
    return (2 * torch.arange(pixels, device=device) + 1) / pixels - 1


def _between(uniform: Tensor, limits: Range) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * uniform


def _between_in_logarithm(uniform: Tensor, limits: Range) -> Tensor:
    return _between(uniform, (math.log(limits[0]), math.log(limits[1]))).exp()


def _per_image(values: Tensor, view: Tensor) -> Tensor:
    return values.to(view.device, non_blocking=True).view(-1, 1, 1, 1)
