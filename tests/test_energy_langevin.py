"""The sampler against Gaussians with known moments, hand-computed steps, and invariants."""

import math
from dataclasses import replace

import pytest
import torch

from speechjem.energy.langevin import (
    Adaptation,
    LangevinConfig,
    ReplayBuffer,
    sample,
    sgld,
    standard_normal,
    with_given,
)
from speechjem.errors import UsageError

EXACT = LangevinConfig(steps=1, step_size=0.1, noise=1.0, momentum=0.0, decay=1.0, clamp=0.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_gaussian_is_sampled_with_its_mean_and_variance():
    """For E = (x - m)^2 / (2 s^2) the chain is autoregressive with factor r = 1 - a / (2 s^2).

    Its stationary variance is a / (1 - r^2).
    """
    mean, std, a = 2.0, 0.7, 0.2
    chains = torch.zeros(20000, dtype=torch.float64)
    config = replace(EXACT, steps=60, step_size=a)
    x = sample(lambda x: (x - mean) / std**2, chains, config, generator())
    variance = a / (1 - (1 - a / (2 * std**2)) ** 2)
    assert x.mean().item() == pytest.approx(mean, abs=0.02)
    assert x.var().item() == pytest.approx(variance, rel=0.04)


def test_without_noise_it_is_gradient_descent():
    matrix = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    x = torch.tensor([3.0, -1.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([x], lr=0.05)
    for _ in range(20):
        optimiser.zero_grad()
        (0.5 * x @ matrix @ x).backward()
        optimiser.step()
    start = torch.tensor([3.0, -1.0], dtype=torch.float64)
    ours = sample(lambda z: matrix @ z, start, replace(EXACT, steps=20, noise=0.0))
    torch.testing.assert_close(ours, x.detach())


def test_momentum_decay_and_clamp_by_hand():
    """E = 5 x from x = 1: each gradient is 5, clamped to 2; a is 1, then 0.5; the average starts at -2."""
    config = LangevinConfig(steps=2, step_size=1.0, noise=0.0, momentum=0.25, decay=0.5, clamp=2.0)
    states = list(sgld(lambda x: torch.full_like(x, 5.0), torch.tensor([1.0]), config))
    assert [s.item() for s in states] == [pytest.approx(1 - 0.5 * 2), pytest.approx(-0.5 * 0.5 * 2)]


def test_momentum_averages_past_and_present():
    """E = x^2 / 2 from 1, a = 1: g = -1, x = 0.5; then g = 0.25 * -1 + 0.75 * -0.5 and x = 0.5 + g / 2."""
    config = LangevinConfig(steps=2, step_size=1.0, noise=0.0, momentum=0.25, decay=1.0, clamp=0.0)
    states = list(sgld(lambda x: x, torch.tensor([1.0]), config))
    assert states[1].item() == pytest.approx(0.5 + 0.5 * (0.25 * -1 + 0.75 * -0.5))


def test_same_seed_same_chain_and_the_start_is_kept():
    start = torch.zeros(5)
    config = replace(EXACT, steps=3)
    a, b, c = (sample(lambda x: x, start, config, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(start, torch.zeros(5))


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"noise": -0.1}, {"step_size": math.inf}, {"noise": math.nan}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UsageError):
        with_given(EXACT, **settings)


def test_settings_that_are_not_given_stay():
    assert with_given(EXACT, steps=7, noise=None) == replace(EXACT, steps=7)


# Adaptation


@pytest.mark.parametrize("name", ["step_size", "noise"])
def test_adaptation_goes_where_samples_score_higher_and_stops_at_its_bounds(name):
    start = LangevinConfig()
    up, down = Adaptation(start, trials=2), Adaptation(start, trials=2)
    for _ in range(6 * 4 * 30):
        up.report(getattr(up.propose(), name))
        down.report(-getattr(down.propose(), name))
    bound = Adaptation.BOUNDS[name]
    assert getattr(up.config, name) == pytest.approx(getattr(start, name) * bound)
    assert getattr(down.config, name) == pytest.approx(getattr(start, name) / bound)


def test_adaptation_never_leaves_its_bounds():
    start = LangevinConfig()
    adaptation, scores = Adaptation(start, trials=1), torch.rand(2000, generator=generator())
    for score in scores:
        config = adaptation.propose()
        for name, bound in Adaptation.BOUNDS.items():
            ratio = getattr(config, name) / getattr(start, name)
            assert 1 / bound - 1e-9 <= ratio <= bound + 1e-9
        assert config.decay <= 1
        adaptation.report(score.item())


def test_adaptation_stays_where_all_arms_are_equal():
    adaptation = Adaptation(LangevinConfig())
    for _ in range(500):
        adaptation.propose()
        adaptation.report(1.0)
    assert adaptation.config == LangevinConfig()


def test_adaptation_goes_on_from_its_saved_state():
    scores = torch.rand(300, generator=generator()).tolist()
    whole, first = Adaptation(LangevinConfig()), Adaptation(LangevinConfig())
    for score in scores:
        whole.report(score)
    for score in scores[:100]:
        first.report(score)
    second = Adaptation(LangevinConfig())
    second.load_state_dict(first.state_dict())
    for score in scores[100:]:
        second.report(score)
    assert second.propose() == whole.propose()


# Replay buffer


def buffer(slots=5, seed=0):
    return ReplayBuffer(3, slots, (2,), standard_normal((2,)), generator(seed))


def test_no_slot_is_drawn_twice_at_once():
    replay = buffer()
    labels = torch.tensor([1, 1, 0, 1, 1, 1, 2])
    for _ in range(50):
        slots, _ = replay.choose(labels, restart=0.0)
        assert sorted(slots[labels == 1].tolist()) == [0, 1, 2, 3, 4]


def test_what_is_put_is_drawn_again():
    replay = buffer(slots=1)
    labels = torch.tensor([0, 2])
    slots, anew = replay.choose(labels, restart=0.0)
    replay.put(labels, slots, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    chains = replay.take(labels.flip(0), slots.flip(0), anew, generator())
    assert chains.tolist() == [[3.0, 4.0], [1.0, 2.0]]


def test_chains_restart_with_the_probability_asked_for():
    replay = ReplayBuffer(1, 1000, (1,), lambda labels, _: torch.zeros(len(labels), 1), generator())
    replay.put(torch.zeros(1000, dtype=torch.long), torch.arange(1000), torch.ones(1000, 1))
    labels = torch.zeros(1000, dtype=torch.long)
    taken = [replay.take(labels, *replay.choose(labels, p), generator()) for p in (0.0, 0.3, 1.0)]
    shares = [(chains == 0).float().mean().item() for chains in taken]
    assert shares[0] == 0
    assert shares[1] == pytest.approx(0.3, abs=0.06)  # four standard deviations
    assert shares[2] == 1


def test_more_chains_than_slots_are_refused():
    with pytest.raises(ValueError, match="6 chains of one class"):
        buffer().choose(torch.zeros(6, dtype=torch.long), restart=0.0)


def test_the_buffer_goes_on_from_its_saved_state():
    labels = torch.tensor([0, 1, 2])
    first = buffer()
    first.choose(labels, restart=0.5)
    second = buffer(seed=9)
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        (i, a), (j, b) = (r.choose(labels, restart=0.5) for r in (first, second))
        assert torch.equal(i, j)
        assert torch.equal(a, b)
        assert torch.equal(first.take(labels, i, a, generator(3)), second.take(labels, j, b, generator(3)))


def test_a_saved_state_of_the_buffer_does_not_change_when_the_buffer_does():
    labels = torch.tensor([0, 1, 2])
    replay = buffer()
    state = replay.state_dict()
    before = state["chains"].clone()
    slots, _ = replay.choose(labels, restart=0.0)
    replay.put(labels, slots, torch.full((3, 2), 9.0))
    assert torch.equal(state["chains"], before)


def test_the_noise_shrinks_with_the_root_of_the_step_size():
    """No force: increments are sqrt(a_k) * noise * e_k, with a_1 = a_0 / 4."""
    config = replace(EXACT, steps=2, step_size=0.36, noise=0.5, decay=0.25)
    start = torch.zeros(7)
    first, second = sgld(torch.zeros_like, start, config, generator())
    draws = generator()
    e0, e1 = torch.randn(7, generator=draws), torch.randn(7, generator=draws)
    torch.testing.assert_close(first, 0.6 * 0.5 * e0)
    torch.testing.assert_close(second - first, 0.3 * 0.5 * e1)


def test_the_clamp_bounds_each_component_on_both_sides_and_leaves_small_ones():
    config = replace(EXACT, step_size=2.0, noise=0.0, clamp=1.5)
    force = torch.tensor([-9.0, -1.0, 0.5, 9.0])
    moved = sample(lambda x: -force, torch.zeros(4), config)
    assert moved.tolist() == [-1.5, -1.0, 0.5, 1.5]


def test_adaptation_tries_the_value_and_one_factor_to_either_side():
    start = LangevinConfig()
    adaptation = Adaptation(start)
    tried = []
    for _ in range(3):
        tried.append(adaptation.propose().step_size / start.step_size)
        adaptation.report(0.0)
    assert tried == pytest.approx([0.9, 1, 1 / 0.9])
