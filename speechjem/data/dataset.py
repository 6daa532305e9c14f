"""Training batches from recordings in memory: a whole corpus, or a moving window of its shards.

A batch is a pure function of (seed, number): a training that resumes from a checkpoint sees the same
batches as one that was never interrupted, with nothing to save.
"""

from __future__ import annotations

import fnmatch
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import audio
from ..audio import level, rumble
from ..errors import InputError
from . import degrade, mixing
from .kaldi import Utterance, read_directory
from .recording import UNKNOWN, Recording, in_memory
from .shards import Shards, Window, are_shards

UNLABELLED = -1


class Batch(NamedTuple):
    """Excerpts, float32 (batch, samples), and labels of the clean ones, (batch, frames).

    Attributes:
        clean, noisy: waveforms.
        labels: phones, -1 where unknown.
        pitch: in Hz, float32, 0 where unvoiced; -1 where unknown, and in reverberant excerpts.
    """

    clean: Tensor
    noisy: Tensor
    labels: Tensor
    pitch: Tensor


@dataclass(frozen=True)
class Corpus:
    """All recordings of a training: speech (with and without labels) and noise, and what is held out."""

    labelled: Sequence[Recording]
    unlabelled: Sequence[Recording]
    noise: Sequence[Recording]
    held_out: Sequence[Recording]
    held_out_noise: Sequence[Recording]
    sample_rate: int

    def at(self, number: int) -> Corpus:
        """The recordings that the batch of this number is drawn from: all."""
        return self


@dataclass(frozen=True)
class StreamedCorpus(Corpus):
    """A corpus with speech in shards, a window of which is in memory; its lists have what stays in memory."""

    streams: Sequence[Shards] = ()
    _last: dict[tuple[tuple[int, ...], ...], Corpus] = field(default_factory=dict)

    def at(self, number: int) -> Corpus:
        """The recordings that the batch of this number is drawn from; the same object until the window moves.

        Raises:
            InputError: if a shard cannot be read, or no speech is aligned.
        """
        present = tuple(stream.present(number) for stream in self.streams)
        if present not in self._last:
            self._last.clear()
            self._last[present] = self._joined(number)
        return self._last[present]

    def _joined(self, number: int) -> Corpus:
        speech = [recording for stream in self.streams for recording in stream.at(number)]
        labelled = [*self.labelled, *(r for r in speech if r.alignment is not None)]
        if not labelled:
            raise InputError(
                "No utterance of these shards is aligned; write some from a directory with ali.ctm."
            )
        unlabelled = [*self.unlabelled, *(r for r in speech if r.alignment is None)]
        return Corpus(labelled, unlabelled, self.noise, self.held_out, self.held_out_noise, self.sample_rate)


