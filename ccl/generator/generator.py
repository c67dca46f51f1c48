"""The trained generator: a causal graph whose image mechanism is an HVAE."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from ccl.devices import device_of, mixed_precision
from ccl.files import write_atomically
from ccl.generator.graph import IMAGE, ImageParents
from ccl.generator.hvae import HVAE
from ccl.generator.hvae_options import HVAEOptions
from ccl.generator.images import Images
from ccl.generator.scm import Mechanism, StructuralCausalModel
from ccl.generator.tabular import COUPLINGS

DESCRIPTION, WEIGHTS = "generator.json", "weights.safetensors"


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
        """Device of the image mechanism, where images and codes have to be."""
        return device_of(self.hvae)

    def observed(self, source: Images, rows: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Some images, (n, 1, H, W), and the codes of their causes, on the device."""
        codes = self.parents.codes(source, rows)
        return to_model(source.images[rows], self.device), {
            name: code.to(self.device) for name, code in codes.items()
        }

    @property
    def scm(self) -> StructuralCausalModel:
        """The structural causal model over the image and its causes."""
        mechanisms: dict[str, Mechanism] = {**self.parents.tables, IMAGE: self.hvae}
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
            parents: observed codes (N,) of every cause of the image, as of `ImageParents.codes`.
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
        """The image that `predict_all` predicts."""
        return self.predict_all(exogenous, do=do, pixel_noise=pixel_noise)[IMAGE]

    @torch.inference_mode()
    def predict_all(
        self,
        exogenous: Mapping[str, Any],
        *,
        do: Mapping[str, str | Tensor],
        pixel_noise: bool = True,
    ) -> dict[str, Tensor]:
        """Action and prediction: what follows from the intervention changes as well.

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


@torch.inference_mode()
def counterfactuals(
    generator: Generator,
    source: Images,
    rows: np.ndarray,
    variable: str,
    *,
    pixel_noise: bool = True,
    bfloat16: bool = False,
) -> np.ndarray:
    """Images under every value of a variable: each is abducted once and predicted in one pass.

    Args:
        generator, source: know the variable, a parent of the image.
        rows: int64 (n,) of the source.
        variable: what is intervened on.
        pixel_noise: as in `Generator.counterfactual`.
        bfloat16: compute in mixed precision, where the device has it.

    Returns:
        uint8 (n, K, H, W); the slot of an image's own value holds the real image.
    """
    size = len(generator.parents.values[variable])
    x, parents = generator.observed(source, rows)
    foreign = parents[variable][:, None] != torch.arange(size, device=x.device)
    image, target = foreign.nonzero(as_tuple=True)  # one entry per prediction
    with mixed_precision(x.device.type, bfloat16):
        abducted = generator.abduct(x, parents)
        exogenous = {name: noise[image] for name, noise in abducted.items()}
        predicted = generator.predict(exogenous, do={variable: target}, pixel_noise=pixel_noise)
    images = np.repeat(to_images(x)[:, None], size, axis=1)
    images[image.cpu().numpy(), target.cpu().numpy()] = to_images(predicted)
    return images


def description(generator: Generator) -> dict[str, Any]:
    """A dictionary for JSON of all but the weights; see `build`."""
    height, width = generator.hvae.frame
    return {
        "parents": {name: list(values) for name, values in generator.parents.values.items()},
        "tables": {
            name: {
                "coupling": table.coupling,
                "parents": list(table.parents),
                "probabilities": table.probabilities.tolist(),
            }
            for name, table in generator.parents.tables.items()
        },
        "indirect": list(generator.parents.indirect),
        "hvae": generator.hvae.options.model_dump(mode="json"),
        "height": height,
        "width": width,
    }


def build(
    description: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    device: torch.device | str = "cpu",
) -> Generator:
    """The generator of a `description` and the weights of its HVAE, on a device."""
    values = {name: tuple(values) for name, values in description["parents"].items()}
    tables = {}
    for name, table in description["tables"].items():
        probabilities = torch.tensor(table["probabilities"], dtype=torch.float64)
        tables[name] = COUPLINGS[table["coupling"]](tuple(table["parents"]), probabilities, name)
    parents = ImageParents(values, tables, tuple(description["indirect"]))
    options = HVAEOptions.model_validate(description["hvae"])
    hvae = HVAE(options, parents.sizes, description["height"], description["width"])
    hvae.load_state_dict(weights)
    return Generator(parents, hvae.to(device).eval().requires_grad_(False))


def save(generator: Generator, folder: Path) -> None:
    """Writes `weights.safetensors` and `generator.json`."""
    weights = {name: value.contiguous() for name, value in generator.hvae.state_dict().items()}
    write_atomically(folder / WEIGHTS, safetensors.torch.save(weights))
    write_atomically(folder / DESCRIPTION, json.dumps(description(generator), indent=1))


def load(folder: Path, device: torch.device | str = "cpu") -> Generator:
    """The generator that `save` wrote, on a device."""
    stored = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    return build(stored, safetensors.torch.load_file(folder / WEIGHTS), device)
