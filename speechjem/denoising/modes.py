"""The two ways to follow the energy: `descent`, the trained steps, and `prior`, SGLD on E(x) as in ST-JEM.

The second is that of Sustek et al. (arXiv 2303.04187), joined by a model of how noise adds (`noise_model`).
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from typing import Protocol

import torch
from torch import Tensor

from ..energy.jem import JEM
from ..energy.langevin import sample, with_given
from ..errors import UsageError
from ..models.speech import MODES, SpeechModel
from .noise_model import NoiseModel

# Steps reach further and further; what comes from 3 s away changes the output by less than -95 dB.
FADED = 300  # frames
EDGE = 4  # frames that the STFT's window and the phase relations reach


@dataclasses.dataclass(frozen=True)
class Steps:
    """What a user may ask of a mode; None is what the model is set to.

    Attributes:
        count: number of steps.
        size: factor on the trained step sizes, or SGLD's step size.
        noise: standard deviation of the noise added after each step, in units of normalised frames, or
            relative to the square root of the step size.

    Raises:
        UsageError: for a value out of its range.
    """

    count: int | None = None
    size: float | None = None
    noise: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("step size", self.size), ("noise", self.noise)):
            if value is not None and not 0 <= value < float("inf"):
                raise UsageError(f"The {name} must be a number of at least 0, not {value}.")


class Mode(Protocol):
    """One way to follow the energy.

    Attributes:
        context: frames before it that matter for the gain of a frame.
        ahead: those after it.
        draws: whether noise is added, so that channels must not share a generator.
        label: its name and settings.
    """

    @property
    def context(self) -> int: ...

    @property
    def ahead(self) -> int: ...

    @property
    def draws(self) -> bool: ...

    @property
    def label(self) -> str: ...

    def observe(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Frames to start from, shape (batch, frames, size), of a spectrum's real and imaginary part."""

    def follow(self, noisy: Tensor, generator: torch.Generator | None) -> Tensor:
        """Frames after the last step, without phase relations; differentiable where the mode is."""


class DescentMode:
    """The steps that were trained to denoise.

    Args:
        model: of the frames.
        jem: its energy, or a copy in another precision.
        wanted: by default all trained steps, of their trained sizes, without noise.

    Raises:
        UsageError: if more steps are asked for than were trained.
    """

    def __init__(self, model: SpeechModel, jem: JEM, wanted: Steps):
        self.model, self.jem = model, jem
        self.steps = model.config.descent.steps if wanted.count is None else wanted.count
        self.scale = 1.0 if wanted.size is None else wanted.size
        self.noise = 0.0 if wanted.noise is None else wanted.noise
        model.descent.check(self.steps)

    @property
    def context(self) -> int:
        network = self.model.config.network
        if network.causal:  # what a frame hears does not fade, and is not much
            return self.steps * network.context + EDGE
        # A step's gradient reaches two contexts to either side.
        return min(2 * self.steps * network.context + EDGE, FADED)

    @property
    def ahead(self) -> int:
        return EDGE if self.model.config.network.causal else self.context

    @property
    def draws(self) -> bool:
        return self.noise > 0

    @property
    def label(self) -> str:
        return f"descent steps {self.steps} size {self.scale:g} noise {self.noise:g}"

    def observe(self, real: Tensor, imaginary: Tensor) -> Tensor:
        return self.model.observe_parts(real, imaginary)

    def follow(self, noisy: Tensor, generator: torch.Generator | None) -> Tensor:
        steps = self.model.descent.steps(self.jem, noisy, self.steps, self.scale, self.noise, generator)
        return deque(steps, maxlen=1).pop()[0]


class PriorMode:
    """SGLD on E(x), which knows the envelope only, and on the energy of noisy frames given the clean ones.

    Args:
        model, jem: as in `DescentMode`.
        wanted: by default what the model's configuration says.
    """

    context = ahead = FADED

    def __init__(self, model: SpeechModel, jem: JEM, wanted: Steps):
        self.model, self.jem = model, jem
        self.sampler = with_given(
            model.config.denoise_prior, steps=wanted.count, step_size=wanted.size, noise=wanted.noise
        )

    @property
    def draws(self) -> bool:
        return self.sampler.noise > 0

    @property
    def label(self) -> str:
        sampler = self.sampler
        return f"prior steps {sampler.steps} size {sampler.step_size:g} noise {sampler.noise:g}"

    def observe(self, real: Tensor, imaginary: Tensor) -> Tensor:
        fbank = self.model.fbank
        return fbank.normalise(fbank.log_mel(real.square() + imaginary.square()))

    def follow(self, noisy: Tensor, generator: torch.Generator | None) -> Tensor:
        config, bound = self.model.config, self.sampler.clamp or math.inf
        noise_model = NoiseModel(self.model.fbank, noisy, config.denoise_noise_weight)

        def gradient(x: Tensor) -> Tensor:
            # Each is bounded by itself: of their sum, the noise model's alone would be heard.
            energy = config.denoise_energy_weight * self.jem.gradient(x)
            return energy.clamp(-bound, bound) + noise_model.gradient(x).clamp(-bound, bound)

        return sample(gradient, noisy, dataclasses.replace(self.sampler, clamp=0.0), generator)


def make(name: str, model: SpeechModel, jem: JEM, wanted: Steps) -> Mode:
    """The mode of a name; raises UsageError if there is none, or as the mode does."""
    if name not in MODES:
        raise UsageError(f"There is no mode {name!r}; choose from: {', '.join(MODES)}.")
    if wanted.count is not None and wanted.count < 1:
        raise UsageError(f"{wanted.count} steps are too few; use --strength 0 for an untouched output.")
    return DescentMode(model, jem, wanted) if name == "descent" else PriorMode(model, jem, wanted)