def load_corpus(
    labelled: str | Path,
    unlabelled: str | Path | None,
    noise: Path | None,
    held_out_speakers: Iterable[str],
    sample_rate: int,
    allow_pipes: bool = False,
    *,
    held_out: Path | None = None,
    held_out_files: Sequence[str] = (),
    window: Window | None = None,
    seed: int = 0,
) -> Corpus:
    """Read a corpus into memory, 115 MB an hour at 16 kHz; of shards, a window at a time.

    Args:
        labelled: Kaldi data directory with ali.ctm; utterances without an alignment go to the unlabelled.
            Or shards of such a one (`shards.Shards`).
        unlabelled: folder of more clean speech, or shards, or None.
        noise: folder of noise, or None for synthetic noise only; every twentieth file, chosen by the
            checksum of its name, is held out.
        held_out_speakers: speakers to hold out for validation; those in shards are only left out.
        sample_rate: in Hz.
        allow_pipes: as in `kaldi.read_directory`.
        held_out: Kaldi data directory of more speech for validation.
        held_out_files: patterns, such as so762-01*, of the names of files in the two folders that are held
            out as well: whole speakers and whole sources.
        window: how much of the shards is in memory.
        seed: of the order of shards.

    Raises:
        InputError: if something cannot be read, or no training speech remains.
    """
    held = set(held_out_speakers)
    streams = [
        Shards(str(place), sample_rate, seed, window, held)
        for place in (labelled, unlabelled)
        if place is not None and are_shards(place)
    ]
    train: list[Recording] = []
    more: list[Recording] = []
    dev: list[Recording] = []
    directory = None if are_shards(labelled) else Path(labelled)
    for utterance, recording in _in_memory(directory, sample_rate, allow_pipes) if directory else ():
        if utterance.speaker in held:
            dev.append(recording)
        else:
            (train if utterance.alignment else more).append(recording)
    if directory and not train:
        raise InputError(f"{directory} has no aligned utterance to train on; add an ali.ctm.")
    dev += [r for _, r in _in_memory(held_out, sample_rate, allow_pipes)] if held_out else []
    if unlabelled is not None and not are_shards(unlabelled):
        for recording in _load_folder(Path(unlabelled), sample_rate):
            (dev if _matches(recording, held_out_files) else more).append(recording)
    noises = _load_folder(noise, sample_rate) if noise else []
    is_dev = [zlib.crc32(n.name.encode()) % 20 == 0 or _matches(n, held_out_files) for n in noises]
    corpus = Corpus(
        train,
        more,
        [n for n, d in zip(noises, is_dev, strict=True) if not d],
        dev,
        [n for n, d in zip(noises, is_dev, strict=True) if d],
        sample_rate,
    )
    return StreamedCorpus(**vars(corpus), streams=streams) if streams else corpus


def _in_memory(directory: Path, sample_rate: int, allow_pipes: bool) -> Iterator[tuple[Utterance, Recording]]:
    """The utterances of a data directory and their recordings, read by as many threads as there are cores."""

    def read(utterance: Utterance) -> tuple[Utterance, Recording]:
        known = utterance.alignment, utterance.pitch
        return utterance, in_memory(utterance.name, utterance.read(), sample_rate, *known)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield from threads.map(read, read_directory(directory, allow_pipes))


def _load_folder(folder: Path, sample_rate: int) -> list[Recording]:
    def read(path: Path) -> Recording:
        return in_memory(path.stem, audio.read(path), sample_rate)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(read, (source.path for source in audio.find([folder]))))


