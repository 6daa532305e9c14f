"""Every loss on a case small enough for a pocket calculator, its gradient, and the identities behind it."""

import itertools
import math
from pathlib import Path

import numpy as np
import pesq
import pytest
import soundfile
import torch
from pystoi import stoi
from pystoi.utils import thirdoct
from torch import nn

from speechjem.energy import losses
from speechjem.energy.jem import JEM
from speechjem.energy.tdnn import NetworkConfig, SlidingTDNN
from speechjem.features.fbank import Fbank, FbankConfig, mel_filters

# Two real examples of the classes 0 and 1, one sample; columns are classes.
REAL = torch.tensor([[1.0, 0.0], [0.5, 2.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 1])
SAMPLED = torch.tensor([[0.0, -1.0]], dtype=torch.float64)

e, log = math.exp, math.log
CLASSES = -((1 - log(e(1) + e(0))) + (2 - log(e(0.5) + e(2)))) / 2
EXAMPLES = -((1 - log(e(1) + e(0.5) + e(0))) + (2 - log(e(0) + e(2) + e(-1)))) / 2
REAL_ONLY = -((1 - log(e(1) + e(0.5))) + (2 - log(e(0) + e(2)))) / 2
BOTH = -(1 + 2) / 2 + log(e(1) + e(0) + e(0.5) + e(2) + e(0) + e(-1))
PLAIN = CLASSES - (log(e(1) + e(0)) + log(e(0.5) + e(2))) / 2 + log(e(0) + e(-1))
SQUARES = (log(e(1) + e(0)) ** 2 + log(e(0.5) + e(2)) ** 2) / 2 + log(e(0) + e(-1)) ** 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("st-jem", CLASSES + EXAMPLES),
        ("hdge", CLASSES + REAL_ONLY),
        ("joint", BOTH),
        ("jem", PLAIN),
        ("jem-l2", PLAIN + 0.1 * SQUARES),
    ],
)
def test_objective_by_hand(name, value):
    assert losses.OBJECTIVES[name](REAL, LABELS, SAMPLED).item() == pytest.approx(value)


def test_unlabelled_examples_by_hand():
    real, sampled = (
        torch.tensor([[log(2), 0.0], [0.0, 0.0]]).double(),
        torch.tensor([[log(5), 0.0]]).double(),
    )
    # Their exp(-E) are 3, 2 and 6.
    assert losses.example(real, sampled).item() == pytest.approx(-(log(3 / 11) + log(2 / 11)) / 2)


