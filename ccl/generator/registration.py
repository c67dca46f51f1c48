"""A fixed warp per value of a parent between its images and those of the commonest value.

What a value does to the shape of every image (women's rib cages are narrower) need not be learned:
the mean images of the values show it, registered to each other. The predicted image becomes

    mu := f(z, pa) o from_v,    with the encoder seeing  x o to_v,

where to_v is the optical flow between the mean image of the commonest value and that of value v,
and from_v its inverse. The hierarchical VAE f explains what is left. So a latent that says what
is at some place says it of the corresponding place under another value, and not of the same pixels,
and abduction takes the anatomy into the counterfactual.

Source of the flow: Zach, Pock and Bischof 2007, A duality based approach for realtime TV-L1 optical
flow, https://doi.org/10.1007/978-3-540-74936-3_22, by `skimage.registration.optical_flow_tvl1`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.registration import optical_flow_tvl1
from torch import Tensor, nn

from ccl.generator.images import Images
from ccl.generator.pixel_map import PixelMap
from ccl.generator.pixel_moments import pixel_moments

# Of the flow: how near the images are to come to each other, and the standard deviation, in pixels,
# that its displacements are smoothed with, since a mean image says little where it is flat.
ATTACHMENT, SMOOTHING = 10, 1.5
FIXED_POINT_STEPS = 30


class Registration(nn.Module):
    """The warps to the commonest value's shape and back, for images of a frame.

    Args:
        parent: whose values are registered; None leaves images as they are (the paper).
        values: their number.
        frame: height and width of the images in pixels.
    """

    to_grid: Tensor  # (V, H, W, 2) where each pixel comes from, x and y in [-1, 1]
    from_grid: Tensor  # (V, H, W, 2) the same of the way back

    def __init__(self, parent: str | None, values: int, frame: tuple[int, int]) -> None:
        super().__init__()
        self.parent = parent
        if parent is not None:
            still = _grid(np.zeros((values, 2, *frame)))
            self.register_buffer("to_grid", still)
            self.register_buffer("from_grid", still.clone())

    def to_common(self, x: Tensor, parents: Mapping[str, Tensor]) -> Tensor:
        """Images (N, 1, H, W) of the parents' values in the shape of the commonest."""
        return x if self.parent is None else _warped(x, self.to_grid[parents[self.parent]])

    def from_common(self, y: Tensor, parents: Mapping[str, Tensor]) -> Tensor:
        """The way back."""
        return y if self.parent is None else _warped(y, self.from_grid[parents[self.parent]])

    def calibrate(self, means: np.ndarray, common: int) -> None:
        """Sets the warps.

        Args:
            means: (V, H, W) mean image of each value, in [0, 1], as of `mean_shapes`.
            common: the commonest value.
        """
        flows = [flow(means[common], mean) for mean in means]
        self.to_grid.copy_(_grid(np.stack(flows)))
        self.from_grid.copy_(_grid(np.stack([inverse(each) for each in flows])))


def flow(target: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Displacements (2, H, W), rows and columns in pixels, at which `moved` looks like `target`.

    Both are images (H, W) in [0, 1].
    """
    if np.array_equal(target, moved):
        return np.zeros((2, *target.shape))
    found = optical_flow_tvl1(target, moved, attachment=ATTACHMENT)
    return np.stack([gaussian_filter(along, SMOOTHING, mode="nearest") for along in found])


def inverse(displacement: np.ndarray) -> np.ndarray:
    """The displacements (2, H, W) that undo some: q(p) = -d(p + q(p)), a fixed point."""
    places = np.mgrid[: displacement.shape[1], : displacement.shape[2]]
    back = np.zeros_like(displacement)
    for _ in range(FIXED_POINT_STEPS):
        at = places + back
        back = -np.stack([map_coordinates(d, at, order=1, mode="nearest") for d in displacement])
    return back


def mean_shapes(
    source: Images,
    rows: np.ndarray,
    codes: np.ndarray,
    values: Sequence[str],
    pixel_map: PixelMap,
) -> np.ndarray:
    """Mean image of each value of a variable, (V, H, W) in [0, 1].

    Every value's is of the average scanner, and of all scanners in the same shares, as far as they
    have images of it: a value that one scanner sees more of does not look like that scanner.

    Args:
        source, rows: training images.
        codes: int64 (n,), of the variable, of the rows.
        values: V names of its values.
        pixel_map: to the average scanner.

    Raises:
        ValueError: a value has no image.
    """
    scanners, means = source.codes("scanner", rows), []
    for value, name in enumerate(values):
        if not (codes == value).any():
            raise ValueError(
                f"'{name}' has no training image to take a mean image from; set registered to null"
            )
        total, weight = torch.zeros(1, 1, *source.images.shape[1:]), 0
        for scanner in np.unique(scanners[codes == value]):
            of_both = rows[(codes == value) & (scanners == scanner)]
            mean = torch.from_numpy(pixel_moments(source.images, of_both)[0] / 127.5 - 1).float()
            images = int((scanners == scanner).sum())
            moved = pixel_map.to_average(mean[None, None], {"scanner": torch.tensor([scanner])})
            total, weight = total + images * moved, weight + images
        means.append((total / weight)[0, 0].numpy())
    return (np.stack(means) + 1) / 2


def _warped(x: Tensor, grid: Tensor) -> Tensor:
    # Bilinear would blur ribs and vessels, on the way there and on the way back.
    return F.grid_sample(x.float(), grid, mode="bicubic", padding_mode="border", align_corners=True)


def _grid(displacements: np.ndarray) -> Tensor:
    """What `F.grid_sample` takes for displacements (V, 2, H, W) in pixels."""
    height, width = displacements.shape[2:]
    rows, columns = np.mgrid[:height, :width][:, None] + displacements.swapaxes(0, 1)
    grid = np.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], axis=-1)
    return torch.from_numpy(grid.astype(np.float32))
