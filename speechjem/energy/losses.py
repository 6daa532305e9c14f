"""Training losses: one function each, on logits or on frames.

Notation: F has one row an example (a real or a sampled frame) and one column a class, F[i, y] = f(x_i)[y].
Sources: JEM, Grathwohl et al. (arXiv 1912.03263); ST-JEM, Sustek et al. (arXiv 2303.04187); HDGE, Liu and
Abbeel (arXiv 2007.09070); denoising score matching, Vincent (Neural Computation 23, 2011).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from ..errors import SpeechjemError
from .jem import JEM


def label_given_example(real: Tensor, labels: Tensor) -> Tensor:
    """L_y|x: cross-entropy over the classes, averaged over the real examples.

    Args:
        real: logits of the real examples, shape (n, classes).
        labels: their classes, shape (n,).
    """
    return F.cross_entropy(real, labels)


def example_given_label(real: Tensor, labels: Tensor, sampled: Tensor) -> Tensor:
    """L_x|y of ST-JEM: cross-entropy over the *examples* of the batch, real and sampled, for each label.

        -1/n sum_i ( F[i, y_i] - log( sum_k exp F[k, y_i] + sum_j exp S[j, y_i] ) )

    For each class its gradient sums to zero over the examples, which balances positives and negatives.

    Args:
        real: logits of the real examples, shape (n, classes).
        labels: their classes, shape (n,).
        sampled: logits of the SGLD samples, shape (m, classes); m may be 0 (HDGE).
    """
    normaliser = torch.cat([real, sampled]).logsumexp(0)
    return (normaliser[labels] - real.gather(1, labels[:, None])[:, 0]).mean()


def example(real: Tensor, sampled: Tensor) -> Tensor:
    """Extension, for examples without labels: L_x|y with -E(x), the logsumexp over the classes, as the logit.

    Args:
        real: logits of the unlabelled examples, shape (n, classes).
        sampled: logits of the SGLD samples, shape (m, classes).
    """
    no_label = torch.zeros(len(real), dtype=torch.long, device=real.device)
    return example_given_label(real.logsumexp(1, keepdim=True), no_label, sampled.logsumexp(1, keepdim=True))


def st_jem(real: Tensor, labels: Tensor, sampled: Tensor) -> Tensor:
    """ST-JEM: L_y|x + L_x|y.

    log p(y|x) + log p(x|y) = log p(x, y) + pointwise mutual information of x and y.
    """
    return label_given_example(real, labels) + example_given_label(real, labels, sampled)


def hdge(real: Tensor, labels: Tensor, sampled: Tensor) -> Tensor:
    """HDGE: as ST-JEM, but the other real examples of the batch are the only negatives."""
    return st_jem(real, labels, sampled[:0])


def joint(real: Tensor, labels: Tensor, sampled: Tensor) -> Tensor:
    """ST-JEM without its mutual-information term: one softmax over examples x classes, log p(x, y)."""
    normaliser = torch.cat([real, sampled]).flatten().logsumexp(0)
    return (normaliser - real.gather(1, labels[:, None])[:, 0]).mean()


def plain_jem(real: Tensor, labels: Tensor, sampled: Tensor) -> Tensor:
    """Plain JEM: L_y|x + mean E(real) - mean E(sampled), with E = -logsumexp over the classes."""
    return label_given_example(real, labels) - real.logsumexp(1).mean() + sampled.logsumexp(1).mean()


def plain_jem_l2(real: Tensor, labels: Tensor, sampled: Tensor) -> Tensor:
    """Plain JEM with a penalty of 0.1 E^2 on the energies (Du and Mordatch 2019, arXiv 1903.08689)."""
    squares = real.logsumexp(1).square().mean() + sampled.logsumexp(1).square().mean()
    return plain_jem(real, labels, sampled) + 0.1 * squares


Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
OBJECTIVES: dict[str, Objective] = {
    "st-jem": st_jem,
    "jem": plain_jem,
    "jem-l2": plain_jem_l2,
    "hdge": hdge,
    "joint": joint,
}


def denoising_score_matching(jem: JEM, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Extension: the energy gradient at a noisy point shall point back to the clean one.

        mean | sigma * grad log p(x + sigma * noise) + noise |^2

    Args:
        jem: the energy model; log p = -E up to a constant.
        x: clean frames, shape (batch, frames, bins).
        sigma: noise levels, shape (batch, 1, 1).
        noise: standard normal, shape of x.
    """
    noisy = (x + sigma * noise).requires_grad_()
    (gradient,) = torch.autograd.grad(jem.energy(noisy).sum(), noisy, create_graph=True)
    return (noise - sigma * gradient).square().mean()