def random_logits(examples, classes=4, seed=0):
    logits = torch.randn(
        examples, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return logits.requires_grad_()


@pytest.mark.parametrize("name", losses.OBJECTIVES)
def test_objective_gradient_against_finite_differences(name):
    labels = torch.tensor([0, 3, 3, 1, 2])
    inputs = (random_logits(5), random_logits(3, seed=1))
    assert torch.autograd.gradcheck(lambda r, s: losses.OBJECTIVES[name](r, labels, s), inputs)


def test_st_jem_balances_examples_for_every_class():
    real, sampled = random_logits(6), random_logits(4, seed=1)
    losses.example_given_label(real, torch.tensor([0, 0, 1, 2, 2, 2]), sampled).backward()
    total = real.grad.sum(0) + sampled.grad.sum(0)
    torch.testing.assert_close(total, torch.zeros_like(total))
    assert real.grad.abs().max() > 0.01


def test_a_constant_added_to_all_energies_changes_nothing():
    labels = torch.tensor([0, 1, 2])
    real, sampled = random_logits(3).detach(), random_logits(2, seed=1).detach()
    for name in losses.OBJECTIVES.keys() - {"jem-l2"}:  # whose penalty is there to hold the level
        objective = losses.OBJECTIVES[name]
        assert objective(real + 7, labels, sampled + 7).item() == pytest.approx(
            objective(real, labels, sampled).item()
        ), name


def test_plain_jem_has_no_lower_bound_and_st_jem_has():
    """Energies of samples that run away pull plain JEM down for ever; ST-JEM only gains what it can."""
    labels, real = torch.tensor([0, 1, 2]), random_logits(3).detach()
    sampled = random_logits(2, seed=1).detach()
    plain = [losses.plain_jem(real, labels, sampled - shift).item() for shift in (0, 100, 10000)]
    stable = [losses.st_jem(real, labels, sampled - shift).item() for shift in (0, 100, 10000)]
    assert plain[2] < plain[1] - 9000
    assert stable[2] == pytest.approx(losses.hdge(real, labels, sampled).item())
    assert stable[2] > 0


def test_both_terms_are_the_joint_likelihood_and_the_mutual_information():
    """log p(y|x) + log p(x|y) = log p(x, y) + log p(x, y) / (p(x) p(y)), p over examples x classes."""
    logits = random_logits(5).detach()
    labels = torch.tensor([2, 0, 1, 3, 3])
    p = logits.exp() / logits.exp().sum()
    right = torch.stack(
        [p[i, y].log() + (p[i, y] / (p[i].sum() * p[:, y].sum())).log() for i, y in enumerate(labels)]
    )
    assert losses.hdge(logits, labels, logits[:0]).item() == pytest.approx(-right.mean().item())


class Gaussian(nn.Module):
    """Two equal logits whose energy is |x|^2 / (2 v) up to a constant."""

    def __init__(self, variance):
        super().__init__()
        self.variance = nn.Parameter(torch.tensor(variance, dtype=torch.float64))

    def forward(self, x):
        logit = -x.square().sum(-1, keepdim=True) / (2 * self.variance)
        return torch.cat([logit, logit], -1)


def gaussian_data(examples=4000, frames=3, bins=2):
    random = torch.Generator().manual_seed(0)
    draw = [torch.randn(examples, frames, bins, dtype=torch.float64, generator=random) for _ in range(2)]
    return draw[0], draw[1]


def test_score_matching_is_least_at_the_true_score():
    """Data of variance 1 with noise of variance s^2 has variance 1 + s^2: that Gaussian's energy wins."""
    x, noise = gaussian_data()
    sigma = torch.full((len(x), 1, 1), 0.5, dtype=torch.float64)
    loss = {
        v: losses.denoising_score_matching(JEM(Gaussian(v)), x, sigma, noise).item() for v in (0.8, 1.25, 2.0)
    }
    assert loss[1.25] < min(loss[0.8], loss[2.0])
    # With the true score, sigma * score + noise is what remains unknown of the noise: variance 1 / (1 + s^2).
    assert loss[1.25] == pytest.approx(1 / 1.25, rel=0.03)


def test_score_matching_gradient_against_finite_differences():
    x, noise = gaussian_data(5)
    sigma = torch.full((5, 1, 1), 0.7, dtype=torch.float64)

    def loss(variance):
        return losses.denoising_score_matching(JEM(Gaussian(variance)), x, sigma, noise)

    jem = JEM(Gaussian(1.3))
    losses.denoising_score_matching(jem, x, sigma, noise).backward()
    numeric = (loss(1.3 + 1e-5) - loss(1.3 - 1e-5)) / 2e-5
    assert jem.network.variance.grad.item() == pytest.approx(numeric.item(), rel=1e-5)


def spectra(seed=0, frames=4, bins=257):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(2, frames, bins, dtype=torch.complex64, generator=random) for _ in range(2)]


SAMPLES = Path(__file__).parents[1] / "samples"


def mixtures():
    """Clean speech (samples,), and mixtures with its noise at falling levels (n, samples)."""
    clean, noisy = (
        soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")[0] for name in ("clean", "noisy")
    )
    levels = (1.0, 0.4, 0.15, 0.06, 0.02)
    return clean, np.stack([clean + level * (noisy - clean) for level in levels])


