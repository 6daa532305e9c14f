"""A speech model: features, energy model and trained descent, which load and save as one."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..energy.causal import network_of
from ..energy.descent import Descent, DescentConfig
from ..energy.jem import JEM
from ..energy.langevin import LangevinConfig
from ..energy.starts import Starts
from ..energy.tdnn import NetworkConfig
from ..features import phase
from ..features.fbank import Fbank, FbankConfig
from ..phones import PHONES
from ..runtime.config import check_bounds
from .speaking import Speaking, told_size

MODES = ("descent", "prior")
# What a setting may be: beyond any sensible model, but a stranger's config.json shall not take all memory.
LIMITS = {
    "fbank.sample_rate": (1000, 768_000),
    "fbank.bins": (1, 1024),
    "fbank.window": (16, 2**16),
    "fbank.hop": (1, 2**15),
    "fbank.floor": (1e-30, 1.0),
    "fbank.level": (-100.0, 100.0),
    "network.channels": (1, 2**16),
    "network.hidden": (1, 2**16),
    "network.context": (1, 10_000),
    "descent.steps": (1, 100),
    "speak.steps": (1, 100),
    "denoise_prior.steps": (1, 10_000),
    "denoise_noise_weight": (0.0, 1e6),
    "denoise_energy_weight": (0.0, 1e6),
    "generate.steps": (1, 10_000),
    "guidance": (0.0, 1e6),
    "temperature": (0.0, 1e6),
}
RESAMPLED = 0.91  # share of the band that lies below the slopes of resampling filters


@dataclass(frozen=True)
class ModelConfig:
    """Everything a model folder's config.json holds.

    Attributes:
        phones: names of the logits, in order.
        denoise_mode: the better mode of this model, 'descent' or 'prior'.
        denoise_prior: sampler settings of the mode 'prior'.
        denoise_noise_weight: weight of the noise model in the mode 'prior'; 0 is ST-JEM's own way.
        denoise_energy_weight: weight of the energy in that mode.
        speak: the trained steps of generation, for networks that are told something.
        generate: sampler settings of generation.
        guidance: weight of log p(y | x) in generation (see `jem.JEM.gradient`).
        temperature: how far generation starts from the means of the phones (see `starts.Starts.draw`).
        denoise_generated: whether what is generated is denoised, by the same network.
    """

    fbank: FbankConfig = field(default_factory=FbankConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    descent: DescentConfig = field(default_factory=DescentConfig)
    phones: tuple[str, ...] = PHONES
    denoise_mode: str = "descent"
    denoise_prior: LangevinConfig = field(
        default_factory=lambda: LangevinConfig(steps=10, decay=0.85, clamp=2.0)
    )
    denoise_noise_weight: float = 2.0
    denoise_energy_weight: float = 10.0
    speak: DescentConfig = field(default_factory=DescentConfig)
    generate: LangevinConfig = field(default_factory=lambda: LangevinConfig(steps=10, step_size=0.2))
    guidance: float = 2.0
    temperature: float = 0.4
    denoise_generated: bool = False

    def __post_init__(self) -> None:
        check_bounds(self, **LIMITS)
        if len(self.network.dilations) > 100:
            raise ValueError("setting 'dilations' must have at most 100 blocks")
        if min(self.network.dilations, default=1) < 1:
            raise ValueError("setting 'dilations' must be numbers of frames from 1")
        if self.fbank.hop > self.fbank.window // 2:
            raise ValueError("fbank's hop must be at most half its window")
        if not 0 <= self.fbank.low < self.fbank.high <= self.fbank.sample_rate / 2:
            raise ValueError("fbank's low and high must be frequencies up to half its sample rate")
        if len(set(self.phones)) < len(self.phones):
            raise ValueError("the phones must have different names")
        if self.denoise_mode not in MODES:
            raise ValueError(f"setting 'denoise_mode' must be one of {', '.join(MODES)}")
        if (self.network.bins, self.network.classes) != (self.fbank.bins, len(self.phones)):
            raise ValueError("the network's bins and classes must be as many as fbank's bins and the phones")
        if self.network.fine not in (0, self.fbank.window // 2 + 1):
            raise ValueError("the network's fine structure must be 0 or as large as fbank's spectrum")
        if self.network.phase % (2 * len(phase.LAGS)):
            raise ValueError(f"the network's phase relations must be {2 * len(phase.LAGS)} a frequency")
        if self.network.turn not in (0, self.network.fine):
            raise ValueError("the network's turn must be 0 or as large as its fine structure")
        if self.network.phase > 0 and self.network.fine == 0:
            raise ValueError("a network with phase relations needs fine structure as well")
        if self.network.told not in (0, told_size(self.fbank.bins)):
            raise ValueError(f"the network's told must be 0 or {told_size(self.fbank.bins)} values")


class SpeechModel(nn.Module):
    """One network that classifies, denoises and generates.

    Attributes:
        fbank: waveform to normalised frames and back.
        jem: logits, posteriors and energies of frames.
        descent: the trained step sizes.
        starts: where chains of generation start.
        speaking: the trained steps of generation; None if the network is told nothing.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.fbank = Fbank(config.fbank)
        self.jem = JEM(network_of(config.network))
        network = config.network
        self.descent = Descent(config.descent, config.fbank.bins, network.fine, network.turn)
        self.starts = Starts(len(config.phones), config.fbank.bins)
        told = config.network.told > 0
        self.speaking = Speaking(config.speak, config.fbank.bins, config.phones) if told else None

    def observe(self, spectrum: Tensor) -> Tensor:
        """Frames for the descent to start from: log-mel, fine structure, phase relations.

        The top of the band is not heard: it is shaped by the filter of whoever resampled the recording last.

        Args:
            spectrum: complex, shape (batch, frames, window // 2 + 1).

        Returns:
            Shape (batch, frames, bins + fine + phase), with the sizes of the network.
        """
        return self.observe_parts(spectrum.real, spectrum.imag)

    def observe_parts(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """`observe` for the real and the imaginary part of a spectrum."""
        fbank, network = self.config.fbank, self.config.network
        real, imaginary = _without_slope(real), _without_slope(imaginary)
        power = real.square() + imaginary.square()
        log_mel = self.fbank.log_mel(power)
        parts = [self.fbank.normalise(log_mel)]
        if network.fine > 0:
            parts.append(self.fbank.fine(power, log_mel))
        if network.phase > 0:
            pair = (real, imaginary)
            parts.append(phase.relations(pair, network.phase, fbank.hop, fbank.window, fbank.floor))
        return torch.cat(parts, -1)

    def gain(self, x: Tensor, start: Tensor) -> Tensor:
        """Real gain of every STFT bin from the movement of the frames.

        A mel bin's power changes by exp(std * (x - start)); its amplitude gain is the square root of
        that, at most 1, and the triangles of the filterbank interpolate it over frequency. The fine
        structure is a log amplitude already.

        Args:
            x: frames after the steps, shape (batch, frames, bins) or (batch, frames, bins + fine + turn).
            start: frames before, of that shape or as observed.

        Returns:
            Shape (batch, frames, window // 2 + 1), values in (0, 1].
        """
        bins, end = self.config.fbank.bins, self.config.fbank.bins + self.config.network.fine
        moved = 0.5 * self.fbank.std * (x[..., :bins] - start[..., :bins])
        gain = moved.clamp(-12.0, 0.0).exp() @ self.fbank.spread
        if x.shape[-1] > bins:
            gain = gain * (x[..., bins:end] - start[..., bins:end]).clamp(-3.0, 3.0).exp()
        return gain.clamp(max=1.0)

    def turned(self, spectrum: phase.Spectrum, x: Tensor, strength: float | Tensor = 1.0) -> phase.Spectrum:
        """A spectrum whose phases are turned as the frames say; as it is, if these have no turn.

        Args:
            spectrum: real and imaginary parts, shape (batch, frames, window // 2 + 1).
            x: as in `gain`.
            strength: share of the turn.
        """
        end = self.config.fbank.bins + self.config.network.fine
        if x.shape[-1] == self.config.fbank.bins or self.config.network.turn == 0:
            return spectrum
        angle = strength * x[..., end:]
        return phase.times(spectrum, (angle.cos(), angle.sin()))


def _without_slope(spectrum: Tensor) -> Tensor:
    """A spectrum whose top is mirrored from what lies below."""
    edge = int(RESAMPLED * spectrum.shape[-1])
    count = spectrum.shape[-1] - edge
    return torch.cat([spectrum[..., :edge], spectrum[..., edge - count : edge].flip(-1)], -1)
