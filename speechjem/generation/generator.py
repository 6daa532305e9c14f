"""Generation: phones, their durations and pitch; frames along the energy; their inversion.

In the mode descent, frames come from trained steps along E(x | pitch, voice) and a few of SGLD after them,
the pitch and the durations from rules (`prosody`). In the mode sgld they are a chain on E(x, y) from the
phones' Gaussians (`starts`), sampled with guidance: log p(y | x) beside the energy. One chain goes over all
frames of a sequence, and every phone is drawn with its neighbours in the network's context: that is where
coarticulation comes from. What the inversion leaves between the harmonics and in the pauses, the same
network denoises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from .. import audio, phones
from ..denoising.denoiser import Denoiser
from ..energy.langevin import with_given
from ..errors import UsageError
from ..features.fbank import frames_for
from ..features.inversion import griffin_lim, source_filter
from ..models import checkpoint
from ..models.speech import SpeechModel
from ..runtime.device import choose_device, own_modes
from . import modes, prosody, text
from .prosody import PAUSE, Sound
from .voice import Voice

LONGEST = 60.0  # seconds; a chain is held in memory as a whole
FADE = 0.01  # seconds
ALONE = 0.5  # seconds of a phone by itself
SLOWER = 1.2  # than the training speech, whose phones are read fluently
PACE = 1.1  # as that, of the mode descent
AROUND = 0.15  # seconds of silence around what is said in the mode descent, for its ends to sound natural
VARIETY = 0.5  # temperature of the mode descent: voices near the mean are clearer
ACCENTED = 0.4  # share of the vowels of speech without text that have an accent

Watch = Callable[[Tensor, Tensor], None]
"""Is shown chains as they move: normalised frames, (count, frames, bins), and their energies, (count,)."""


class GeneratorSettings(TypedDict, total=False):
    """What a `Generator` may be given."""

    model: SpeechModel | str | None
    mode: str | None
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
        mode: 'descent' (trained steps, then a few of SGLD) or 'sgld', as in ST-JEM; 'descent' by default, if
            the model was trained for it.
        steps, step_size, noise: sampler settings (see `langevin.LangevinConfig`); in the mode sgld as the
            model's configuration says by default, in the mode descent those of its training, and of the SGLD
            after the trained steps.
        guidance: in the mode sgld, weight of log p(y | x) beside the energy; the model's by default.
        temperature: how much utterances differ: their frames in the mode sgld; voices, durations and accents
            in the mode descent.
        like: a recording of a voice to sound like, a few seconds of speech (see `voice.Voice`).
        pitch: mean of the voice in Hz; that of `like` by default, or else one that is drawn. In the mode
            sgld, None leaves the pitch to Griffin-Lim; else the waveform comes from pulses and noise that are
            filtered (`inversion.source_filter`), as in the mode descent.
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
        mode: str | None = None,
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
        self.mode = self._mode(mode, guidance)
        config, descent = self.model.config, self.mode == "descent"
        sampler = modes.AFTER if descent else config.generate
        self.sampler = with_given(sampler, steps=steps, step_size=step_size, noise=noise)
        self.denoiser = Denoiser(self.model, device=device) if config.denoise_generated else None
        self.guidance = config.guidance if guidance is None else guidance
        usual = VARIETY if descent else config.temperature
        self.temperature = usual if temperature is None else temperature
        self.like = None if like is None else Voice.of(like.samples, like.sample_rate, self.model)
        self.pitch = self.like.pitch if self.like and pitch is None else pitch
        for name, value in (("guidance", self.guidance), ("temperature", self.temperature)):
            if not 0 <= value < math.inf:
                raise UsageError(f"The {name} must be a number of at least 0, not {value}.")
        if self.pitch is not None and not 40 <= self.pitch <= 600:
            raise UsageError(f"No voice has a pitch of {self.pitch:g} Hz; give 40 to 600.")

    def _mode(self, mode: str | None, guidance: float | None) -> str:
        """The mode asked for, or the model's own, if it is possible."""
        chosen = ("descent" if self.model.speaking else "sgld") if mode is None else mode
        if chosen not in modes.MODES:
            raise UsageError(f"There is no mode {chosen!r}; choose descent or sgld.")
        if chosen == "descent" and self.model.speaking is None:
            raise UsageError("This model has no trained steps of generation; choose the mode 'sgld'.")
        if chosen == "descent" and guidance is not None:
            raise UsageError("Guidance belongs to the mode 'sgld'; choose that, or leave it out.")
        return chosen

    @property
    def steps(self) -> int:
        """Number of steps of a chain."""
        trained = len(self.model.speaking.log_size) if self.model.speaking and self.mode == "descent" else 0
        return trained + self.sampler.steps

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
                and in a sequence about the median of the training speech, a little slower.
            seed: same seed, same waveforms (on one device).
            count: number of waveforms.
            watch: called with the start of the chains and after every step.

        Returns:
            float32, shape (count, samples), at the level of the voice, or at the model's (-26 dB RMS).

        Raises:
            UsageError: for unknown phones, or durations that are not positive, do not match, or are
                longer than a minute in all.
        """
        sounds = [Sound(name) for name in phones.parse(phonemes)]
        return self._draw(sounds, self._durations(sounds, seconds, seed), seed, count, watch)

    def say(self, words: str, *, seed: int = 0, count: int = 1, watch: Watch | None = None) -> np.ndarray:
        """Waveforms of an English text; as the call, with the phones and accents of `text.read`.

        Raises:
            UsageError: if the text has no words, or signs that are none, or is longer than a minute.
            SpeechjemError: if the package with the dictionary is not installed.
        """
        sounds = text.read(words)
        return self._draw(sounds, self._durations(sounds, None, seed), seed, count, watch)

    @own_modes()
    def anything(
        self, seconds: float, *, seed: int = 0, count: int = 1, watch: Watch | None = None
    ) -> np.ndarray:
        """Waveforms of nothing in particular; as the call.

        In the mode descent, phones follow each other as in the training speech. In the mode sgld a chain
        starts at a random sequence of phones, and is then free to go where E(x) is low.
        """
        if not 0 < seconds <= LONGEST:
            raise UsageError(
                f"The duration must be more than 0 and at most {LONGEST:.0f} s, not {seconds:g}."
            )
        sounds = self._any_sounds(seconds, seed)
        fbank, frame = self.model.config.fbank, self.model.fbank.frame_seconds
        usual = [frame * frames_for(d, fbank) for d in self._durations(sounds, None, seed)]
        last = int(np.searchsorted(np.cumsum(usual), seconds)) + 1
        lengths = [*usual[: last - 1], seconds - sum(usual[: last - 1])]
        return self._draw(sounds[:last], lengths, seed, count, watch, free=self.mode == "sgld")

    def _any_sounds(self, seconds: float, seed: int) -> list[Sound]:
        """More phones than are said in that time."""
        names, rng = self.model.config.phones, np.random.default_rng(seed % 2**64)
        count = 1 + math.ceil(seconds / prosody.SHORTEST)
        if self.model.speaking is None or self.mode == "sgld":
            sounds = [name for name in names if name != phones.SILENCE]
            return [Sound(name) for name in rng.choice(sounds, count).tolist()]
        silence = names.index(phones.SILENCE)
        drawn = prosody.draw_phones(self.model.speaking.bigrams, silence, count + 1, rng)[1:]
        lucky = rng.random(count) < ACCENTED
        return [
            Sound(names[k], bool(luck) and names[k] in prosody.VOWELS)
            for k, luck in zip(drawn, lucky, strict=True)
        ]

    def frames(
        self, labels: Tensor, seed: int, count: int, free: bool = False, watch: Watch | None = None
    ) -> Tensor:
        """Normalised frames after the last step of a chain.

        Args:
            labels: index of the phone of every frame, shape (frames,).
            seed: of the chain.
            count: number of chains.
            free: in the mode sgld, follow E(x) instead of E(x, y): the labels are only where to start.
            watch: as in the call.

        Returns:
            Shape (count, frames, bins).
        """
        index, place = labels.cpu().unique_consecutive(return_inverse=True)
        sounds = [Sound(self.model.config.phones[k]) for k in index]
        return self._frames(sounds, place, seed, count, free, watch)[0]

    def _frames(
        self, sounds: list[Sound], place: Tensor, seed: int, count: int, free: bool, watch: Watch | None
    ) -> tuple[Tensor, Tensor | None]:
        """As `frames`, and their pitch, for the sounds of an utterance and which of these every frame has."""
        with torch.no_grad():
            draw = self._spoken if self.mode == "descent" else self._sampled
            chains = draw(sounds, place, seed, count, free)
            for x in chains.states:
                if watch is not None:
                    watch(x, chains.energy(x))
        return x, chains.pitch

    def _labels(self, sounds: list[Sound], place: Tensor) -> Tensor:
        names = self.model.config.phones
        return torch.tensor([names.index(sound.phone) for sound in sounds])[place].to(self.device)

    def _sampled(self, sounds: list[Sound], place: Tensor, seed: int, count: int, free: bool) -> modes.Chains:
        labels = self._labels(sounds, place)
        # On the CPU, so that a seed means the same start on every device.
        generator = torch.Generator().manual_seed(seed)
        start = self.model.starts.draw(labels, count, generator, self.temperature)
        if self.like is not None:
            speech = labels != self.model.config.phones.index(phones.SILENCE)
            start = start + speech[:, None] * self.like.offset.to(self.device)
        wanted = None if free else labels.expand(count, -1)
        noise = torch.Generator(self.device).manual_seed(seed)
        guidance = 0.0 if free else self.guidance
        pitch = None
        if self.pitch is not None:
            voiced = torch.tensor([sound.phone in phones.VOICED for sound in sounds])[place]
            pitch = modes.falling(self.pitch, voiced).expand(count, -1)
        return modes.sampled(self.model, start, wanted, guidance, self.sampler, noise, pitch)

    def _spoken(self, sounds: list[Sound], place: Tensor, seed: int, count: int, free: bool) -> modes.Chains:
        assert self.model.speaking is not None
        labels = self._labels(sounds, place)
        voiced = self.model.speaking.voiced[labels].cpu()
        voices = modes.voices(self.model, count, seed, self.temperature, self.like, self.pitch)
        rng = np.random.default_rng(seed % 2**64)
        frame = self.model.fbank.frame_seconds
        contours = [
            prosody.contour(sounds, place, voiced, frame, rng, self.temperature) for _ in range(count)
        ]
        pitch = modes.pitch_of(torch.stack(contours), voices, voiced)
        noise = torch.Generator(self.device).manual_seed(seed)
        return modes.spoken(
            self.model, labels, pitch.to(self.device), voices.to(self.device), self.sampler, noise
        )

    def _draw(
        self,
        sounds: list[Sound],
        durations: list[float],
        seed: int,
        count: int,
        watch: Watch | None,
        free: bool = False,
    ) -> np.ndarray:
        if count < 1:
            raise UsageError(f"The number of waveforms must be at least 1, not {count}.")
        self._check(durations)
        around = 0
        if self.mode == "descent":
            around = frames_for(AROUND, self.model.config.fbank)
            silence = Sound(phones.SILENCE)
            sounds, durations = [silence, *sounds, silence], [AROUND, *durations, AROUND]
        place = self._over_time(durations)
        x, pitch = self._frames(sounds, place, seed, count, free, watch)
        log_mel = self.model.fbank.denormalise(x).cpu().numpy()
        if self.mode == "descent":
            log_mel = modes.as_lively_as_speech(log_mel)
        contours = [None] * count if pitch is None else list(pitch.cpu().numpy())
        return np.stack([self._waveform(log_mel[n], contours[n], seed + n, around) for n in range(count)])

    def _durations(
        self, sounds: list[Sound], seconds: float | Sequence[float] | None, seed: int
    ) -> list[float]:
        """Seconds of every sound."""
        if isinstance(seconds, Sequence):
            if len(seconds) != len(sounds):
                raise UsageError(
                    f"There are {len(sounds)} phones but {len(seconds)} durations; give one each."
                )
            return list(seconds)
        if seconds is not None or len(sounds) == 1:
            return [ALONE if seconds is None else seconds] * len(sounds)
        names = self.model.config.phones
        median = [self.model.starts.seconds[names.index(sound.phone)].item() for sound in sounds]
        if self.mode == "descent":
            rng = np.random.default_rng(seed % 2**64)
            return prosody.durations(sounds, [PACE * m for m in median], rng, self.temperature)
        silent = [sound.phone == phones.SILENCE for sound in sounds]
        return [PAUSE if s else SLOWER * m for s, m in zip(silent, median, strict=True)]

    @staticmethod
    def _check(durations: list[float]) -> None:
        if not all(0 < d < math.inf for d in durations):
            raise UsageError("Each phone's duration must be more than 0 seconds.")
        if sum(durations) > LONGEST:
            raise UsageError(
                f"{sum(durations):.0f} s are too long; at most {LONGEST:.0f} s can be generated."
            )

    def _over_time(self, durations: list[float]) -> Tensor:
        """Which of some sounds every frame has."""
        frames = [frames_for(d, self.model.config.fbank) for d in durations]
        place = torch.arange(len(durations)).repeat_interleave(torch.tensor(frames))
        return torch.cat([place, place[-1:]])  # frames are centred on the ends of their hops

    def _waveform(self, log_mel: np.ndarray, pitch: np.ndarray | None, seed: int, around: int) -> np.ndarray:
        """Of some frames and their pitch; `around` of them are left out at both ends."""
        config = self.model.config.fbank
        if pitch is None:
            waveform = griffin_lim(log_mel, self.model.fbank, seed)
        else:
            waveform = source_filter(log_mel, self.model.fbank, pitch, seed)
        if self.denoiser is not None:
            waveform = self.denoiser(waveform, config.sample_rate)
        waveform = waveform[around * config.hop : len(waveform) - around * config.hop].copy()
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
