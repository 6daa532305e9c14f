"""A speech model: features, energy model and trained descent, which load and save as one."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .descent import Descent, DescentConfig
from .fbank import Fbank, FbankConfig
from .jem import JEM
from .langevin import LangevinConfig
from .networks import NetworkConfig, SlidingTDNN
from .phones import PHONES


@dataclass(frozen=True)
class ModelConfig:
    """Everything a model folder's config.json holds.

    Attributes:
        phones: names of the logits, in order.
        denoise_mode: the better mode of this model, 'descent' or 'prior'.
        denoise_prior: sampler settings of the mode 'prior'.
        denoise_noise_weight: weight of the noise model in the mode 'prior'; 0 is ST-JEM's own way.
        generate: sampler settings of generation.
        guidance: weight of log p(y | x) in generation (see `jem.JEM.gradient`).
    """

    fbank: FbankConfig = field(default_factory=FbankConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    descent: DescentConfig = field(default_factory=DescentConfig)
    phones: tuple[str, ...] = PHONES
    denoise_mode: str = "descent"
    denoise_prior: LangevinConfig = field(default_factory=lambda: LangevinConfig(steps=10, decay=0.85))
    denoise_noise_weight: float = 2.0
    generate: LangevinConfig = field(default_factory=lambda: LangevinConfig(steps=30))
    guidance: float = 2.0

    def __post_init__(self) -> None:
        if (self.network.bins, self.network.classes) != (self.fbank.bins, len(self.phones)):
            raise ValueError("the network's bins and classes must be as many as fbank's bins and the phones")
        if self.network.fine not in (0, self.fbank.window // 2 + 1):
            raise ValueError("the network's fine structure must be 0 or as large as fbank's spectrum")


class SpeechModel(nn.Module):
    """One network that classifies, denoises and generates.

    Attributes:
        fbank: waveform to normalised frames and back.
        jem: logits, posteriors and energies of frames.
        descent: the trained step sizes.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.fbank = Fbank(config.fbank)
        self.jem = JEM(SlidingTDNN(config.network))
        self.descent = Descent(config.descent, config.fbank.bins, config.network.fine)

    def observe(self, spectrum: Tensor) -> Tensor:
        """Frames for the descent to start from: log-mel, and fine structure if the network takes it.

        Args:
            spectrum: complex, or its power, shape (batch, frames, window // 2 + 1).

        Returns:
            Shape (batch, frames, bins + fine).
        """
        log_mel = self.fbank.log_mel(spectrum)
        x = self.fbank.normalise(log_mel)
        if self.config.network.fine == 0:
            return x
        return torch.cat([x, self.fbank.fine(spectrum, log_mel)], -1)

    def gain(self, x: Tensor, start: Tensor) -> Tensor:
        """Real gain of every STFT bin from the movement of the frames.

        A mel bin's power changes by exp(std * (x - start)); its amplitude gain is the square root of
        that, at most 1, and the triangles of the filterbank interpolate it over frequency. The fine
        structure is a log amplitude already.

        Args:
            x, start: frames after and before, shape (batch, frames, bins) or (batch, frames, bins + fine).

        Returns:
            Shape (batch, frames, window // 2 + 1), values in (0, 1].
        """
        bins = self.config.fbank.bins
        moved = x - start
        gain = (0.5 * self.fbank.std * moved[..., :bins]).clamp(-12.0, 0.0).exp() @ self.fbank.spread
        if moved.shape[-1] > bins:
            gain = gain * moved[..., bins:].clamp(-3.0, 3.0).exp()
        return gain.clamp(max=1.0)