def spectral_distance(estimate: Tensor, clean: Tensor, filters: Tensor) -> Tensor:
    """Distance of an enhanced spectrum from the clean one (for the trained descent).

    Three parts: loudness, the mel power to the power 0.15 (a choice below Zwicker's and PESQ's exponent
    0.23, on a frequency scale near theirs); complex values whose magnitudes are compressed by 0.3, so that
    the gain falls where the noisy phase is wrong (Ephrat et al. 2018; Braun and Tashev 2021, arXiv
    2009.12286); and the logarithm of the SNR, so that a decibel counts the same in a good and in a bad
    recording. The weights are a choice: no trial compared others.

    Args:
        estimate, clean: complex spectra, shape (batch, frames, frequencies).
        filters: mel filters, shape (frequencies, bins).
    """
    floor = 1e-6  # keeps the derivative of |.|^0.3 finite
    power_e, power_c = (z.real.square() + z.imag.square() + floor for z in (estimate, clean))
    loudness = ((power_e @ filters) ** 0.15 - (power_c @ filters) ** 0.15).square()
    cosine = (estimate * clean.conj()).real / (power_e * power_c).sqrt()
    magnitude_e, magnitude_c = power_e**0.15, power_c**0.15
    compressed = magnitude_e.square() + magnitude_c.square() - 2 * magnitude_e * magnitude_c * cosine
    error = (power_e + power_c - 2 * cosine * (power_e * power_c).sqrt()).sum((1, 2)) / power_c.sum((1, 2))
    # Errors below 0.003, an SNR above 25 dB, hardly count any more (a choice).
    return 8 * loudness.mean() + 2 * compressed.mean() + 0.3 * torch.log1p(error / 0.003).mean()


def envelope_decorrelation(
    estimate: Tensor, clean: Tensor, bands: Tensor, frames: int = 38, stride: int = 4
) -> Tensor:
    """Extension: 1 minus a differentiable relative of ESTOI (Jensen and Taal, IEEE TASLP 24, 2016).

    In segments of `frames` frames, the band envelopes are normalised to zero mean and unit norm over time,
    then over the bands, and correlated frame by frame. Segments 30 dB below the loudest are left out (a
    choice), where ESTOI leaves out frames 40 dB below it.

    Args:
        estimate, clean: power spectra, shape (batch, frames, frequencies).
        bands: weights, shape (frequencies, bands); see `third_octaves`.
        frames: length of a segment; 38 are 380 ms at a hop of 10 ms, near ESTOI's 384 ms.
        stride: distance of two segments; 1, as in ESTOI, costs four times as much.
    """
    x, y = (((p @ bands).clamp_min(1e-9)).sqrt().unfold(1, frames, stride) for p in (estimate, clean))
    power = y.square().mean((2, 3))
    heard = power > 1e-3 * power.amax(1, keepdim=True)
    correlation = (_standard(_standard(x, 3), 2) * _standard(_standard(y, 3), 2)).sum(2).mean(-1)
    return 1 - (correlation * heard).sum() / heard.sum().clamp_min(1)


