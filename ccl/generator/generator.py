"""The trained generator: a causal graph whose image mechanism is an HVAE."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ccl.devices import device_of
from ccl.generator.graph import IMAGE, ImageParents
from ccl.generator.hvae import HVAE, HVAEOptions
from ccl.generator.scm import StructuralCausalModel
from ccl.generator.tabular import COUPLINGS, Table
from companion.cohorts.cohort import Cohort
from companion.engine import storage
from companion.engine.files import write_atomically
from companion.engine.mapped import read


def to_model(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, H, W) -> float (N, 1, H, W) in [-1, 1], on a device."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return pixels.unsqueeze(1).float() / 127.5 - 1


def to_images(x: Tensor) -> np.ndarray:
    """float (N, 1, H, W) in [-1, 1] -> uint8 (N, H, W)."""
    grey = ((x[:, 0].float() + 1) * 127.5).round().clamp(0, 255)
    return grey.to(torch.uint8).cpu().numpy()


@dataclass(frozen=True)
class Generator:
    """A structural causal model of images.

    Attributes:
        parents: the image's causes, their values and their mechanisms.
        hvae: the image mechanism, in evaluation mode.
    """

    parents: ImageParents
    hvae: HVAE

    @property
    def device(self) -> torch.device:
        """Where the image mechanism is, and images and codes have to be."""
        return device_of(self.hvae)

    def observed(self, cohort: Cohort, rows: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Some images of a cohort, (n, 1, H, W), and the codes of their causes, on the device."""
        codes = self.parents.codes(cohort, rows)
        return to_model(read(cohort.images, rows), self.device), {
            name: code.to(self.device) for name, code in codes.items()
        }

    @property
    def scm(self) -> StructuralCausalModel:
        """The structural causal model over the image and its causes."""
        mechanisms = {**self.parents.mechanisms, IMAGE: self.hvae}
        return StructuralCausalModel(self.parents.causal_graph, mechanisms)

    @torch.inference_mode()
    def counterfactual(
        self,
        x: Tensor,
        parents: Mapping[str, Tensor],
        *,
        do: Mapping[str, str],
        pixel_noise: bool = True,
    ) -> Tensor:
        """The images as they would have been under an intervention.

        Args:
            x: images (N, 1, H, W) in [-1, 1].
            parents: observed codes of every cause of the image, each (N,); of `ImageParents.codes`.
            do: variable to the value it is set to, e.g. {"scanner": "Cirrus"}.
            pixel_noise: add the abducted pixel noise back, sigma u; without it, the mean image.

        Returns:
            (N, 1, H, W) in [-1, 1].
        """
        return self.predict(self.abduct(x, parents), do=do, pixel_noise=pixel_noise)

    @torch.inference_mode()
    def abduct(self, x: Tensor, parents: Mapping[str, Tensor]) -> dict[str, Any]:
        """Abduction, once for any number of interventions: the noise of every variable."""
        return self.scm.abduct({**parents, IMAGE: x})

    @torch.inference_mode()
    def predict(
        self,
        exogenous: Mapping[str, Any],
        *,
        do: Mapping[str, str | Tensor],
        pixel_noise: bool = True,
    ) -> Tensor:
        """Action and prediction on abducted noise; see `counterfactual` and `predict_all`."""
        return self.predict_all(exogenous, do=do, pixel_noise=pixel_noise)[IMAGE]

    @torch.inference_mode()
    def predict_all(
        self,
        exogenous: Mapping[str, Any],
        *,
        do: Mapping[str, str | Tensor],
        pixel_noise: bool = True,
    ) -> dict[str, Tensor]:
        """The same for every variable: what follows from the intervention changes as well.

        Args:
            exogenous: of `abduct`.
            do: parent to the value it is set to, or to one code for each image, int64 (N,).
            pixel_noise: as in `counterfactual`.

        Returns:
            Codes (N,) of the image's causes, and the image, (N, 1, H, W) in [-1, 1].
        """
        latent = exogenous[IMAGE].latents[0]
        constants = {
            name: value
            if isinstance(value, Tensor)
            else torch.full((len(latent),), self.parents.code(name, value), device=latent.device)
            for name, value in do.items()
        }
        if not pixel_noise:
            exogenous = {**exogenous, IMAGE: exogenous[IMAGE].without_pixels()}
        return self.scm.act(constants).predict(exogenous)


def save(generator: Generator, folder: Path) -> None:
    """Writes `weights.safetensors` and `generator.json`."""
    storage.save_tensors(folder / "weights.safetensors", generator.hvae.state_dict())
    height, width = generator.hvae.frame
    description = {
        "parents": {name: list(values) for name, values in generator.parents.values.items()},
        "tables": {name: _described(table) for name, table in generator.parents.tables.items()},
        "indirect": list(generator.parents.indirect),
        "hvae": generator.hvae.options.model_dump(mode="json"),
        "height": height,
        "width": width,
    }
    write_atomically(folder / "generator.json", json.dumps(description, indent=1))


def _described(table: Table) -> dict[str, Any]:
    coupling = next(name for name, kind in COUPLINGS.items() if isinstance(table, kind))
    probabilities = table.probabilities.tolist()
    return {
        "coupling": coupling,
        "parents": list(table.parents),
        "probabilities": probabilities,
    }


def _table(variable: str, described: Mapping[str, Any]) -> Table:
    probabilities = torch.tensor(described["probabilities"], dtype=torch.float64)
    kind = COUPLINGS[described["coupling"]]
    return kind(tuple(described["parents"]), probabilities, variable)


def load(folder: Path, device: torch.device | str = "cpu") -> Generator:
    """Opens what `save` wrote, onto a device.

    Raises:
        FileNotFoundError: the folder holds no generator.
        DamagedFileError: a file is not what was written.
    """
    path = folder / "generator.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: '{folder}' holds no trained generator")
    description = storage.described(path)
    parents = ImageParents(
        {name: tuple(values) for name, values in description["parents"].items()},
        {name: _table(name, table) for name, table in description["tables"].items()},
        tuple(description["indirect"]),
    )
    options = HVAEOptions.model_validate(description["hvae"])
    hvae = HVAE(options, parents.sizes, description["height"], description["width"])
    hvae.load_state_dict(storage.tensors(folder / "weights.safetensors"))
    return Generator(parents, hvae.to(device).eval().requires_grad_(False))
