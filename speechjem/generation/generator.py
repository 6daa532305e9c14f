"""Generation: SGLD on E(x, y) over the frames of the phones asked for, then inversion.

One chain goes over all frames of a sequence, and every phone is drawn with its neighbours in the network's
context: that is where coarticulation comes from. Chains start at the phones' Gaussians (`starts`) and are
sampled with guidance: log p(y | x) beside the energy. E(x, y) alone wanders to frames that all classes like.
What the inversion leaves between the harmonics and in the pauses, the same network denoises.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from .. import audio, phones
from ..denoising.denoiser import Denoiser
from ..energy.langevin import sgld, with_given
from ..errors import UsageError
from ..features.fbank import frames_for
from ..features.inversion import griffin_lim, source_filter
from ..models import checkpoint
from ..models.speech import SpeechModel
from ..runtime.device import choose_device, own_modes
from . import text
from .voice import Voice

LONGEST = 60.0  # seconds; a chain is held in memory as a whole
FADE = 0.01  # seconds
ALONE = 0.5  # seconds of a phone by itself
SLOWER = 1.2  # than the training speech, whose phones are read fluently
PAUSE = 0.2  # seconds of silence at the ends of a text and at its punctuation

Watch = Callable[[Tensor, Tensor], None]
"""Is shown chains as they move: normalised frames, (count, frames, bins), and their energies, (count,)."""


class GeneratorSettings(TypedDict, total=False):
    """What a `Generator` may be given."""

    model: SpeechModel | str | None
    steps: int | None
    step_size: float | None
    noise: float | None
    guidance: float | None
    temperature: float | None
    like: audio.Audio | None
    pitch: float | None
    device: str


class Generator:
    """Draws utterances of phones, of texts, or of nothing in particular.

    Args:
        model: a loaded model, or the name of one (`checkpoint.locate`); the shipped model by default.
        steps, step_size, noise: sampler settings, as the model's configuration says by default
            (see `langevin.LangevinConfig`).
        guidance: weight of log p(y | x) beside the energy; the model's by default.
        temperature: how much utterances differ; 0 starts all of them at the phones' means.
        like: a recording of a voice to sound like, a few seconds of speech (see `voice.Voice`).
        pitch: of the voice in Hz: the waveform then comes from pulses and noise that are filtered
            (`inversion.source_filter`); None leaves the pitch to Griffin-Lim. That of `like` by default.
        device: 'auto', 'cpu', 'cuda' or 'mps'.

    Raises:
        UsageError: for a setting out of its range.
        InputError: if there is no speech in the recording of the voice.
        ModelError: if the model cannot be loaded.
    """

    @own_modes()
    def __init__(
        self,
        model: SpeechModel | str | None = None,
        *,
        steps: int | None = None,
        step_size: float | None = None,
        noise: float | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        like: audio.Audio | None = None,
        pitch: float | None = None,
        device: str = "auto",
    ):
        self.device = choose_device(device)
        self.model = checkpoint.given(model, self.device)
        self.sampler = with_given(self.model.config.generate, steps=steps, step_size=step_size, noise=noise)
        self.denoiser = Denoiser(self.model, device=device) if self.model.config.denoise_generated else None
        self.guidance = self.model.config.guidance if guidance is None else guidance
        self.temperature = self.model.config.temperature if temperature is None else temperature
        self.like = None if like is None else Voice.of(like.samples, like.sample_rate, self.model)
        self.pitch = self.like.pitch if self.like and pitch is None else pitch
        for name, value in (("guidance", self.guidance), ("temperature", self.temperature)):
            if not 0 <= value < math.inf:
                raise UsageError(f"The {name} must be a number of at least 0, not {value}.")
        if self.pitch is not None and not 40 <= self.pitch <= 600:
            raise UsageError(f"No voice has a pitch of {self.pitch:g} Hz; give 40 to 600.")

    @property
    def sample_rate(self) -> int:
        """Sample rate of the waveforms, in Hz."""
        return self.model.config.fbank.sample_rate

    @own_modes()
    def __call__(
        self,
        phonemes: str | Iterable[str],
        seconds: float | Sequence[float] | None = None,
        *,
        seed: int = 0,
        count: int = 1,
        watch: Watch | None = None,
    ) -> np.ndarray:
        """Waveforms of a phone or of a sequence of phones.

        Args:
            phonemes: names, such as "aa", "hh ah l ow" or ["HH", "AH"].
            seconds: duration of each phone: one for all, or one each. By default 0.5 for a phone by itself,
                and in a sequence the median of the training speech, 1.2 times as slow.
            seed: same seed, same waveforms (on one device).
            count: number of waveforms.
            watch: called with the start of the chains and after every step.

        Returns:
            float32, shape (count, samples), at the level of the voice, or at the model's (-26 dB RMS).

        Raises:
            UsageError: for unknown phones, or durations that are not positive, do not match, or are
                longer than a minute in all.
        """
        names = phones.parse(phonemes)
        return self._draw(self._labels(names, self._durations(names, seconds)), seed, count, watch)

    def say(self, words: str, *, seed: int = 0, count: int = 1, watch: Watch | None = None) -> np.ndarray:
        """Waveforms of an English text; as the call, with the phones of `text.pronounce`.

        Raises:
            UsageError: if the text has no words, or signs that are none, or is longer than a minute.
            SpeechjemError: if the package with the dictionary is not installed.
        """
        names = text.pronounce(words)
        durations = self._durations(names, None)
        pauses = [PAUSE if n == phones.SILENCE else d for n, d in zip(names, durations, strict=True)]
        return self._draw(self._labels(names, pauses), seed, count, watch)

    @own_modes()
    def anything(
        self, seconds: float, *, seed: int = 0, count: int = 1, watch: Watch | None = None
    ) -> np.ndarray:
        """Waveforms from E(x), no phone being asked for; as the call.

        A chain starts at a random sequence of phones, and is then free to go where E(x) is low.
        """
        if not 0 < seconds <= LONGEST:
            raise UsageError(
                f"The duration must be more than 0 and at most {LONGEST:.0f} s, not {seconds:g}."
            )
        sounds = [name for name in self.model.config.phones if name != phones.SILENCE]
        frames = frames_for(seconds, self.model.config.fbank) + 1
        # As many as there are frames are enough, since none lasts less than one.
        names = np.random.default_rng(seed).choice(sounds, frames).tolist()
        labels = self._over_time(names, self._durations(names, None))[:frames]
        return self._draw(labels, seed, count, watch, free=True)

    def frames(
        self, labels: Tensor, seed: int, count: int, free: bool = False, watch: Watch | None = None
    ) -> Tensor:
        """Normalised frames after the last step of a chain.

        Args:
            labels: index of the phone of every frame, shape (frames,).
            seed: of the chain.
            count: number of chains.
            free: follow E(x) instead of E(x, y): the labels are only where to start.
            watch: as in the call.

        Returns:
            Shape (count, frames, bins).
        """
        # On the CPU, so that a seed means the same start on every device.
        generator = torch.Generator().manual_seed(seed)
        labels = labels.to(self.device)
        start = self.model.starts.draw(labels, count, generator, self.temperature)
        if self.like is not None:
            speech = labels != self.model.config.phones.index(phones.SILENCE)
            start = start + speech[:, None] * self.like.offset.to(self.device)
        noise = torch.Generator(self.device).manual_seed(seed)
        wanted = None if free else labels.expand(count, -1)
        guidance = 0.0 if free else self.guidance
        jem = self.model.jem
        chain = sgld(lambda x: jem.gradient(x, wanted, guidance), start, self.sampler, noise)
        for x in itertools.chain([start], chain):
            if watch is not None:
                with torch.no_grad():
                    watch(x, jem.energy(x, wanted))
        return x

    def _draw(
        self, labels: Tensor, seed: int, count: int, watch: Watch | None, free: bool = False
    ) -> np.ndarray:
        if count < 1:
            raise UsageError(f"The number of waveforms must be at least 1, not {count}.")
        x = self.frames(labels, seed, count, free, watch)
        log_mel = self.model.fbank.denormalise(x).cpu().numpy()
        return np.stack([self._waveform(frames, labels, seed + n) for n, frames in enumerate(log_mel)])

    def _durations(self, names: list[str], seconds: float | Sequence[float] | None) -> list[float]:
        """Seconds of every phone."""
        if seconds is None and len(names) > 1:
            median = self.model.starts.seconds
            return [SLOWER * median[self.model.config.phones.index(name)].item() for name in names]
        if isinstance(seconds, Sequence):
            if len(seconds) != len(names):
                raise UsageError(
                    f"There are {len(names)} phones but {len(seconds)} durations; give one each."
                )
            return list(seconds)
        return [ALONE if seconds is None else seconds] * len(names)

    def _labels(self, names: list[str], durations: list[float]) -> Tensor:
        """Class of every frame, if the durations are possible."""
        if not all(0 < d < math.inf for d in durations):
            raise UsageError("Each phone's duration must be more than 0 seconds.")
        if sum(durations) > LONGEST:
            raise UsageError(
                f"{sum(durations):.0f} s are too long; at most {LONGEST:.0f} s can be generated."
            )
        return self._over_time(names, durations)

    def _over_time(self, names: list[str], durations: list[float]) -> Tensor:
        index = [self.model.config.phones.index(name) for name in names]
        frames = [frames_for(d, self.model.config.fbank) for d in durations]
        labels = torch.tensor(index).repeat_interleave(torch.tensor(frames))
        return torch.cat([labels, labels[-1:]])  # frames are centred on the ends of their hops

    def _waveform(self, log_mel: np.ndarray, labels: Tensor, seed: int) -> np.ndarray:
        config = self.model.config.fbank
        if self.pitch is None:
            waveform = griffin_lim(log_mel, self.model.fbank, seed)
        else:
            voiced = np.array([name in phones.VOICED for name in self.model.config.phones])[labels]
            waveform = source_filter(log_mel, self.model.fbank, voiced, self.pitch, seed)
        if self.denoiser is not None:
            waveform = self.denoiser(waveform, config.sample_rate)
        fade = min(len(waveform) // 2, round(FADE * config.sample_rate))
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        waveform[:fade] *= ramp
        waveform[len(waveform) - fade :] *= ramp[::-1]
        rms = float(np.sqrt(np.mean(waveform**2)))
        level = config.level if self.like is None else self.like.level
        gain = 10 ** (level / 20) / max(rms, 1e-6)
        waveform *= np.float32(min(gain, 0.9 / max(float(np.abs(waveform).max()), 1e-6)))
        return waveform


def generate(
    phonemes: str | Iterable[str],
    seconds: float | Sequence[float] | None = None,
    *,
    seed: int = 0,
    **settings: Unpack[GeneratorSettings],
) -> np.ndarray:
    """One waveform at the model's rate (16 kHz), shape (samples,); see `Generator` for the arguments.

    Examples:
        >>> generate("aa", seconds=0.2).shape
        (3200,)
    """
    waveform: np.ndarray = Generator(**settings)(phonemes, seconds, seed=seed)[0]
    return waveform
