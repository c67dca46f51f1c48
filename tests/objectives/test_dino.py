import math
from typing import Any

import numpy as np
import pytest
import torch

from ccl.devices import computes_in_bfloat16
from ccl.encoders.encoder import EncoderOptions, build_encoder
from ccl.losses import sinkhorn_knopp
from ccl.objectives.batches import PairBatches
from ccl.objectives.dino import Dino
from ccl.objectives.dino_head import DinoHead, Targets
from ccl.objectives.dino_options import DinoOptions, HeadOptions, require_fit
from ccl.pairs import Pairs
from ccl.seeding import fair_coins
from ccl.views.options import AugmentOptions
from tests.fitting import fit
from tests.objectives.resuming import undisturbed_and_resumed
from tests.oracles import self_distillation as oracle

STEPS = 5  # per epoch
SMALL: dict[str, Any] = {
    "encoder": {
        "architecture": "vit-slim",
        "vit": {"patch": 8, "width": 12, "depth": 2, "heads": 2},
    },
    "crops": {"local_size": (16, 16)},
    "head": {"prototypes": 16, "hidden": 10, "bottleneck": 6},
    "batch_size": 8,
    "epochs": 4,
}


pytestmark = pytest.mark.usefixtures("logged")


def make(seed=0, **changed):
    torch.manual_seed(0)
    options = DinoOptions.model_validate(SMALL | changed)
    return Dino(build_encoder(options.encoder, (32, 32)), options, seed=seed, steps_per_epoch=STEPS)


def weights(module):
    return torch.cat([p.detach().flatten().clone() for p in module.parameters()])


def test_teacher_starts_as_the_students_copy_backbone_and_heads():
    module = make()
    assert torch.equal(weights(module.teacher), weights(module.student))
    names = {name.split(".")[0] for name, _ in module.teacher.named_parameters()}
    assert names == {"encoder", "mask_token", "head", "patch_head"}
    assert module.pretrained is module.teacher.encoder


def test_teacher_neither_trains_nor_drops_blocks():
    module = make(drop_path=0.5)
    for trained in (module, module.eval().train()):
        assert trained.student.training
        assert not any(part.training for part in trained.teacher.modules())
    assert not any(parameter.requires_grad for parameter in module.teacher.parameters())
    image = torch.rand(4, 1, 32, 32)
    assert torch.equal(*(module.teacher.tokens(image)[0] for _ in range(2)))
    assert not torch.equal(*(module.student.tokens(image)[0] for _ in range(2)))


def test_teacher_is_the_running_mean_of_backbone_and_heads():
    module = make()
    with torch.no_grad():
        for parameter in module.student.parameters():
            parameter.add_(torch.randn_like(parameter))
    before, student = weights(module.teacher), weights(module.student)
    module.update_teacher(0.9)
    torch.testing.assert_close(weights(module.teacher), 0.9 * before + 0.1 * student)
    assert torch.equal(weights(module.student), student)


@pytest.mark.parametrize("ibot_head", ["separate", "shared"])
def test_every_parameter_of_the_student_gets_a_finite_gradient(batch, ibot_head):
    module = make(ibot_head=ibot_head)
    module.training_step(batch, 0).backward()
    for name, parameter in module.student.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_logits_start_as_cosines_and_options_size_the_head():
    torch.manual_seed(0)
    head = DinoHead(12, HeadOptions(prototypes=9, hidden=7, bottleneck=5))
    assert [head.mlp[i].out_features for i in (0, 2, 4)] == [7, 7, 5]
    logits = head(100 * torch.randn(50, 12))
    assert logits.shape == (50, 9)
    assert logits.abs().max() <= 1 + 1e-6
    directions = head.last_layer.weight
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(9))


def test_crops_and_masks_depend_on_seed_and_step_only(batch):
    def drawn(seed, step):
        module = make(seed=seed)
        crops = module.crops(batch, step)
        return [*crops, module.masks(crops.global_crops, step)]

    for one, same, later, other in zip(
        drawn(0, 3), drawn(0, 3), drawn(0, 4), drawn(1, 3), strict=True
    ):
        assert torch.equal(one, same)
        assert not torch.equal(one, later)
        assert not torch.equal(one, other)


