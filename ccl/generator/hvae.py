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
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ccl.devices import device_of
from ccl.generator.blocks import Block, group_norm, start_at_zero
from ccl.generator.hvae_options import HVAEOptions, Stage, require_fit
from ccl.generator.pixel_map import PixelMap
from ccl.generator.pixel_noise import PixelNoise


class Given(NamedTuple):
    """What was abducted of one block's latent.

    Attributes:
        kept: z or epsilon, (N, Z, H, W).
        is_noise: whether it is epsilon.
        share: how much of it stays, `HVAEOptions.posterior_share`.
    """

    kept: Tensor
    is_noise: bool
    share: float

    def under(self, loc: Tensor, scale: Tensor) -> Tensor:
        """z* under a prior of some mean and scale."""
        z = loc + scale * self.kept if self.is_noise else self.kept
        return z if self.share == 1 else self.share * z + (1 - self.share) * loc


@dataclass(frozen=True)
class Latent:
    """What the decoder met at one stochastic block; each tensor is (N, Z, H, W)."""

    z: Tensor
    noise: Tensor  # epsilon = (z - mu_p) / sigma_p
    kl: Tensor  # KL(q || p) in nats per element; zeros when z was not inferred
    resolution: int


class DecoderBlock(nn.Module):
    """Top-down block: prior p(z | h, pa), posterior q(z | h, pa, x), then h grows by z."""

    def __init__(self, stage: Stage, options: HVAEOptions, depth: int) -> None:
        super().__init__()
        width, latent = stage.width, stage.latent_channels
        gain = depth**-0.5  # VDVAE: keeps the residual stream's scale independent of the depth
        self.latent_channels, self.resolution = latent, stage.resolution
        if latent:
            self.prior = Block(width, width + 2 * latent, stage, options, last_gain=1.0)
            self.posterior = Block(2 * width, 2 * latent, stage, options, last_gain=1.0)
            self.expand = nn.Conv2d(latent, width, 1)
            with torch.no_grad():
                self.expand.weight.mul_(gain)
            # Start at q = p = N(0, 1): no KL spike in the first steps.
            for last in (self.prior.skip, self.posterior.skip, self.posterior.expand):
                start_at_zero(last)
            start_at_zero(self.prior.expand)
        self.residual = Block(width, width, stage, options, last_gain=gain)

    def forward(
        self, h: Tensor, e: Tensor, features: Tensor | None, given: "Given | None"
    ) -> tuple[Tensor, Latent | None]:
        """Draws z from the posterior (features given), from what was abducted, or from the prior.

        Args:
            h: decoder state (N, C, H, W).
            e: parents' embedding (N, E).
            features: encoder features (N, C, H, W) of x, for inference.
            given: what was abducted, for prediction.
        """
        latent = None
        if self.latent_channels:
            prior = self.prior(h, e)  # (N, C + 2Z, H, W)
            shift, p_loc, p_log_scale = prior.split(
                [h.shape[1], self.latent_channels, self.latent_channels], dim=1
            )
            p_loc, p_log_scale = p_loc.float(), p_log_scale.float()
            z, kl = self._draw(h, e, features, given, p_loc, p_log_scale)
            latent = Latent(z, (z - p_loc) * torch.exp(-p_log_scale), kl, self.resolution)
            h = h + shift + self.expand(z.to(h.dtype))
        return self.residual(h, e), latent

    def _draw(
        self,
        h: Tensor,
        e: Tensor,
        features: Tensor | None,
        given: "Given | None",
        p_loc: Tensor,
        p_log_scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        if given is not None:
            z = given.under(p_loc, torch.exp(p_log_scale))
            return z, torch.zeros_like(z)
        if features is None:
            z = p_loc + torch.exp(p_log_scale) * torch.randn_like(p_loc)
            return z, torch.zeros_like(z)
        q = self.posterior(torch.cat([h, features], dim=1), e).float()  # (N, 2Z, H, W)
        # The posterior is a correction of the prior: it costs nothing where x adds nothing.
        q_loc, q_log_scale = q.chunk(2, dim=1)
        q_loc, q_log_scale = p_loc + q_loc, p_log_scale + q_log_scale
        z = q_loc + torch.exp(q_log_scale) * self._posterior_noise(q_loc)
        return z, gaussian_kl(q_loc, q_log_scale, p_loc, p_log_scale)

    def _posterior_noise(self, like: Tensor) -> Tensor:
        # Training samples q; abduction takes its mean, so that a counterfactual is deterministic.
        return torch.randn_like(like) if self.training else torch.zeros_like(like)


def gaussian_kl(q_loc: Tensor, q_log_scale: Tensor, p_loc: Tensor, p_log_scale: Tensor) -> Tensor:
    """KL(N(q_loc, q_scale^2) || N(p_loc, p_scale^2)), elementwise, in nats."""
    ratio = torch.exp(2 * (q_log_scale - p_log_scale))
    shift = ((q_loc - p_loc) * torch.exp(-p_log_scale)) ** 2
    return 0.5 * (ratio + shift - 1) - (q_log_scale - p_log_scale)


def discretised_gaussian_log_prob(x: Tensor, loc: Tensor, scale: float) -> Tensor:
    """log of the Gaussian mass of x's grey level, elementwise, in nats.

    Args:
        x: images in [-1, 1] on the grid of 256 grey levels.
        loc: means, same shape.
        scale: standard deviation sigma.

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


@dataclass(frozen=True)
class Elbo:
    """Terms of the evidence lower bound, nats per pixel averaged over the batch.

    Attributes:
        nll: -log p(x | z, pa), scalar.
        kl: KL(q || p) summed over all latents, scalar.
        kl_penalised: the same with the free bits of each block taken off below their floor.
        kl_by_resolution: resolution to its share of `kl`.
    """

    nll: Tensor
    kl: Tensor
    kl_penalised: Tensor
    kl_by_resolution: dict[int, Tensor]


@dataclass(frozen=True)
class ImageNoise:
    """Exogenous noise of an image: the latents (z or epsilon) and the pixel noise u."""

    latents: tuple[Tensor, ...]
    pixels: Tensor | None  # u (N, 1, H, W); without it, predictions are the mean mu(z, pa)

    def __getitem__(self, rows: Tensor | np.ndarray) -> "ImageNoise":
        """That of some images, int64 (n,)."""
        pixels = None if self.pixels is None else self.pixels[rows]
        return ImageNoise(tuple(z[rows] for z in self.latents), pixels)

    def without_pixels(self) -> "ImageNoise":
        """The same without pixel noise."""
        return ImageNoise(self.latents, None)


class HVAE(nn.Module):
    """Conditional hierarchical VAE; also a `ccl.generator.scm.Mechanism`.

    Args:
        options: the architecture.
        parents: name to number of values of each (discrete) parent, e.g. {"scanner": 3, "sex": 2}.
        height, width: frame of the images in pixels.

    Raises:
        ValueError: the frame does not fit the stages, or a pixel map has no scanner to follow.
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

    def embedding(self, parents: Mapping[str, Tensor], told: Tensor | None = None) -> Tensor:
        """Embedding e (N, E) of integer parent codes, each (N,).

        Args:
            parents: the codes.
            told: bool (N,), whose parents are told; all if None. Of the others none is.
        """
        one_hot = [F.one_hot(parents[name], k) for name, k in self.parents.items()]
        joined = torch.cat(one_hot, dim=1).float()
        return self.embed(joined if told is None else joined * told[:, None])

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
        given: tuple[Tensor, ...] | None = None,
    ) -> tuple[Tensor, list[Latent]]:
        """Top-down pass: mean image (N, 1, H, W) before the pixel map, and the latents met."""
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
                taken = None
                if given is not None and block.latent_channels:
                    is_noise = self.options.abduct == "noise"
                    taken = Given(given[len(latents)], is_noise, self.options.posterior_share)
                source = features[i] if features is not None else None
                h, latent = block(h, e, source, taken)
                if latent is not None:
                    latents.append(latent)
        assert h is not None
        y = self.out(F.silu(self.out_norm(h)))  # (N, unshuffle^2, h, w)
        return F.pixel_shuffle(y, self.options.unshuffle).float(), latents

    def elbo(
        self,
        x: Tensor,
        parents: Mapping[str, Tensor],
        free_bits: float = 0.0,
        told: Tensor | None = None,
    ) -> Elbo:
        """Evidence lower bound of images x (N, 1, H, W) in [-1, 1].

        Args:
            x: images.
            parents: codes, each (N,).
            free_bits: nats per image and stochastic block that cost nothing.
            told: bool (N,), whose parents are told, see `embedding`.
        """
        e = self.embedding(parents, told)
        mu, latents = self._inferred(x, parents, e)
        nll = -discretised_gaussian_log_prob(x, mu, self.options.pixel_scale).mean()
        pixels = x[0].numel()
        per_block = [latent.kl.sum(dim=(1, 2, 3)).mean() for latent in latents]  # nats per image
        by_resolution: dict[int, Tensor] = {}
        for latent, kl in zip(latents, per_block, strict=True):
            so_far = by_resolution.get(latent.resolution, torch.zeros_like(kl))
            by_resolution[latent.resolution] = so_far + kl / pixels
        stacked = torch.stack(per_block)
        return Elbo(
            nll, stacked.sum() / pixels, stacked.clamp(min=free_bits).sum() / pixels, by_resolution
        )

    # -- the mechanism of the structural causal model ------------------------------------------

    def abduct(self, value: Tensor, parents: Mapping[str, Tensor]) -> ImageNoise:
        """z from q(z | x, pa) (its mean) and u from x and mu(z, pa)."""
        mu, latents = self._inferred(value, parents, self.embedding(parents))
        kept = tuple(
            latent.z if self.options.abduct == "latent" else latent.noise for latent in latents
        )
        if self.options.posterior_share != 1 or self.options.guidance != 1:
            mu = self._mean(kept, parents)  # u is what the prediction under the own parents lacks
        return ImageNoise(kept, self.pixel_noise.abduct(value, mu, parents))

    def predict(self, noise: ImageNoise, parents: Mapping[str, Tensor]) -> Tensor:
        """x from mu(z, pa) and u, clipped to [-1, 1]; (N, 1, H, W)."""
        mu = self._mean(noise.latents, parents)
        if noise.pixels is None:
            return mu.clamp(-1, 1)
        return self.pixel_noise.predict(noise.pixels, mu, parents)

    def _mean(self, kept: tuple[Tensor, ...], parents: Mapping[str, Tensor]) -> Tensor:
        """Mean image mu(z, pa) of abducted latents, with the guidance that is asked for."""
        y, _ = self.decode(self.embedding(parents), given=kept)
        if self.options.guidance != 1:
            nobody = torch.zeros(len(y), dtype=torch.bool, device=y.device)
            untold, _ = self.decode(self.embedding(parents, nobody), given=kept)
            y = untold + self.options.guidance * (y - untold)
        return self.pixel_map.from_average(y, parents)

    def _inferred(
        self, x: Tensor, parents: Mapping[str, Tensor], e: Tensor
    ) -> tuple[Tensor, list[Latent]]:
        """Mean image mu(z, pa) (N, 1, H, W) with z of the posterior, and the latents."""
        features = self.encode(self.pixel_map.to_average(x, parents), e)
        y, latents = self.decode(e, features)
        return self.pixel_map.from_average(y, parents), latents

    @torch.no_grad()
    def calibrate_noise(self, batches: Iterable[tuple[Tensor, Mapping[str, Tensor]]]) -> None:
        """Measures the pixel noise of real images, where it follows the scanner.

        Args:
            batches: training images x (N, 1, H, W) in [-1, 1] with their parents, on any device.
        """
        device = device_of(self)
        there = (
            (x.to(device), {name: codes.to(device) for name, codes in parents.items()})
            for x, parents in batches
        )
        self.pixel_noise.calibrate(
            (x, self._inferred(x, parents, self.embedding(parents))[0], parents)
            for x, parents in there
        )