def test_pesq_distance_follows_pesq():
    clean, mixed = mixtures()
    measured = [pesq.pesq(16000, clean, x, "wb") for x in mixed]
    distance = losses.PesqDistance(16000)
    found = [distance(torch.from_numpy(x)[None], torch.from_numpy(clean)[None]).item() for x in mixed]
    raw = 4.5 - np.array(found)
    mapped = 0.999 + 4 / (1 + np.exp(-1.3669 * raw + 3.8224))  # ITU-T P.862.2
    np.testing.assert_allclose(mapped, measured, atol=0.35)


def test_pesq_distance_has_a_finite_gradient_and_leaves_silence_out():
    clean, mixed = mixtures()
    estimate = torch.from_numpy(mixed[:2, :32000].copy()).requires_grad_()
    reference = torch.stack([torch.from_numpy(clean[:32000]), torch.zeros(32000)])
    losses.PesqDistance(16000)(estimate, reference).backward()
    assert estimate.grad[0].abs().max() > 0
    assert estimate.grad.isfinite().all()
    assert not estimate.grad[1].any()
    assert losses.PesqDistance(16000)(estimate[1:], reference[1:]) == 0


FILTERS = mel_filters(FbankConfig())


def test_spectral_distance_is_zero_for_the_clean_spectrum_and_grows_with_the_distance():
    clean, noise = spectra()
    values = [losses.spectral_distance(clean + a * noise, clean, FILTERS) for a in (0, 0.2, 0.5)]
    assert values[0].item() == pytest.approx(0, abs=1e-3)
    assert values[0] < values[1] < values[2]


def test_spectral_distance_falls_towards_the_best_real_gain():
    clean, noise = spectra()
    noisy = clean + noise
    best = ((clean * noisy.conj()).real / noisy.abs().square()).clamp(0, 1)
    path = [
        losses.spectral_distance((1 + t * (best - 1)) * noisy, clean, FILTERS).item()
        for t in (0.0, 0.4, 0.8, 1.0)
    ]
    assert all(a > b for a, b in itertools.pairwise(path[:3]))
    assert path[3] < path[0] / 1.5


