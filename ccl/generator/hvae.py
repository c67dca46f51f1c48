"""Conditional hierarchical VAE: the image mechanism x := f(z, u, pa) of the causal model.

Bottom-up encoder, top-down decoder after VDVAE (Child 2021, https://arxiv.org/abs/2011.10650),
conditioned on the parents as in De Sousa Ribeiro et al. 2023 (https://arxiv.org/abs/2306.15764)
with the changes of Roschewitz et al. 2025 (https://arxiv.org/abs/2409.10365): a conditional prior
p(z | pa), a learned embedding of the parents in every block, SiLU, group normalisation and a pixel
likelihood of fixed scale.

Symbols: x image in [-1, 1]; pa parents; e their embedding; h decoder state; z_i latent of block i;
mu(z, pa) predicted image; u = (x - mu) / sigma pixel noise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ccl.devices import device_of
from ccl.generator.blocks import Block, group_norm, start_at_zero
from ccl.generator.decoder import AbductedLatent, DecoderBlock, Latent
from ccl.generator.hvae_options import HVAEOptions, Stage, require_fit
from ccl.generator.pixel_map import PixelMap
from ccl.generator.pixel_noise import PixelNoise
from ccl.generator.registration import Registration


@dataclass(frozen=True)
class ImageNoise:
    """Exogenous noise of an image: the latents (z or epsilon) and the pixel noise u."""

    latents: tuple[Tensor, ...]
    pixels: Tensor | None  # u (N, 1, H, W); without it, predictions are the mean mu(z, pa)

    def __getitem__(self, rows: Tensor | np.ndarray) -> "ImageNoise":
        """Noise of some of the images, whose rows are int64 (n,)."""
        pixels = None if self.pixels is None else self.pixels[rows]
        return ImageNoise(tuple(z[rows] for z in self.latents), pixels)

    def without_pixels(self) -> "ImageNoise":
        """The same without pixel noise."""
        return ImageNoise(self.latents, None)


@dataclass(frozen=True)
class Elbo:
    """Terms of the evidence lower bound, nats per pixel averaged over the batch; scalars."""

    nll: Tensor  # -log p(x | z, pa)
    kl: Tensor  # KL(q || p), the sum over all latents
    kl_by_resolution: dict[int, Tensor]  # resolution to its share of it


def discretised_gaussian_log_prob(x: Tensor, loc: Tensor, scale: float) -> Tensor:
    """log of the mass that N(loc, scale^2) gives x's grey level, elementwise, in nats.

    x is in [-1, 1], on the grid of 256 grey levels.

    Source: the likelihood `fixed_dgauss` of Ribeiro et al. 2023; computed through log-CDFs here, so
    that grey levels many sigma away keep their gradient.
    """
    half = 1 / 255
    low = torch.where(x < -1 + half, -torch.inf, (x - half - loc) / scale)
    high = torch.where(x > 1 - half, torch.inf, (x + half - loc) / scale)
    mirrored = low > 0  # log Phi keeps its precision in the lower tail only
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    log_high, log_low = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return log_high + torch.log1p(-torch.exp(log_low - log_high).clamp(max=1 - 1e-7))


class HVAE(nn.Module):
    """Conditional hierarchical VAE; also a `ccl.generator.scm.Mechanism`.

    Args:
        options: the architecture.
        parents: (discrete) parent to its number of values, e.g. {"scanner": 3, "sex": 2}.
        height, width: frame of the images in pixels.

    Raises:
        ValueError: the frame does not fit the stages, or a pixel map has no scanner as a parent.
    """

    def __init__(
        self, options: HVAEOptions, parents: Mapping[str, int], height: int, width: int
    ) -> None:
        super().__init__()
        self.options, self.parents, self.frame = options, dict(parents), (height, width)
        require_fit(options, (height, width))
        if options.pixel_map != "none" and "scanner" not in self.parents:
            raise ValueError(
                f"pixel_map '{options.pixel_map}' is one per scanner, but the image's parents are "
                f"{list(self.parents)}; set pixel_map to none, or add the scanner to the graph"
            )
        stages, stem = options.stages, options.unshuffle
        self.sizes = [self._size(stage) for stage in stages]
        self.embed = nn.Sequential(
            nn.Linear(sum(self.parents.values()), options.embedding),
            nn.SiLU(),
            nn.Linear(options.embedding, options.embedding),
            nn.SiLU(),
        )
        self.stem = nn.Conv2d(stem**2, stages[0].width, 3, padding=1)
        self.encoder = nn.ModuleList(self._encoder_stages())
        depth = sum(stage.decoder_blocks for stage in stages)
        self.decoder = nn.ModuleList(
            nn.ModuleList(DecoderBlock(stage, options, depth) for _ in range(stage.decoder_blocks))
            for stage in reversed(stages)
        )
        self.widen = nn.ModuleList(
            nn.Conv2d(low.width, high.width, 1) if low.width != high.width else nn.Identity()
            for low, high in zip(reversed(stages), reversed(stages[:-1]), strict=False)
        )
        # One learned map per resolution and parents: imprinted text and grids stay in place.
        self.canvas = nn.ParameterList(
            torch.zeros(stage.width, *size)
            for stage, size in zip(reversed(stages), reversed(self.sizes), strict=True)
        )
        self.canvas_by_parents = nn.ModuleList(
            nn.Linear(options.embedding, stage.width) for stage in reversed(stages)
        )
        scanners = self.parents.get("scanner", 1)
        self.pixel_noise = PixelNoise(options.pixel_noise, options.pixel_scale, scanners)
        self.pixel_map = PixelMap(options.pixel_map, scanners, self.frame)
        registered = options.registered if options.registered in self.parents else None
        values = self.parents.get(registered or "", 1)
        self.registration = Registration(registered, values, self.frame)
        self.out_norm = group_norm(stages[0].width, options.groups)
        self.out = nn.Conv2d(stages[0].width, stem**2, 3, padding=1)
        if options.zero_output:
            start_at_zero(self.out)

    def _size(self, stage: Stage) -> tuple[int, int]:
        height, width = (side // self.options.unshuffle for side in self.frame)
        return stage.resolution, max(1, round(width * stage.resolution / height))

    def _encoder_stages(self) -> list[nn.Module]:
        stages, options = self.options.stages, self.options
        depth = sum(stage.encoder_blocks for stage in stages)
        built: list[nn.Module] = []
        width = stages[0].width
        for stage in stages:
            blocks: list[nn.Module] = []
            for _ in range(max(1, stage.encoder_blocks)):
                blocks.append(Block(width, stage.width, stage, options, last_gain=depth**-0.5))
                width = stage.width
            built.append(nn.ModuleList(blocks))
        return built

    def embedding(self, parents: Mapping[str, Tensor]) -> Tensor:
        """Embedding e (N, E) of integer parent codes, each (N,)."""
        one_hot = [F.one_hot(parents[name], k) for name, k in self.parents.items()]
        return self.embed(torch.cat(one_hot, dim=1).float())

    def encode(self, x: Tensor, e: Tensor) -> list[Tensor]:
        """Bottom-up features of images (N, 1, H, W), one per stage from low to high resolution."""
        h = self.stem(F.pixel_unshuffle(x, self.options.unshuffle))
        features = []
        for blocks, size in zip(self.encoder, self.sizes, strict=True):
            if h.shape[-2:] != torch.Size(size):
                h = F.adaptive_avg_pool2d(h, size)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, e)
            features.append(h)
        return features[::-1]

    def decode(
        self,
        e: Tensor,
        features: list[Tensor] | None = None,
        abducted: tuple[Tensor, ...] | None = None,
    ) -> tuple[Tensor, list[Latent]]:
        """Image f(z, pa) (N, 1, H, W), before its maps, and the latents, by the top-down pass.

        Args:
            e: parents' embedding (N, E).
            features: of `encode`; None draws from the prior.
            abducted: z or epsilon of each stochastic block, in place of what the features tell.
        """
        latents: list[Latent] = []
        h = None
        for i, blocks in enumerate(self.decoder):
            canvas = self.canvas[i] * (1 + self.canvas_by_parents[i](e)[:, :, None, None])
            if h is None:
                h = canvas
            else:
                h = F.interpolate(self.widen[i - 1](h), size=canvas.shape[-2:], mode="nearest")
                h = h + canvas
            for block in blocks:  # type: ignore[attr-defined]
                own = None
                if abducted is not None and block.latent_channels:
                    as_noise, share = self.options.abduct == "noise", self.options.posterior_share
                    own = AbductedLatent(abducted[len(latents)], as_noise, share)
                h, latent = block(h, e, None if features is None else features[i], own)
                if latent is not None:
                    latents.append(latent)
        assert h is not None
        y = self.out(F.silu(self.out_norm(h)))  # (N, unshuffle^2, h, w)
        return F.pixel_shuffle(y, self.options.unshuffle).float(), latents

    def elbo(self, x: Tensor, parents: Mapping[str, Tensor]) -> Elbo:
        """Evidence lower bound of images x (N, 1, H, W) in [-1, 1], with parent codes (N,) each."""
        mu, latents = self._inferred(x, parents, self.embedding(parents))
        nll = -discretised_gaussian_log_prob(x, mu, self.options.pixel_scale).mean()
        pixels = x[0].numel()
        per_block = [latent.kl.sum(dim=(1, 2, 3)).mean() for latent in latents]  # nats per image
        by_resolution: dict[int, Tensor] = {}
        for latent, kl in zip(latents, per_block, strict=True):
            so_far = by_resolution.get(latent.resolution, torch.zeros_like(kl))
            by_resolution[latent.resolution] = so_far + kl / pixels
        return Elbo(nll, torch.stack(per_block).sum() / pixels, by_resolution)

    def abduct(self, value: Tensor, parents: Mapping[str, Tensor]) -> ImageNoise:
        """z from q(z | x, pa) (its mean) and u from x and mu(z, pa)."""
        mu, inferred = self._inferred(value, parents, self.embedding(parents))
        as_noise = self.options.abduct == "noise"
        latents = tuple(latent.noise if as_noise else latent.z for latent in inferred)
        if self.options.posterior_share != 1:
            mu = self._mean(latents, parents)  # u: what the prediction under own parents lacks
        return ImageNoise(latents, self.pixel_noise.abduct(value, mu, parents))

    def predict(self, noise: ImageNoise, parents: Mapping[str, Tensor]) -> Tensor:
        """x from mu(z, pa) and u, clipped to [-1, 1]; (N, 1, H, W)."""
        mu = self._mean(noise.latents, parents)
        if noise.pixels is None:
            return mu.clamp(-1, 1)
        return self.pixel_noise.predict(noise.pixels, mu, parents)

    def _mean(self, latents: tuple[Tensor, ...], parents: Mapping[str, Tensor]) -> Tensor:
        """Mean image mu(z, pa) of abducted latents."""
        y, _ = self.decode(self.embedding(parents), abducted=latents)
        return self._from_average(y, parents)

    def _inferred(
        self, x: Tensor, parents: Mapping[str, Tensor], e: Tensor
    ) -> tuple[Tensor, list[Latent]]:
        """Mean image mu(z, pa) (N, 1, H, W) with z of the posterior, and the latents."""
        average = self.registration.to_common(self.pixel_map.to_average(x, parents), parents)
        y, latents = self.decode(e, self.encode(average, e))
        return self._from_average(y, parents), latents

    def _from_average(self, y: Tensor, parents: Mapping[str, Tensor]) -> Tensor:
        """Images y (N, 1, H, W) of the average scanner and the commonest shape as the parents'."""
        return self.pixel_map.from_average(self.registration.from_common(y, parents), parents)

    @torch.no_grad()
    def calibrate_noise(self, batches: Iterable[tuple[Tensor, Mapping[str, Tensor]]]) -> None:
        """Measures the pixel noise of images (N, 1, H, W) in [-1, 1], on any device."""
        device = device_of(self)
        on_device = (
            (x.to(device), {name: codes.to(device) for name, codes in parents.items()})
            for x, parents in batches
        )
        self.pixel_noise.calibrate(
            (x, self._inferred(x, parents, self.embedding(parents))[0], parents)
            for x, parents in on_device
        )
