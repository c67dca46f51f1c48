"""The steps' digests: what makes a run another run."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from ccl import steps
from ccl.config import EncoderName, experiment
from ccl.objectives.encoder import EncoderOptions, build_encoder
from ccl.objectives.simclr import SimCLROptions


def test_other_initial_weights_in_the_same_file_are_another_run(tmp_path: Path) -> None:
    weights = tmp_path / "initial.safetensors"
    base = experiment("tiny", "phantom-chest")
    options = EncoderOptions(pretrained=str(weights))
    pretraining = base.pretraining.model_copy(update={"simclr": SimCLROptions(encoder=options)})
    mine = replace(base, root=tmp_path / "runs", pretraining=pretraining, finetuning=None)
    control = EncoderName("simclr", "random", 0)
    folders = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        backbone = build_encoder(EncoderOptions(), (32, 32)).backbone
        save_file(backbone.state_dict(), weights)
        folders |= {steps.evaluate(mine, control).folder for _ in range(2)}
    assert len(folders) == 2