def test_spectral_distance_gradient_against_finite_differences():
    clean, noise = (s[:1, :2].to(torch.complex128) for s in spectra())
    gain = torch.rand(clean.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gain = (0.2 + 0.7 * gain).requires_grad_()
    filters = FILTERS.double()
    assert torch.autograd.gradcheck(
        lambda g: losses.spectral_distance(g * (clean + noise), clean, filters), gain, fast_mode=True
    )


def test_both_terms_are_the_joint_likelihood_and_the_mutual_information_with_samples_too():
    labels = torch.tensor([2, 0, 1, 3, 3])
    real, sampled = random_logits(5).detach(), random_logits(3, seed=1).detach()
    p = torch.cat([real, sampled]).exp()
    p = p / p.sum()
    p_xy = p[torch.arange(5), labels]
    information = (p_xy / (p.sum(1)[:5] * p.sum(0)[labels])).log()
    assert losses.st_jem(real, labels, sampled).item() == pytest.approx(
        -(p_xy.log() + information).mean().item()
    )


def test_joint_balances_real_and_sampled_examples():
    real, sampled = random_logits(6), random_logits(4, seed=1)
    losses.joint(real, torch.tensor([0, 0, 1, 2, 2, 2]), sampled).backward()
    assert (real.grad.sum() + sampled.grad.sum()).item() == pytest.approx(0, abs=1e-12)
    assert sampled.grad.sum() > 0.01


def test_score_matching_gradient_through_the_network_against_finite_differences():
    torch.manual_seed(0)
    network = SlidingTDNN(NetworkConfig(bins=3, classes=2, channels=4, hidden=5, dilations=(1, 2))).double()
    x, noise = gaussian_data(2, frames=7, bins=3)
    sigma = torch.tensor([0.3, 1.0], dtype=torch.float64)[:, None, None]

    def loss():
        return losses.denoising_score_matching(JEM(network), x, sigma, noise)

    loss().backward()
    for name, parameter in network.named_parameters():
        direction, value = torch.randn_like(parameter), parameter.data.clone()
        sides = []
        for shift in (1e-5, -1e-5):
            parameter.data = value + shift * direction
            sides.append(loss().item())
        parameter.data = value
        numeric = (sides[0] - sides[1]) / 2e-5
        assert (parameter.grad * direction).sum().item() == pytest.approx(numeric, rel=1e-5, abs=1e-9), name


def test_spectral_distance_by_hand():
    """One bin: noisy 4i with gain 1/2 is 2i, at a right angle to the clean 1; its error energy is 4 + 1."""
    noisy, clean = (torch.tensor([[[z]]], dtype=torch.complex128) for z in (4j, 1))
    gain, one = (torch.full(shape, v, dtype=torch.float64) for shape, v in (((1, 1, 1), 0.5), ((1, 1), 1.0)))
    expected = 8 * (4**0.15 - 1) ** 2 + 2 * (2**0.6 + 1) + 0.3 * log(1 + 5 / 0.003)
    assert losses.spectral_distance(gain * noisy, clean, one).item() == pytest.approx(expected, rel=1e-5)


def test_spectral_distance_falls_all_the_way_to_the_best_gain_of_a_real_mixture():
    clean, mixed = mixtures()
    fbank = Fbank(FbankConfig())
    level = fbank.level_gain(torch.from_numpy(mixed[0]))
    noisy, clean = (fbank.stft(level * torch.from_numpy(x))[None] for x in (mixed[0], clean))
    best = ((clean * noisy.conj()).real / noisy.abs().square().clamp_min(1e-12)).clamp(0, 1)
    path = [
        losses.spectral_distance((1 + t / 10 * (best - 1)) * noisy, clean, FILTERS).item() for t in range(11)
    ]
    assert all(a > b for a, b in itertools.pairwise(path))


def test_spectral_distance_has_a_finite_gradient_in_silence():
    silence = torch.zeros(1, 3, 257, dtype=torch.complex64)
    gain = torch.zeros(1, 3, 257, requires_grad=True)
    losses.spectral_distance(gain * silence, silence, FILTERS).backward()
    assert gain.grad.isfinite().all()


def test_envelope_decorrelation_is_near_to_estoi():
    """On real speech at several SNRs, against pystoi, which resamples and drops silent frames."""
    fbank, bands = Fbank(FbankConfig()), losses.third_octaves(257, 16000)
    clean, mixed = mixtures()
    for noisy in mixed:
        powers = (fbank.stft(torch.from_numpy(x))[None].abs().square() for x in (noisy, clean))
        ours = 1 - losses.envelope_decorrelation(*powers, bands).item()
        assert ours == pytest.approx(stoi(clean, noisy, 16000, extended=True), abs=0.08)


def test_envelope_decorrelation_is_zero_for_any_scale_of_the_clean_speech():
    power = torch.rand(2, 100, 257, generator=torch.Generator().manual_seed(0))
    loss = losses.envelope_decorrelation(5 * power, power, losses.third_octaves(257, 16000))
    assert loss.item() == pytest.approx(0, abs=1e-4)


def test_third_octaves_have_the_edges_of_estoi():
    """Edges of 150 * 2^(k / 3 -+ 1 / 6) Hz, as pystoi's own matrix has them at its resolution."""
    expected, _ = thirdoct(10000, 512, 15, 150)
    found = losses.third_octaves(257, 10000).T.numpy()
    assert np.abs(found.sum(1) - expected.sum(1)).max() <= 1


def test_envelope_decorrelation_has_a_finite_gradient_in_silence():
    power = torch.zeros(1, 60, 257, requires_grad=True)
    losses.envelope_decorrelation(power, torch.zeros(1, 60, 257), losses.third_octaves(257, 16000)).backward()
    assert power.grad.isfinite().all()
