import torch

from ccl.seeding import seeded


def test_draws_come_from_the_seed_and_all_else_goes_on_as_before():
    torch.manual_seed(1)
    undisturbed = torch.rand(2, 3)
    torch.manual_seed(1)
    first = torch.rand(3)
    drawn = []
    for seed in (5, 5, 6):
        with seeded(seed, torch.device("cpu")):
            drawn.append(torch.rand(3))
    torch.testing.assert_close(torch.stack([first, torch.rand(3)]), undisturbed, rtol=0, atol=0)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_gpus_generator_goes_on_as_before_too(monkeypatch):
    """`torch.manual_seed` seeds every GPU, so that what is not forked would repeat itself."""
    forked = []
    fork = torch.random.fork_rng

    def watched(devices):
        forked.extend(devices)
        return fork(devices=[])

    monkeypatch.setattr(torch.random, "fork_rng", watched)
    with seeded(0, torch.device("cuda")):
        pass
    assert forked == [torch.device("cuda")]