@pytest.mark.parametrize("part", ["blur_probability", "solarize_probability"])
def test_treatment_of_a_crop_is_independent_of_its_source(part):
    """Over many draws: a crop that is treated more often than others is so of either source."""
    still = dict.fromkeys([name for name in AugmentOptions.model_fields if "probab" in name], 0.0)
    plain = {"local_size": (8, 8), "local_crops": 4, "global_crop": still, "local_crop": still}
    off = {"blur_probability": (0, 0, 0), "solarize_probability": (0, 0, 0)}
    treated = off | {part: (1, 0, 0.5), "blur_sigma": (1.0, 2.0)}
    bright = torch.zeros(50, 32, 32, dtype=torch.uint8)
    bright[:, :, :16] = 255  # an edge, which both parts change
    given = {"a": bright, "b": bright // 2 + 100}  # a is of higher contrast
    changed = {"global_crops": {"a": [], "b": []}, "local_crops": {"a": [], "b": []}}
    modules = [make(crops=plain | how) for how in (off, treated)]
    for step in range(20):
        before, after = (module.crops(given, step) for module in modules)
        for kind, shares in changed.items():
            one, other = getattr(before, kind), getattr(after, kind)
            from_a = one.flatten(1).amin(1) == 0
            differs = (one != other).flatten(1).any(1)
            assert from_a.sum() * 2 == len(one)
            shares["a"] += differs[from_a].tolist()
            shares["b"] += differs[~from_a].tolist()
    for shares in changed.values():
        for source in shares.values():
            assert np.mean(source) == pytest.approx(0.5, abs=0.06)


def test_coins_do_not_depend_on_the_number_of_processes(pair):
    whole = fair_coins(40, 3, 7, "x")
    assert torch.equal(torch.cat(pair(fair_coins, 20, 3, 7, "x")), whole)
    assert 5 < whole.sum() < 35
    others = [fair_coins(40, 3, 8, "x"), fair_coins(40, 4, 7, "x"), fair_coins(40, 3, 7, "y")]
    assert not any(torch.equal(whole, other) for other in others)


def test_loss_is_the_weighted_sum_of_its_parts(batch, logged):
    loss = make(ibot_weight=0.7, koleo_weight=0.3).training_step(batch, 0)
    expected = logged["dino"] + 0.7 * logged["ibot"] + 0.3 * logged["koleo"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert logged["loss_over_chance"] == pytest.approx(logged["dino"].item() / math.log(16))
    assert 0 < logged["teacher_entropy"] < 1
    assert logged["prototype_entropy"] >= logged["teacher_entropy"]
    entropy = logged["teacher_entropy"] * math.log(16)
    assert logged["kl"] == pytest.approx(logged["dino"].item() - entropy.item(), rel=1e-4)


def test_class_loss_pairs_crops_as_the_equation_says(batch, logged):
    """One image at a time, crops in loops, from the module's own tokens."""
    module = make(masks={"probability": 0})
    module.training_step(batch, 0)
    crops = module.crops(batch, 0)
    with torch.no_grad():
        student = [
            module.student.head(module.student.tokens(views)[0]).unflatten(0, (-1, 8))
            for views in crops
        ]
        teacher = module.teacher.head(module.teacher.tokens(crops.global_crops)[0])
    targets = oracle.sinkhorn_knopp(teacher.numpy(), 0.04, 3).reshape(2, 8, 16)
    expected = oracle.dino(torch.cat(student).numpy(), targets, 0.1)
    assert logged["dino"].item() == pytest.approx(expected, rel=1e-4)


OF_THE_LOSS: tuple[dict[str, Any], ...] = (
    *({"crops": SMALL["crops"] | part} for part in ({"local_crops": 2}, {"global_size": (24, 24)})),
    {"crops": SMALL["crops"] | {"solarize_probability": (1, 1, 1)}},
    *({"masks": part} for part in ({"probability": 1.0}, {"ratio": (0.5, 0.5)})),
    *({"head": SMALL["head"] | {name: 7}} for name in ("prototypes", "hidden", "bottleneck")),
    *({name: 0.5} for name in ("ibot_weight", "koleo_weight", "drop_path")),
    *({"ibot_head": "shared"}, {"centering": "softmax"}, {"precision": "bfloat16"}),
    *({"student_temperature": 0.2}, {"teacher_temperature": (0.05, 0.07)}),
)


@pytest.mark.parametrize("changed", OF_THE_LOSS, ids=str)
@pytest.mark.usefixtures("half_precision")
def test_options_reach_the_loss(batch, changed):
    losses = []
    for options in ({}, {}, changed):
        module = make(**options)
        torch.manual_seed(1)
        losses.append(module.training_step(batch, 0).item())
    assert losses[0] == losses[1] != losses[2]


def test_schedules_have_their_end_points():
    module = make(
        epochs=10,
        warmup_epochs=2,
        learning_rate=0.5,
        final_learning_rate=0.01,
        weight_decay=(0.04, 0.4),
        teacher_momentum=(0.9, 1.0),
        teacher_temperature=(0.04, 0.07),
        teacher_warmup_epochs=4,
    )
    last = 10 * STEPS
    assert module.learning_rate(0) == pytest.approx(0.01 + 0.49 / 10)
    assert module.learning_rate(2 * STEPS) == pytest.approx(0.5)
    assert module.learning_rate(6 * STEPS) == pytest.approx(0.255)  # halfway down
    assert module.learning_rate(last) == pytest.approx(0.01)
    for schedule, start, end in [
        (module.weight_decay, 0.04, 0.4),
        (module.teacher_momentum, 0.9, 1.0),
    ]:
        assert schedule(0) == pytest.approx(start)
        assert schedule(last // 2) == pytest.approx((start + end) / 2)
        assert schedule(last) == pytest.approx(end)
    assert module.teacher_temperature(0) == 0.04
    assert module.teacher_temperature(2 * STEPS) == pytest.approx(0.055)
    assert module.teacher_temperature(4 * STEPS) == module.teacher_temperature(last) == 0.07


def test_schedules_are_set_in_every_group():
    module = make(
        learning_rate=0.1, warmup_epochs=0, weight_decay=(0.2, 0.2), freeze_last_layer_epochs=2
    )
    optimizer = module.configure_optimizers()
    assert type(optimizer).__name__ == "AdamW"
    for step, frozen in [(0, True), (2 * STEPS - 1, True), (2 * STEPS, False)]:
        module.schedule(optimizer, step)
        for group in optimizer.param_groups:
            held = frozen and group["last_layer"]
            assert group["lr"] == (0 if held else module.learning_rate(step) * group["factor"])
            assert group["weight_decay"] == (0.2 if group["decayed"] else 0)


def test_layers_have_their_factors():
    module = make(layer_decay=0.5, patch_factor=0.1)
    names = {id(p): name for name, p in module.student.named_parameters()}
    groups = module.configure_optimizers().param_groups
    found = {names[id(p)]: group for group in groups for p in group["params"]}
    assert len(found) == len(names)
    backbone = "encoder.backbone."
    for name, factor in {
        "mask_token": 0.125,
        f"{backbone}pos_embed": 0.125,
        f"{backbone}cls_token": 0.125,
        f"{backbone}patch_embed.proj.weight": 0.0125,
        f"{backbone}blocks.0.attn.qkv.weight": 0.25,
        f"{backbone}blocks.1.mlp.fc2.bias": 0.5,
        f"{backbone}norm.weight": 1,
        "head.mlp.0.weight": 1,
        "patch_head.mlp.4.bias": 1,
        "head.last_layer.parametrizations.weight.original1": 1,
    }.items():
        assert found[name]["factor"] == pytest.approx(factor), name
    for name, group in found.items():
        assert group["decayed"] == (not name.endswith("bias") and "norm" not in name), name
        assert group["last_layer"] == ("last_layer" in name), name


def test_gradients_are_clipped_part_by_part(batch):
    module = make(gradient_clip=1e-3)
    module.training_step(batch, 0).backward()
    module.on_before_optimizer_step(module.configure_optimizers())
    parts = module.student.parts()
    assert sum(len(part) for part in parts) == len(list(module.student.parameters()))
    for part in parts:
        norm = torch.stack([parameter.grad.norm() for parameter in part]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_sinkhorn_is_the_default_and_only_softmax_moves_its_centre():
    assert DinoOptions().centering == "sinkhorn"
    logits = torch.randn(12, 5, generator=torch.Generator().manual_seed(0)) + 1
    found = {kind: Targets(kind, 5, 0.9) for kind in ("sinkhorn", "softmax", "none")}
    targets = {kind: module(logits, 0.1) for kind, module in found.items()}
    torch.testing.assert_close(targets["sinkhorn"], sinkhorn_knopp(logits, temperature=0.1))
    torch.testing.assert_close(targets["softmax"], (logits / 0.1).softmax(1))
    torch.testing.assert_close(targets["none"], (logits / 0.1).softmax(1))
    centres = {kind: module.centre.clone() for kind, module in found.items()}
    assert (centres["sinkhorn"] == 0).all()
    assert (centres["none"] == 0).all()
    torch.testing.assert_close(centres["softmax"], 0.1 * logits.mean(0))
    second = found["softmax"](logits, 0.1)
    torch.testing.assert_close(second, ((logits - centres["softmax"]) / 0.1).softmax(1))
    nothing_masked = Targets("softmax", 5, 0.9)
    assert nothing_masked(torch.zeros(0, 5), 0.1).shape == (0, 5)
    assert (nothing_masked.centre == 0).all()


def test_centre_momentum_reaches_the_centre(batch):
    for momentum in (0.9, 0.5):
        module = make(centering="softmax", centre_momentum=momentum)
        assert module.class_targets.momentum == module.patch_targets.momentum == momentum


def test_precision_reaches_the_heads_and_losses_stay_in_float32(batch):
    seen = {}
    for precision in ("bfloat16", "float32"):
        module = make(precision=precision)
        module.student.head.register_forward_hook(
            lambda layer, given, out, key=precision: seen.update({key: out.dtype})
        )
        assert module.training_step(batch, 0).dtype == torch.float32
    half = torch.bfloat16 if computes_in_bfloat16("cpu") else torch.float32
    assert seen == {"bfloat16": half, "float32": torch.float32}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoder": {"architecture": "resnet-slim"}}, "'resnet-slim' is no vision transformer"),
        ({"crops": {"local_size": (16, 20)}}, r"do not tile crops of \(16, 20\)"),
        ({"crops": SMALL["crops"] | {"global_size": (16, 20)}}, r"tile crops of \(16, 20\)"),
    ],
)
def test_backbones_and_crops_that_do_not_fit_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        make(**changed)


def test_global_crops_are_as_large_as_the_frame_which_patches_must_tile():
    with pytest.raises(ValueError, match=r"do not tile .* of \(36, 28\)"):
        require_fit(DinoOptions(), (36, 28))
    wide = DinoOptions(encoder=EncoderOptions(architecture="vit_tiny_patch16_224"))
    require_fit(wide, (224, 192))
    with pytest.raises(ValueError, match=r"do not tile .* of \(224, 168\)"):
        require_fit(wide, (224, 168))


def test_the_training_loop_takes_these_steps(monkeypatch, tmp_path, batch):
    """Rates, clipping and teacher reach training through `fit`, at the right step."""
    images = torch.cat([batch["a"], batch["b"]]).numpy()
    batches = PairBatches(Pairs("standard", images), np.arange(16), batch_size=8, seed=0)
    module = make(warmup_epochs=0, freeze_last_layer_epochs=0.2)  # of one step
    optimizer = module.configure_optimizers()
    for step, given in enumerate(batches.epoch(0)):
        monkeypatch.setattr(Dino, "global_step", step)
        module.schedule(optimizer, step)
        optimizer.zero_grad()
        module.training_step(given, 0).backward()
        module.on_before_optimizer_step(optimizer)
        optimizer.step()
        module.update_teacher(module.teacher_momentum(step))
    monkeypatch.undo()
    looped = make(warmup_epochs=0, freeze_last_layer_epochs=0.2)
    fit(looped, batches, epochs=1, folder=tmp_path, seed=0)
    torch.testing.assert_close(weights(looped), weights(module), rtol=0, atol=1e-7)
    assert not torch.equal(weights(looped.student), weights(make().student))


def test_resumed_training_equals_undisturbed_training(monkeypatch, tmp_path, batch):
    monkeypatch.undo()
    endless = {"largest_loss": math.inf}  # a few steps on noise teach nothing
    undisturbed, resumed = undisturbed_and_resumed(
        lambda: make(centering="softmax", drop_path=0.3, collapse=endless),
        batch,
        tmp_path,
        killed_in=2,
    )
    assert {name.split(".")[0] for name in resumed} >= {"teacher", "student", "class_targets"}
    for name, value in undisturbed.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, msg=name)
    assert resumed["class_targets.centre"].abs().max() > 0
    assert not torch.equal(resumed["teacher.mask_token"], resumed["student.mask_token"])
