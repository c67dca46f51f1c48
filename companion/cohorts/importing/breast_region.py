"""The breast on a mammogram, without markers, labels and the patient's name plate.

The rule of the paper's released code (`preprocess_breast` in `data_handling/mammo.py`): of
everything brighter than nearly black, the largest connected part is the breast; all else becomes
black. It removes what does not touch the breast, and nothing that does.
"""

import numpy as np
from scipy import ndimage

from companion.cohorts.errors import ImageError

NEARLY_BLACK = 5  # of 255


def breast_region(grey: np.ndarray) -> np.ndarray:
    """Mask of the breast.

    Args:
        grey: (H, W) in [0, 255], bright = dense, dark background.

    Returns:
        bool (H, W).

    Raises:
        ImageError: nothing is brighter than nearly black.
    """
    parts, n = ndimage.label(grey > NEARLY_BLACK)  # neighbours share an edge
    if n == 0:
        raise ImageError("holds no breast: all its pixels are nearly black")
    areas = np.bincount(parts.ravel())
    areas[0] = 0  # the background
    return np.asarray(parts == areas.argmax())


def without_background(grey: np.ndarray) -> np.ndarray:
    """The image, (H, W), with everything outside the breast black.

    Raises:
        ImageError: see `breast_region`.
    """
    return np.where(breast_region(grey), grey, np.float32(0))
