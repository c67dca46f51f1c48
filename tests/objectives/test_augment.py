import math

import pytest
import torch
from torchvision.transforms.v2 import functional as torchvision

from ccl.views import augment as module
from ccl.views.augment import augment, resample, view_to_source
from ccl.views.options import AugmentOptions

PROBABILITIES = [name for name in AugmentOptions.model_fields if name.endswith("probability")]
OFF = dict.fromkeys(PROBABILITIES, 0.0)


def smooth_images(n=32, height=32, width=48, seed=0):
    """Images without fine detail, so that interpolation hardly matters."""
    coarse = torch.rand(n, 1, 5, 7, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (40 + 170 * fine.clamp(0, 1))[:, 0].to(torch.uint8)


def views(seed=1, source=None, **options):
    source = smooth_images() if source is None else source
    return augment(source, AugmentOptions(**(OFF | options)), torch.Generator().manual_seed(seed))


def draws(n=1, **values):
    """Uniform numbers that choose exactly the named parts."""
    never = {"crop", "rotate", "flip_x", "flip_y", "intensity", "sharpen", "erase"}
    chosen = {name: 1.0 if name in never else 0.5 for name in module._DRAWS} | values
    return {name: torch.full((n,), value) for name, value in chosen.items()}


def warped(source, aspect, options, **values):
    chosen = draws(len(source), **values)
    return resample(source, view_to_source(chosen, AugmentOptions(**options), aspect))


def test_views_are_float_images_in_the_unit_interval():
    source = torch.randint(0, 256, (64, 32, 48), dtype=torch.uint8)
    everything = augment(source, AugmentOptions(), torch.Generator().manual_seed(0))
    assert everything.shape == (64, 1, 32, 48)
    assert everything.dtype == torch.float32
    assert everything.min() >= 0
    assert everything.max() <= 1
    assert everything.isfinite().all()


def test_source_is_left_as_it_was():
    source = smooth_images()
    before = source.clone()
    views(source=source, **dict.fromkeys(PROBABILITIES, 1.0))
    assert torch.equal(source, before)


@pytest.mark.parametrize("name", PROBABILITIES)
def test_each_probability_reaches_its_part(name):
    """Off: no view changes. Half: about half do. On: (nearly) all do."""
    source = smooth_images(400)
    changed = []
    for probability in (0.0, 0.5, 1.0):
        view = views(source=source, **{name: probability})
        differs = (view[:, 0] - source / 255).abs().amax((1, 2)) > 1e-4
        changed.append(differs.float().mean().item())
    assert changed[0] == 0
    assert changed[1] == pytest.approx(0.5, abs=0.08)
    assert changed[2] > 0.98


@pytest.mark.parametrize(
    ("switch", "name", "other"),
    [
        ("crop", "crop_scale", (0.1, 0.2)),
        ("crop", "crop_ratio", (1.0, 1.0)),
        ("rotation", "rotation_degrees", 5.0),
        ("intensity", "brightness", 0.1),
        ("intensity", "contrast", 0.1),
        ("sharpness", "sharpness_factor", (1.5, 3.0)),
        ("erase", "erase_scale", (0.3, 0.4)),
        ("erase", "erase_ratio", (1.0, 1.0)),
    ],
)
def test_each_strength_reaches_its_part(switch, name, other):
    on = {f"{switch}_probability": 1.0}
    assert not torch.equal(views(**on), views(**on, **{name: other}))
    for off in PROBABILITIES:
        if not off.startswith(switch):
            on_other = {off: 1.0}
            assert torch.equal(views(**on_other), views(**on_other, **{name: other})), off


def test_flips_are_torchvisions():
    source = smooth_images()
    for axis, flip in [("x", torchvision.horizontal_flip), ("y", torchvision.vertical_flip)]:
        view = warped(source, 32 / 48, OFF | flip_on(axis), **{f"flip_{axis}": 0.0})
        torch.testing.assert_close(view[:, 0], flip(source) / 255, rtol=0, atol=1e-5)


def flip_on(axis):
    return {f"{'horizontal' if axis == 'x' else 'vertical'}_flip_probability": 1.0}


@pytest.mark.parametrize("degrees", [-90, -30, 10, 45])
@pytest.mark.parametrize("shape", [(33, 33), (32, 48)])
def test_rotation_is_torchvisions_also_in_frames_that_are_not_square(degrees, shape):
    source = smooth_images(4, *shape)
    options = OFF | {"rotation_probability": 1.0, "rotation_degrees": 180}
    view = warped(source, shape[0] / shape[1], options, rotate=0.0, angle=0.5 + degrees / 360)
    expected = torchvision.rotate(
        source[:, None].float() / 255, degrees, torchvision.InterpolationMode.BILINEAR
    )
    share = torchvision.rotate(torch.ones_like(expected), degrees)
    inside = -torch.nn.functional.max_pool2d(-share, 3, 1, 1) > 0
    outside = torch.nn.functional.max_pool2d(share, 3, 1, 1) == 0
    error = (view - expected).abs()[inside]
    assert error.mean() < 2e-3
    assert error.max() < 0.02
    assert (view[outside] == 0).all()  # where there is no source


def test_crop_is_torchvisions():
    source = smooth_images(4, 32, 48)
    options = OFF | {"crop_probability": 1.0, "crop_scale": (0.25, 0.25), "crop_ratio": (1, 1)}
    view = warped(source, 32 / 48, options, crop=0.0, crop_x=0.25, crop_y=0.75)
    # Half of each side: 16 x 24 pixels, at a quarter and three quarters of the room of 16 x 24.
    expected = torchvision.resized_crop(
        source[:, None].float() / 255, 12, 6, 16, 24, [32, 48], antialias=False
    )
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(view[inner], expected[inner], rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(16, 24), (48, 48), (64, 96)])
def test_output_size_is_torchvisions_resize(size):
    source = smooth_images(4)
    options = AugmentOptions(**OFF)
    view = augment(source, options, torch.Generator(), size)
    assert view.shape == (4, 1, *size)
    expected = torchvision.resize(source[:, None].float() / 255, list(size), antialias=False)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # outside the source is black
    torch.testing.assert_close(view[inner], expected[inner], rtol=0, atol=1e-4)


