import numpy as np
import pytest
import torch

from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.views.augment import augment
from ccl.views.options import AugmentOptions
from companion.evaluation.features import extract_features, load, save


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return build_encoder(EncoderOptions(), (32, 32)).train()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (11, 32, 32), dtype=np.uint8)


def test_images_enter_as_in_training(encoder, images):
    """A view that nothing was done to is what the encoder sees here."""
    nothing = {name: 0 for name in AugmentOptions.model_fields if name.endswith("probability")}
    view = augment(torch.from_numpy(images), AugmentOptions(**nothing), torch.Generator())
    encoder.eval()
    with torch.no_grad():
        expected = encoder(view)
    features = extract_features(encoder.train(), images)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)


def test_an_image_has_the_same_features_in_any_company(encoder, images):
    whole = extract_features(encoder, images)
    rows = np.array([7, 2, 9])
    some = extract_features(encoder, images, rows, batch_size=2)
    np.testing.assert_allclose(some, whole[rows], rtol=1e-4, atol=1e-5)


def test_the_encoder_is_left_as_it_was_with_its_running_statistics(encoder, images):
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    extract_features(encoder, images)
    assert encoder.training
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_diverged_encoder_is_named(encoder, images):
    torch.nn.init.constant_(encoder.backbone.conv1.weight, float("nan"))
    with pytest.raises(FloatingPointError, match="first of row 3"):
        extract_features(encoder, images, np.array([3, 4]))


def test_stored_features_keep_three_digits_whatever_their_size(tmp_path):
    features = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    for scale, kept in ((1.0, np.float16), (1e6, np.float32)):
        save(scale * features, tmp_path / "features.npy")
        assert np.load(tmp_path / "features.npy").dtype == kept
        found = load(tmp_path / "features.npy")
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, scale * features, rtol=1e-3)


def test_of_stored_features_some_can_be_read_alone(tmp_path):
    features = np.arange(12, dtype=np.float32).reshape(6, 2)
    save(features, tmp_path / "features.npy")
    some = np.array([4, 1])
    np.testing.assert_array_equal(load(tmp_path / "features.npy", some), features[some])
