"""A speech model: features, energy model and trained descent, which load and save as one."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        generate: sampler settings of generation.
        guidance: weight of log p(y | x) in generation (see `jem.JEM.gradient`).
    """

    fbank: FbankConfig = field(default_factory=FbankConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    descent: DescentConfig = field(default_factory=DescentConfig)
    phones: tuple[str, ...] = PHONES
    denoise_mode: str = "descent"
    denoise_prior: LangevinConfig = field(default_factory=lambda: LangevinConfig(steps=10))
    generate: LangevinConfig = field(default_factory=lambda: LangevinConfig(steps=30))
    guidance: float = 2.0

    def __post_init__(self) -> None:
        if (self.network.bins, self.network.classes) != (self.fbank.bins, len(self.phones)):
            raise ValueError("the network's bins and classes must be as many as fbank's bins and the phones")


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
        self.descent = Descent(config.descent, config.fbank.bins)

    def gain(self, x: Tensor, start: Tensor) -> Tensor:
        """Real gain of every STFT bin from the movement of the frames.

        A mel bin's power changes by exp(std * (x - start)); its amplitude gain is the square root of
        that, at most 1, and the triangles of the filterbank interpolate it over frequency.

        Args:
            x, start: normalised frames after and before, shape (batch, frames, bins).

        Returns:
            Shape (batch, frames, window // 2 + 1), values in (0, 1].
        """
        gain = (0.5 * self.fbank.std * (x - start)).clamp(-12.0, 0.0).exp()
        return gain @ self._spread()

    def _spread(self) -> Tensor:
        """Weights (bins, frequencies) that sum to one at every frequency."""
        filters = self.fbank.filters
        weights = filters + 1e-9 * filters.new_ones(filters.shape)
        # Where no filter reaches, the outermost one gets the weight 1.
        covered = (filters.sum(1) > 1e-6).nonzero()[:, 0]
        weights[: covered[0], 0], weights[covered[-1] + 1 :, -1] = 1.0, 1.0
        return (weights / weights.sum(1, keepdim=True)).T