def test_crop_area_and_ratio_stay_in_their_ranges():
    options = AugmentOptions(crop_scale=(0.3, 0.5), crop_ratio=(0.8, 1.25))
    random = dict(zip(module._DRAWS, torch.rand(len(module._DRAWS), 5000), strict=True))
    size, centre = module._boxes(random, options)
    area, ratio = size.prod(1), size[:, 0] / size[:, 1]
    assert 0.3 - 1e-5 <= area.min() < 0.31
    assert 0.49 < area.max() <= 0.5 + 1e-5
    assert 0.8 - 1e-4 <= ratio.min() < 0.81
    assert 1.24 < ratio.max() <= 1.25 + 1e-4
    assert (centre.abs() + size <= 1 + 1e-6).all()  # wholly in the frame


def test_composition_is_crop_then_rotation_then_flip():
    source = smooth_images(2, 33, 33)
    options = {
        **OFF,
        "crop_probability": 1.0,
        "crop_scale": (0.49, 0.49),
        "crop_ratio": (1.0, 1.0),
        "rotation_probability": 1.0,
        "rotation_degrees": 90,
        "horizontal_flip_probability": 1.0,
    }
    everything = warped(source, 1, options, crop=0.0, rotate=0.0, angle=1.0, flip_x=0.0)
    cropped = warped(source, 1, options, crop=0.0)
    expected = torchvision.horizontal_flip(torchvision.rotate(cropped, 90))
    torch.testing.assert_close(everything, expected, rtol=0, atol=1e-3)


def test_intensity_is_torchvisions():
    source = smooth_images(3)
    options = AugmentOptions(**(OFF | {"intensity_probability": 1.0}))
    view = (source / 255)[:, None]
    # Uniform numbers .75 and .25 mean factors 1.2 and .8.
    chosen = draws(3, intensity=0.0, brightness=0.75, contrast=0.25)
    expected = torchvision.adjust_brightness(view, 1.2)
    assert expected.max() < 1  # where torchvision would clip in between
    expected = torchvision.adjust_contrast(expected, 0.8)
    found = module._intensity(view.clone(), chosen, options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0])
def test_sharpness_is_torchvisions_inside(factor):
    source = smooth_images(3)
    options = AugmentOptions(**(OFF | {"sharpness_probability": 1.0}))
    view = (source / 255)[:, None]
    found = module._sharpness(view.clone(), draws(3, sharpen=0.0, sharpness=factor / 2), options)
    expected = torchvision.adjust_sharpness(view, factor)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(found[inner], expected[inner], rtol=0, atol=1e-5)


def test_erased_rectangle_has_its_area():
    ones = torch.full((2000, 64, 64), 255, dtype=torch.uint8)
    view = views(source=ones, erase_probability=1.0, erase_scale=(0.1, 0.1), erase_ratio=(0.5, 2.0))
    share = (view == 0).float().mean((1, 2, 3))
    assert share.mean() == pytest.approx(0.1, abs=0.002)
    rows, columns = (view == 0).any(3).sum(2).flatten(), (view == 0).any(2).sum(2).flatten()
    assert torch.equal(rows * columns, (view == 0).sum((1, 2, 3)))  # a rectangle
    assert (columns / rows).min() < 0.6
    assert (columns / rows).max() > 1.7


def test_angles_are_uniform_within_their_range():
    options = AugmentOptions(**(OFF | {"rotation_probability": 1.0, "rotation_degrees": 20}))
    random = dict(zip(module._DRAWS, torch.rand(len(module._DRAWS), 5000), strict=True))
    affine = view_to_source(random, options, 1.0)
    angles = torch.atan2(affine[:, 1, 0], affine[:, 0, 0]) * 180 / math.pi
    assert angles.min() == pytest.approx(-20, abs=0.1)
    assert angles.max() == pytest.approx(20, abs=0.1)
    assert angles.std() == pytest.approx(40 / math.sqrt(12), abs=0.3)


def test_source_must_be_stored_images():
    with pytest.raises(ValueError, match="uint8"):
        augment(torch.rand(2, 8, 8), AugmentOptions(), torch.Generator())


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (24, 48), None])
def test_pixels_stay_square_in_views_of_any_shape(size, turned):
    """A pixel to the right and one down are equally far in the source, and at right angles."""
    frame = torch.meshgrid(torch.arange(64), torch.arange(48), indexing="ij")
    options = {"crop_probability": 1.0, "crop_scale": (0.2, 0.21), "crop_ratio": (1.0, 1.0)}
    options |= {"rotation_probability": float(turned), "rotation_degrees": 20}
    row, column = (
        augment(
            (2 * ramp).to(torch.uint8)[None],
            AugmentOptions(**(OFF | options)),
            torch.Generator().manual_seed(2),
            size,
        )[0, 0]
        for ramp in frame
    )
    place = torch.stack([row, column])[:, 8:-8, 8:-8] * 255 / 2  # in the source, in its pixels
    right, down = place.diff(dim=2).mean((1, 2)), place.diff(dim=1).mean((1, 2))
    assert right.norm() == pytest.approx(down.norm().item(), rel=0.02)
    assert abs(right @ down) < 0.02 * right.norm() ** 2
