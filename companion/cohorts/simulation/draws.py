"""Exogenous noise of the simulators: each patient and image draws its own, by key.

The noise of an image depends on the cohort's seed, its split, its patient and its own number, and
on nothing else that is drawn: that is what makes true counterfactuals possible.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_COARSE, _FINE = 7, 20  # knots per side of the smooth textures


@dataclass(frozen=True)
class Exogenous:
    """Noise of n images; the uniform draws are float32 (n, 1, 1) in [0, 1)."""

    patient: Mapping[str, np.ndarray]
    image: Mapping[str, np.ndarray]
    lesions: tuple[Mapping[str, np.ndarray], ...]
    patient_texture: tuple[np.ndarray, np.ndarray]  # normal (n, knots, knots), coarse and fine
    image_texture: tuple[np.ndarray, np.ndarray]
    sensor: np.ndarray  # standard normal (n, H, W)

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.sensor.shape[1], self.sensor.shape[2]


@dataclass(frozen=True)
class DrawNames:
    """What is drawn, in this order: for each patient, each image and each possible lesion."""

    patient: tuple[str, ...]
    image: tuple[str, ...]
    lesion: tuple[str, ...] = ()
    max_lesions: int = 0


def exogenous(
    names: DrawNames,
    seed: int,
    stream: int,
    patients: np.ndarray,
    images: np.ndarray,
    frame: tuple[int, int],
) -> Exogenous:
    """Noise of some images, each the same whatever else is drawn.

    Args:
        names: of the uniform draws.
        seed: the cohort's.
        stream: number of the split, so that splits do not depend on each other's length.
        patients: (n,) the images' patients.
        images: (n,) the images' numbers.
        frame: height and width of the images in pixels; only the sensor's noise depends on it.
    """
    of_patient = [keyed_rng(seed, stream, 0, int(i)) for i in patients]
    of_image = [keyed_rng(seed, stream, 1, int(i)) for i in images]
    patient = np.stack([g.random(len(names.patient)) for g in of_patient])
    image = np.stack([g.random(len(names.image)) for g in of_image])
    lesions = np.stack([g.random((names.max_lesions, len(names.lesion))) for g in of_image])
    return Exogenous(
        patient=_by_name(names.patient, patient),
        image=_by_name(names.image, image),
        lesions=tuple(_by_name(names.lesion, lesions[:, i]) for i in range(names.max_lesions)),
        patient_texture=_textures(of_patient),
        image_texture=_textures(of_image),
        sensor=np.stack([g.standard_normal(frame, np.float32) for g in of_image]),
    )


def keyed_rng(seed: int, stream: int, purpose: int, index: int) -> np.random.Generator:
    """Random numbers of one patient (purpose 0) or image (1), or a real image's sensor (2)."""
    # Philox is counter-based: every (stream, index) owns 2**64 blocks of the sequence of its key.
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, index, stream, 0]))


def _by_name(names: tuple[str, ...], draws: np.ndarray) -> dict[str, np.ndarray]:
    columns = draws.astype(np.float32)[:, :, None, None]
    return {name: columns[:, i] for i, name in enumerate(names)}


def _textures(generators: list[np.random.Generator]) -> tuple[np.ndarray, np.ndarray]:
    coarse = np.stack([g.standard_normal((_COARSE, _COARSE), np.float32) for g in generators])
    fine = np.stack([g.standard_normal((_FINE, _FINE), np.float32) for g in generators])
    return coarse, fine
