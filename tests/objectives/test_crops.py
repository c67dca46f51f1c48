import pytest
import torch
from torchvision.transforms.v2 import functional as torchvision

from ccl.views.crops import gaussian_blur, multi_crop
from ccl.views.options import AugmentOptions, CropOptions, GlobalCropOptions

PROBABILITIES = [name for name in AugmentOptions.model_fields if name.endswith("probability")]
STILL = dict.fromkeys(PROBABILITIES, 0.0)
OFF = {
    "global_crop": STILL,
    "local_crop": STILL,
    "local_size": (16, 16),
    "blur_probability": (0, 0, 0),
    "solarize_probability": (0, 0, 0),
}


def batch(pairs=6, size=32, a=60, b=200):
    """Two flat grey sources that can be told apart in every crop."""
    flat = {"a": a, "b": b}
    return {
        name: torch.full((pairs, size, size), value, dtype=torch.uint8)
        for name, value in flat.items()
    }


def textured(pairs=6):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(pairs, 1, 6, 6, generator=generator)
    image = torch.nn.functional.interpolate(coarse, (32, 32), mode="bicubic")
    a = (255 * image[:, 0].clamp(0, 1)).to(torch.uint8)
    return {"a": a, "b": a.flip(1)}


def crops(given, seed=0, swapped=None, **options):
    swapped = torch.zeros(len(given["a"]), dtype=torch.bool) if swapped is None else swapped
    generator = torch.Generator().manual_seed(seed)
    return multi_crop(given, swapped, CropOptions(**(OFF | options)), generator)


@pytest.mark.parametrize("local_crops", [2, 8])
def test_global_2_and_half_the_locals_come_from_b(local_crops):
    found = crops(batch(), local_crops=local_crops)
    assert found.global_crops.shape == (12, 1, 32, 32)
    assert found.local_crops.shape == (6 * local_crops, 1, 16, 16)
    for views in found:
        from_a, from_b = views.chunk(2)
        torch.testing.assert_close(from_a, torch.full_like(from_a, 60 / 255))
        torch.testing.assert_close(from_b, torch.full_like(from_b, 200 / 255))


def test_swapped_pairs_exchange_the_sources_of_their_global_crops_alone():
    swapped = torch.tensor([True, False, True, True, False, False])
    found, still = crops(batch(), swapped=swapped), crops(batch())
    for views, chosen in zip(found.global_crops.chunk(2), (swapped, ~swapped), strict=True):
        assert torch.equal(views.mean((1, 2, 3)) > 0.5, chosen)
    assert torch.equal(found.local_crops, still.local_crops)


def test_swapping_does_nothing_to_pairs_of_one_image():
    """So crops of `standard` and `plus` pairs are DINO-v2's whatever the coins say."""
    image = textured()["a"]
    everything = {"global_crop": {}, "local_crop": {}, "blur_probability": (1, 0.1, 0.5)}
    everything |= {"solarize_probability": (0, 0.2, 0)}
    one, other = (
        crops({"a": image, "b": image}, swapped=torch.full((6,), value), **everything)
        for value in (False, True)
    )
    for first, second in zip(one, other, strict=True):
        assert torch.equal(first, second)


def test_locals_are_blocks_in_the_order_of_the_batch():
    given = textured()
    found = crops(given, local_size=(32, 32)).local_crops.unflatten(0, (4, -1))[:, :, 0]
    for crop, source in zip(found, "aabb", strict=True):
        torch.testing.assert_close(crop, given[source] / 255, rtol=0, atol=1e-5)


@pytest.mark.parametrize("option", ["blur_probability", "solarize_probability"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_blur_and_solarize_probabilities_reach_their_crop(option, place):
    given = textured(40)
    still = crops(given)
    for probability, share in [(1.0, 1.0), (0.5, 0.5)]:
        chosen = tuple(probability if i == place else 0.0 for i in range(3))
        changed = crops(given, **{option: chosen}, blur_sigma=(1.0, 2.0))
        differs = [
            (one != other).flatten(1).any(1).float().mean().item()
            for one, other in zip(split(still), split(changed), strict=True)
        ]
        assert differs[place] == pytest.approx(share, abs=0.15)
        assert [d for i, d in enumerate(differs) if i != place] == [0, 0]


def split(found):
    """Global crops 1, global crops 2, local crops."""
    return [*found.global_crops.chunk(2), found.local_crops]


def test_sizes_scales_and_sigma_reach_their_use():
    given = textured()
    found = crops(given, global_size=(24, 16), local_size=(8, 16))
    assert found.global_crops.shape[2:] == (24, 16)
    assert found.local_crops.shape[2:] == (8, 16)
    still = crops(given)
    part = STILL | {"crop_probability": 1.0, "crop_scale": (0.2, 0.3)}
    for place, name in enumerate(["global_crop", "local_crop"]):
        changed = crops(given, **{name: part})
        assert not torch.equal(changed[place], still[place])
        assert torch.equal(changed[1 - place], still[1 - place])
    blurred = [
        crops(given, blur_probability=(1, 1, 1), blur_sigma=sigma)[0]
        for sigma in [(0.5, 0.6), (1.5, 1.6)]
    ]
    assert not torch.equal(*blurred)


def test_solarizing_is_torchvisions():
    given = textured()
    found = crops(given, solarize_probability=(1, 1, 1)).global_crops[:6]
    expected = torchvision.solarize((given["a"] / 255)[:, None], 0.5)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_blur_is_torchvisions_inside():
    view = torch.rand(3, 1, 24, 32, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.3, 0.8, 1.2])
    found = gaussian_blur(view, sigma)
    inner = (slice(None), slice(8, -8), slice(8, -8))
    for i in range(3):
        expected = torchvision.gaussian_blur(view[i], [15, 15], [sigma[i].item()] * 2)
        torch.testing.assert_close(found[i][inner], expected[inner], rtol=0, atol=1e-5)


def test_blur_keeps_flat_images_up_to_the_border_and_makes_no_denormals():
    flat = torch.full((2, 1, 16, 16), 0.7)
    torch.testing.assert_close(gaussian_blur(flat, torch.tensor([0.05, 3.0])), flat)
    dot = torch.zeros(1, 1, 33, 33)
    dot[0, 0, 16, 16] = 1
    blurred = gaussian_blur(dot, torch.tensor([0.8]))
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    assert blurred[blurred > 0].min() > torch.finfo(torch.float32).tiny


def test_global_crops_default_to_dinov2s_augmentation_also_when_partly_given():
    given = CropOptions.model_validate({"global_crop": {"crop_scale": [0.15, 1.0]}})
    assert given.global_crop == GlobalCropOptions(crop_scale=(0.15, 1.0))
    assert given.global_crop.erase_probability == 0
    assert given.local_crop.crop_scale == (0.05, 0.32)
