"""Where chains start: statistics of Gaussians that are known, and paths over phones."""

from __future__ import annotations

import pytest
import torch

from speechjem.energy.starts import SLOW, Starts

BINS = 4


def utterances(seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Phones 0 and 1 from two Gaussians, in turns of 30 and 10 frames; phone 2 never comes."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.8, 0.6, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 0.1]])
    labels = torch.tensor(([0] * 30 + [1] * 10) * 5)
    found = []
    for _ in range(40):
        z = torch.randn(len(labels), BINS, generator=generator)
        x = torch.where(labels[:, None] == 0, 3.0 + z @ mix.T, -1.0 + 2 * z)
        found.append((x, labels))
    return found


@pytest.fixture(scope="module")
def starts():
    starts = Starts(3, BINS)
    starts.measure(utterances(), frame_seconds=0.01)
    return starts


def test_means_covariances_and_durations_are_those_of_the_speech(starts):
    torch.testing.assert_close(starts.mean[0], torch.full((BINS,), 3.0), atol=0.06, rtol=0)
    torch.testing.assert_close(starts.mean[1], torch.full((BINS,), -1.0), atol=0.12, rtol=0)
    mix = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.8, 0.6, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 0.1]])
    covariance = starts.factor @ starts.factor.transpose(1, 2)
    torch.testing.assert_close(covariance[0], mix @ mix.T, atol=0.06, rtol=0)
    torch.testing.assert_close(covariance[1], 4 * torch.eye(BINS), atol=0.35, rtol=0)
    assert starts.seconds[:2].tolist() == pytest.approx([0.3, 0.1])


def test_all_speech_stands_in_for_a_phone_that_never_comes(starts):
    middle = torch.tensor(([0] * 7 + [1] * 16 + [0] * 7 + [0] * 2 + [1] * 6 + [0] * 2) * 5).bool()
    everything = torch.cat([x[middle] for x, _ in utterances()])
    torch.testing.assert_close(starts.mean[2], everything.mean(0), atol=1e-4, rtol=1e-4)
    covariance = starts.factor[2] @ starts.factor[2].T
    torch.testing.assert_close(covariance, everything.T.cov(), atol=0.01, rtol=0.01)


def test_short_phones_and_the_edges_of_long_ones_do_not_count():
    labels = torch.tensor(([0] * 16 + [1] * 4) * 20 + [0] * 4)
    x = torch.zeros(len(labels), BINS)
    x[:400].reshape(20, 20, BINS)[:, 4:12] = 1.0
    starts = Starts(2, BINS)
    starts.measure([(x, labels)], frame_seconds=0.01)
    assert torch.equal(starts.mean[0], torch.ones(BINS))
    assert torch.equal(starts.mean[1], torch.ones(BINS))  # never long: all that is stands in for it


@pytest.mark.parametrize("labels", [[], [0, 0, 1, 1] * 200])
def test_speech_without_long_phones_leaves_standard_normal_starts(labels):
    starts = Starts(2, BINS)
    x = torch.randn(len(labels), BINS, generator=torch.Generator().manual_seed(0))
    starts.measure([(x, torch.tensor(labels, dtype=torch.long))], frame_seconds=0.01)
    assert torch.equal(starts.mean, torch.zeros(2, BINS))
    assert torch.equal(starts.factor, torch.eye(BINS).repeat(2, 1, 1))
    assert starts.seconds.tolist() == pytest.approx([0.02, 0.02] if labels else [0.1, 0.1])


def test_without_temperature_a_path_goes_over_from_mean_to_mean(starts):
    labels = torch.tensor([0] * 20 + [1] * 20)
    path = starts.draw(labels, 2, torch.Generator().manual_seed(0), temperature=0.0)
    assert path.shape == (2, 40, BINS)
    assert torch.equal(path[0], path[1])
    torch.testing.assert_close(path[0, :16], starts.mean[0].expand(16, -1))
    torch.testing.assert_close(path[0, 24:], starts.mean[1].expand(16, -1))
    assert (path[0, 16:24].diff(dim=0) <= 1e-6).all()


def test_starts_spread_as_the_speech_does_and_a_voice_lasts(starts):
    labels = torch.zeros(200, dtype=torch.long)
    paths = starts.draw(labels, 400, torch.Generator().manual_seed(0))
    middle = paths[:, 100]
    torch.testing.assert_close(middle.mean(0), starts.mean[0], atol=0.15, rtol=0)
    # Smoothing over 7 frames takes little from what changes over 31.
    torch.testing.assert_close(middle.std(0), torch.tensor([1.0, 1.0, 0.5, 0.1]), atol=0.1, rtol=0.1)
    far = torch.corrcoef(torch.stack([paths[:, 20, 0], paths[:, 20 + 3 * SLOW, 0]]))[0, 1]
    near = torch.corrcoef(torch.stack([paths[:, 100, 0], paths[:, 102, 0]]))[0, 1]
    assert far.item() == pytest.approx(0.5, abs=0.15)
    assert near > 0.95


def test_the_generator_decides(starts):
    labels = torch.zeros(10, dtype=torch.long)
    a, b, c = (starts.draw(labels, 1, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
