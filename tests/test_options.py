"""Every option that a profile can set has a test that shows that it reaches its use."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

import pytest
from pydantic import BaseModel

from companion.cohorts import registry
from companion.experiments import config

TESTS = Path(__file__).parent
# Where the options of each class are shown to reach their use.
SHOWN_IN = {
    "AugmentOptions": "objectives/test_augment.py",
    "BankOptions": "generator/test_bank.py",
    "CheXpertOptions": "cohorts/test_chexpert.py cohorts/test_release.py",
    "ClassifierOptions": "generator/test_quality_options.py",
    "CollapseOptions": "objectives/test_collapse.py",
    "ConvergenceOptions": "evaluation/test_convergence.py",
    "Columns": "cohorts/test_folder.py",
    "CropOptions": "objectives/test_crops.py",
    "DinoOptions": "objectives/test_dino.py",
    "EmbedOptions": "cohorts/test_embed.py cohorts/test_release.py",
    "EncoderOptions": "objectives/test_encoder.py objectives/test_vit.py "
    "objectives/test_initial_weights.py",
    "EvaluationOptions": "evaluation/test_probing.py evaluation/test_subgroups.py",
    "FinetuningAugmentOptions": "objectives/test_augment.py",
    "FinetuningOptions": "evaluation/test_finetuning.py",
    "FolderOptions": "cohorts/test_folder.py",
    "FrameOptions": "cohorts/test_folder.py cohorts/test_image_files.py "
    "cohorts/test_breast_region.py",
    "GeneratorOptions": "generator/test_fitting.py test_compilation.py",
    "GlobalCropOptions": "objectives/test_augment.py",
    "HVAEOptions": "generator/test_hvae.py generator/test_fitting.py generator/test_pixel_map.py",
    "HeadOptions": "objectives/test_dino.py",
    "ImportOptions": "cohorts/test_folder.py",
    "LengthOptions": "test_length.py",
    "LabelOptions": "evaluation/test_probing.py",
    "LocalCropOptions": "objectives/test_augment.py",
    "MaskOptions": "objectives/test_dino.py objectives/test_masks.py",
    "MedMnistOptions": "cohorts/test_medmnist.py",
    "MiniMiasOptions": "cohorts/test_mini_mias.py",
    "NihOptions": "cohorts/test_nih.py",
    "ObjectiveOptions": "objectives/test_dino.py test_steps.py test_compilation.py",
    "PadChestOptions": "cohorts/test_padchest.py cohorts/test_release.py",
    "PhantomBreastOptions": "cohorts/test_phantom_breast.py",
    "PhantomChestOptions": "cohorts/test_phantom_chest.py",
    "PhantomOptions": "cohorts/test_phantom_chest.py",
    "PretrainingOptions": "test_config.py evaluation/test_convergence.py",
    "ProbingOptions": "evaluation/test_probing.py",
    "QualityOptions": "generator/test_quality_options.py",
    "RsnaOptions": "cohorts/test_rsna.py cohorts/test_release.py",
    "ScannerShares": "cohorts/test_phantom_chest.py",
    "Sections": "test_config.py",
    "SimCLROptions": "objectives/test_simclr.py",
    "SimulatedScanners": "cohorts/test_medmnist.py cohorts/test_mini_mias.py",
    "SplitOptions": "cohorts/test_folder.py",
    "Stage": "generator/test_hvae.py",
    "TuningOptions": "generator/test_finetuning.py",
    "VariantOptions": "test_steps.py",
    "VindrOptions": "cohorts/test_vindr.py cohorts/test_release.py",
    "VitOptions": "objectives/test_vit.py",
}


def reachable(kind: Any, known: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """Every options class in a type, those of its fields among them."""
    for part in typing.get_args(kind):
        yield from reachable(part, known)
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in known:
        known.add(kind)
        yield kind
        for field in kind.model_fields.values():
            yield from reachable(field.annotation, known)


def _first(kind: type[BaseModel], name: str) -> str:
    """The class that brought the field in."""
    bases = [base for base in kind.__mro__ if name in getattr(base, "model_fields", ())]
    return bases[-1].__name__


def _holds_options(kind: Any) -> bool:
    return any(reachable(kind, set()))


CLASSES = list(reachable(Union[config.Sections, *registry.OPTIONS.values()], set()))
OPTIONS = sorted(
    {
        (_first(kind, name), name)
        for kind in CLASSES
        for name, field in kind.model_fields.items()
        if not _holds_options(field.annotation) and name != "source"  # the discriminator
    }
)


@pytest.mark.parametrize(("kind", "name"), OPTIONS, ids=str)
def test_each_option_of_a_profile_is_shown_to_reach_its_use(kind: str, name: str) -> None:
    assert kind in SHOWN_IN, f"{kind} has no test of its options' flow"
    texts = [(TESTS / file).read_text() for file in SHOWN_IN[kind].split()]
    assert any(re.search(rf"\b{name}\b", text) for text in texts), f"{kind}.{name} is never varied"


def test_no_class_is_registered_that_no_profile_reaches() -> None:
    assert set(SHOWN_IN) <= {kind for kind, _ in OPTIONS} | {kind.__name__ for kind in CLASSES}