def _matches(recording: Recording, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(recording.name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class Augmentation:
    """How training excerpts are made; shares are probabilities.

    Attributes:
        snr: range of the signal-to-noise ratio in dB, uniform.
        clean: excerpts with an SNR of 40 dB, to learn to leave clean speech unchanged.
        pauses: excerpts without speech, to learn to remove noise alone entirely.
        rooms: reverberant speech; noise is reverberant independently, with the same probability.
        lines: speech and noise through a narrow band.
        slopes: speech and noise through the low-pass filter of a resampler.
        clipping: overdriven inputs.
        mu_law: inputs quantised to 8 bits.
        children: speech played at a much higher speed, without labels.
        whispers: whispered speech, without labels.
        steps: recordings whose level changes abruptly by up to 40 dB.
        bangs: one loud event, up to 50 dB above the speech.
        rumble: inputs that keep their rumble, as in a stream; it is removed from all else.
    """

    snr: tuple[float, float] = (-10.0, 25.0)
    clean: float = 0.05
    pauses: float = 0.03
    rooms: float = 0.1
    lines: float = 0.1
    slopes: float = 0.3
    clipping: float = 0.04
    mu_law: float = 0.03
    children: float = 0.08
    whispers: float = 0.03
    steps: float = 0.06
    bangs: float = 0.06
    rumble: float = 0.0


class Batches:
    """Draws batches from a corpus.

    Args:
        corpus: the recordings.
        size: excerpts per batch.
        seconds: length of an excerpt.
        hop: distance of two frames in samples.
        level: nominal level of mixtures in dB re full scale, which a running gain brings them to
            (`level`); each is drawn within +-6 dB of it.
        causal: whether that gain depends on the past only, as in a stream.
        seed: of everything.
        augmentation: how excerpts are drawn and mixed.
    """

    UNLABELLED_SHARE = 0.25
    SPEED = (0.88, 1.14)  # resampling: other pitches and vocal tracts than the corpus has
    CHILD = (1.15, 1.8)  # speeds of children

    def __init__(
        self,
        corpus: Corpus,
        size: int,
        seconds: float,
        hop: int,
        level: float,
        seed: int,
        augmentation: Augmentation | None = None,
        causal: bool = False,
    ):
        self.augmentation = augmentation or Augmentation()
        self.corpus = corpus
        self.size = size
        self.length = int(seconds * corpus.sample_rate)
        self.hop = hop
        self.level = level
        self.causal = causal
        self.seed = seed
        self._present: Corpus | None = None

    def draw(self, number: int) -> Batch:
        """The batch of this number."""
        self._hold(self.corpus.at(number))
        rng = np.random.default_rng([self.seed, number])
        # The first has labels, so that no batch is without.
        examples = [self._example(rng, place == 0) for place in range(self.size)]
        return Batch(*(torch.from_numpy(np.stack(part)) for part in zip(*examples, strict=True)))

    def _hold(self, corpus: Corpus) -> None:
        """Draw from this corpus until another one is in memory."""
        if corpus is self._present:
            return
        self._present = corpus
        self._labelled = _Pool(corpus.labelled)
        self._unlabelled = _Pool(corpus.unlabelled)
        self._speech = _Pool([*corpus.labelled, *corpus.unlabelled])
        self._noise = _Pool(corpus.noise)

    def _example(self, rng: np.random.Generator, first: bool) -> tuple[np.ndarray, ...]:
        labelled = first or not self._unlabelled or rng.random() >= self.UNLABELLED_SHARE
        recording = (self._labelled if labelled else self._unlabelled).choose(rng)
        dry, labels, pitch = self._excerpt(rng, recording, plain=first)
        if not first and rng.random() < self.augmentation.pauses:
            dry, labels = np.zeros_like(dry), np.full_like(labels, UNLABELLED)
            pitch = np.full_like(pitch, UNKNOWN)
        noise = mixing.noises(rng, self._crop_noise, self._crop_speech, self.length)
        dry = mixing.equalise(rng, dry, 5.0)
        clean, noise = (self._somewhere(rng, x) for x in (dry, noise))
        blurred = clean is not dry
        snr = 40.0 if rng.random() < self.augmentation.clean else rng.uniform(*self.augmentation.snr)
        noise /= max(mixing.rms(noise), 1e-6)
        clean, mixture = mixing.mix(clean, noise, recording.rms, snr, self.level)
        stepped, noisy = self._eventful(rng, clean, mixture)
        if blurred or noisy is not mixture:  # a step or a bang also moves the gain of what is spoken
            pitch = np.full_like(pitch, UNKNOWN)
        return *self._levelled(rng, *self._transmitted(rng, stepped, noisy)), labels, pitch

    def _eventful(
        self, rng: np.random.Generator, clean: np.ndarray, noisy: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both; sometimes with a change of level, or the noisy one with a bang."""
        if rng.random() < self.augmentation.steps:
            clean, noisy = degrade.step(rng, clean, noisy)
        if rng.random() < self.augmentation.bangs:
            loudness = 10 ** ((self.level + rng.uniform(15, 50)) / 20)
            noisy = noisy + np.float32(loudness) * degrade.bang(rng, len(noisy), self.corpus.sample_rate)
        return clean, noisy

    def _levelled(
        self, rng: np.random.Generator, clean: np.ndarray, noisy: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both with the running gain of the noisy one, as in denoising."""
        target, rate = self.level + rng.uniform(-6.0, 6.0), self.corpus.sample_rate
        if self.causal:
            # Half of the excerpts begin a stream; the others follow sound of their own level.
            gain = level.past_gain(noisy[None], target, rate, begun=rng.random() < 0.5)[0]
        else:
            gain = level.curve(noisy[None], target, rate).at(0, len(noisy))[0]
        return gain * clean, gain * noisy

    def _somewhere(self, rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        """x, sometimes in a room."""
        if rng.random() < self.augmentation.rooms:
            return degrade.reverberate(x, degrade.room(rng, self.corpus.sample_rate))
        return x

    def _transmitted(
        self, rng: np.random.Generator, clean: np.ndarray, noisy: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both; sometimes over a line or through an overdriven input; mostly without rumble."""
        if rng.random() < self.augmentation.lines:
            clean, noisy = degrade.limit_band(rng, clean, noisy, rate=self.corpus.sample_rate)
        if rng.random() < self.augmentation.slopes:
            clean, noisy = degrade.slope(rng, clean, noisy, rate=self.corpus.sample_rate)
        if rng.random() < self.augmentation.clipping:
            noisy = degrade.clip(rng, noisy)
        if rng.random() < self.augmentation.mu_law:
            noisy = degrade.mu_law(noisy)
        if rng.random() >= self.augmentation.rumble:
            noisy = rumble.removed(noisy, self.corpus.sample_rate)
        return rumble.removed(clean, self.corpus.sample_rate), noisy

    def _excerpt(self, rng: np.random.Generator, recording: Recording, plain: bool) -> tuple[np.ndarray, ...]:
        """A piece of a recording, half the time at another speed, sometimes whispered; its labels and pitch.

        Args:
            plain: keep the labels.
        """
        speed = rng.uniform(*self.SPEED) if rng.random() < 0.5 else 1.0
        child = not plain and rng.random() < self.augmentation.children
        speed = rng.uniform(*self.CHILD) if child else speed
        needed = int(np.ceil(self.length * speed)) + 1
        start, samples = _cut(rng, recording.samples, needed)
        if speed != 1.0:
            samples = audio.resample(samples, speed * self.corpus.sample_rate, self.corpus.sample_rate)
        samples = samples[: self.length]
        frames = np.arange(self.length // self.hop + 1)
        times = (start + frames * self.hop * speed) / self.corpus.sample_rate
        pitch = recording.pitch_at(times)
        pitch = np.where(pitch > 0, np.float32(speed) * pitch, pitch)
        whispered = not plain and rng.random() < self.augmentation.whispers
        if whispered:
            samples, pitch = degrade.whisper(rng, samples), np.full_like(pitch, UNKNOWN)
        if recording.alignment is None or child or whispered:
            return samples, np.full(len(frames), UNLABELLED), pitch
        return samples, recording.alignment.at(times), pitch

    def _crop_speech(self, rng: np.random.Generator, length: int) -> np.ndarray:
        return _cut(rng, self._speech.choose(rng).samples, length)[1]

    def _crop_noise(self, rng: np.random.Generator, length: int) -> np.ndarray:
        if not self._noise:
            return mixing.coloured(rng, length)
        # Clips may be mostly silent: look for a piece that is not.
        for _ in range(5):
            crop = _cut(rng, self._noise.choose(rng).samples, length)[1]
            if mixing.rms(crop) > 1e-3:
                return crop
        return mixing.coloured(rng, length)


class _Pool:
    """Recordings to draw from, with probabilities proportional to the square roots of their lengths."""

    def __init__(self, recordings: Sequence[Recording]):
        self.recordings = recordings
        self._cumulative = np.cumsum(np.sqrt([len(r.samples) for r in recordings]))

    def __len__(self) -> int:
        return len(self.recordings)

    def choose(self, rng: np.random.Generator) -> Recording:
        place = np.searchsorted(self._cumulative, rng.uniform(0, self._cumulative[-1]), side="right")
        return self.recordings[min(int(place), len(self.recordings) - 1)]


def _cut(rng: np.random.Generator, samples: np.ndarray, length: int) -> tuple[int, np.ndarray]:
    """Start and float32 samples of a random piece; zeros follow a recording that is too short."""
    start = int(rng.integers(0, max(1, len(samples) - length + 1)))
    piece = samples[start : start + length].astype(np.float32) / 32767
    return start, np.pad(piece, (0, length - len(piece)))