def _standard(x: Tensor, dim: int) -> Tensor:
    """x with zero mean and unit norm along a dimension."""
    x = x - x.mean(dim, keepdim=True)
    return x / (x.square().sum(dim, keepdim=True) + 1e-9).sqrt()


def third_octaves(frequencies: int, sample_rate: int) -> Tensor:
    """ESTOI's 15 third-octave bands from 150 Hz, as weights of shape (frequencies, 15)."""
    frequency = torch.linspace(0, sample_rate / 2, frequencies)[:, None]
    centre = 150 * 2 ** (torch.arange(15) / 3)
    return ((frequency >= centre * 2 ** (-1 / 6)) & (frequency < centre * 2 ** (1 / 6))).float()


class PesqDistance(torch.nn.Module):
    """Extension: differentiable approximation of PESQ's disturbance, by the package torch-pesq.

    4.5 minus the distance is the raw PESQ score (ITU-T P.862) up to the package's simplifications.

    Args:
        sample_rate: of the waveforms, in Hz.

    Raises:
        SpeechjemError: if torch-pesq is not installed.
    """

    def __init__(self, sample_rate: int):
        super().__init__()
        try:
            from torch_pesq import PesqLoss
        except ImportError as error:
            raise SpeechjemError(
                "A PESQ loss needs torch-pesq; run: pip install 'speechjem[pesq-loss]'."
            ) from error
        self.distance = PesqLoss(1.0, sample_rate=sample_rate)
        # The package's recursive filters process samples one by one, which is slow on a GPU.
        self.distance.align_level = self._aligned
        self.distance.preemphasize = self._preemphasised

    def forward(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """Mean distance of estimates from clean speech, both (batch, samples).

        Examples without speech, for which PESQ is undefined, are left out; 0 if none remains.
        """
        speech = (clean.square().mean(-1) > 1e-5).float()  # -50 dB re full scale (a choice)
        # PESQ of silence has no value: noise stands in for it, and does not count.
        noise = torch.linspace(0, 1, clean.shape[1], device=clean.device).mul(1e4).square().sin()
        clean, estimate = (
            torch.where(speech[:, None] > 0, x, scale * noise) for x, scale in ((clean, 0.1), (estimate, 0.2))
        )
        distances: Tensor = self.distance(clean, estimate)
        return (distances * speech).sum() / speech.sum().clamp_min(1)

    def _aligned(self, signal: Tensor) -> Tensor:
        """Level alignment of P.862: power 1e7 between 325 Hz and 3.25 kHz, as the package has it."""
        heard = recursively_filtered(signal, *self.distance.power_filter)
        power = heard.square().sum(1, keepdim=True) / (heard.shape[1] + 5120) / 1.04684
        aligned: Tensor = signal * (1e7 / power).sqrt()
        return aligned

    def _preemphasised(self, signal: Tensor) -> Tensor:
        """Receiving filter of P.862, after a fade of 15 samples at both ends, as the package has it."""
        ramp = torch.arange(1, 16, device=signal.device) / 16
        flat = signal.new_ones(signal.shape[1] - 2 * len(ramp))
        faded = signal * torch.cat([ramp, flat, ramp.flip(0)])
        return recursively_filtered(faded, *self.distance.pre_filter)


def recursively_filtered(x: Tensor, b: Tensor, a: Tensor, tail: int = 8192) -> Tensor:
    """x, shape (batch, samples), through the filter b(z) / a(z), by its frequency response.

    Equal to the recursion if the impulse response has decayed within `tail` samples: half a second at 16 kHz,
    far more than PESQ's filters need.
    """
    size = next_fast_len(x.shape[1] + tail, real=True)
    # Poles close to each other leave little of single precision.
    response = torch.fft.rfft(b.double(), size) / torch.fft.rfft(a.double(), size)
    spectrum = torch.fft.rfft(x, size)
    filtered: Tensor = torch.fft.irfft(spectrum * response.to(spectrum.dtype), size)
    return filtered[:, : x.shape[1]]
