"""Training batches from recordings held in memory, all of them or a window of shards that moves.

A batch is a pure function of (seed, number): a training that goes on from a checkpoint sees the same
batches as one that was never interrupted, with nothing to save.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import audio
from ..audio import rumble
from ..errors import InputError
from . import degrade, mixing
from .kaldi import read_directory
from .recording import Recording, in_memory
from .shards import Shards, Window, are_shards

UNLABELLED = -1


class Batch(NamedTuple):
    """Clean and noisy excerpts, float32 (batch, samples), and labels (batch, frames), -1 where unknown."""

    clean: Tensor
    noisy: Tensor
    labels: Tensor


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
        """What the batch of that number is drawn from: everything."""
        return self


@dataclass(frozen=True)
class StreamedCorpus(Corpus):
    """A corpus with speech in shards, which comes and goes; its own lists have what stays in memory."""

    streams: Sequence[Shards] = ()
    _last: dict[tuple[tuple[int, ...], ...], Corpus] = field(default_factory=dict)

    def at(self, number: int) -> Corpus:
        """What the batch of that number is drawn from; the same object until shards move.

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
        held_out_speakers: speakers to keep for measuring; those in shards are left out only.
        sample_rate: in Hz.
        allow_pipes: as in `kaldi.read_directory`.
        held_out: Kaldi data directory of more speech to keep for measuring.
        window: of shards, what is in memory.
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
    for utterance in read_directory(directory, allow_pipes) if directory else []:
        recording = in_memory(utterance.name, utterance.read(), sample_rate, utterance.alignment)
        if utterance.speaker in held:
            dev.append(recording)
        else:
            (train if utterance.alignment else more).append(recording)
    if directory and not train:
        raise InputError(f"{directory} has no aligned utterance to train on; add an ali.ctm.")
    for utterance in read_directory(held_out, allow_pipes) if held_out else []:
        dev.append(in_memory(utterance.name, utterance.read(), sample_rate, utterance.alignment))
    if unlabelled is not None and not are_shards(unlabelled):
        more += _load_folder(Path(unlabelled), sample_rate)
    noises = _load_folder(noise, sample_rate) if noise else []
    is_dev = [zlib.crc32(n.name.encode()) % 20 == 0 for n in noises]
    corpus = Corpus(
        train,
        more,
        [n for n, d in zip(noises, is_dev, strict=True) if not d],
        dev,
        [n for n, d in zip(noises, is_dev, strict=True) if d],
        sample_rate,
    )
    return StreamedCorpus(**vars(corpus), streams=streams) if streams else corpus


def _load_folder(folder: Path, sample_rate: int) -> list[Recording]:
    return [
        in_memory(source.path.stem, audio.read(source.path), sample_rate) for source in audio.find([folder])
    ]


@dataclass(frozen=True)
class Augmentation:
    """How training excerpts are made; shares are probabilities.

    Attributes:
        snr: range of the signal-to-noise ratio in dB, uniform.
        clean: excerpts with an SNR of 40 dB, so that clean speech is left alone.
        pauses: excerpts without speech, so that noise alone leaves nothing.
        rooms: reverberant speech, and as often, independently, reverberant noise.
        lines: speech and noise through a narrow band.
        slopes: speech and noise through the filter of a resampling.
        clipping: overdriven inputs.
        mu_law: inputs quantised to 8 bits.
        rumble: inputs that keep their rumble, as a stream does; else, and from the target, it is removed.
    """

    snr: tuple[float, float] = (-10.0, 25.0)
    clean: float = 0.05
    pauses: float = 0.03
    rooms: float = 0.1
    lines: float = 0.1
    slopes: float = 0.3
    clipping: float = 0.04
    mu_law: float = 0.03
    rumble: float = 0.2


class Batches:
    """Draws batches from a corpus.

    Args:
        corpus: the recordings.
        size: excerpts a batch.
        seconds: length of an excerpt.
        hop: distance of two frames in samples.
        level: nominal level of mixtures in dB re full scale; each is drawn within +-8 dB of it.
        seed: of everything.
        augmentation: how excerpts are made.
    """

    UNLABELLED_SHARE = 0.25
    SPEED = (0.88, 1.14)  # resampling: other pitches and vocal tracts than the corpus has

    def __init__(
        self,
        corpus: Corpus,
        size: int,
        seconds: float,
        hop: int,
        level: float,
        seed: int,
        augmentation: Augmentation | None = None,
    ):
        self.augmentation = augmentation or Augmentation()
        self.corpus = corpus
        self.size = size
        self.length = int(seconds * corpus.sample_rate)
        self.hop = hop
        self.level = level
        self.seed = seed
        self._present: Corpus | None = None

    def draw(self, number: int) -> Batch:
        """The batch of that number."""
        self._hold(self.corpus.at(number))
        rng = np.random.default_rng([self.seed, number])
        # The first has labels, so that no batch is without.
        examples = [self._example(rng, place == 0) for place in range(self.size)]
        clean, noisy, labels = (torch.from_numpy(np.stack(part)) for part in zip(*examples, strict=True))
        return Batch(clean, noisy, labels)

    def _hold(self, corpus: Corpus) -> None:
        """Draw from this, until something else is in memory."""
        if corpus is self._present:
            return
        self._present = corpus
        self._labelled = _Pool(corpus.labelled)
        self._unlabelled = _Pool(corpus.unlabelled)
        self._speech = _Pool([*corpus.labelled, *corpus.unlabelled])
        self._noise = _Pool(corpus.noise)

    def _example(self, rng: np.random.Generator, first: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labelled = first or not self._unlabelled or rng.random() >= self.UNLABELLED_SHARE
        recording = (self._labelled if labelled else self._unlabelled).choose(rng)
        clean, labels = self._excerpt(rng, recording)
        if not first and rng.random() < self.augmentation.pauses:
            clean, labels = np.zeros_like(clean), np.full_like(labels, UNLABELLED)
        noise = mixing.noises(rng, self._crop_noise, self._crop_speech, self.length)
        clean, noise = (self._somewhere(rng, x) for x in (mixing.equalise(rng, clean, 5.0), noise))
        snr = 40.0 if rng.random() < self.augmentation.clean else rng.uniform(*self.augmentation.snr)
        level = self.level + rng.uniform(-8.0, 8.0)
        noise /= max(mixing.rms(noise), 1e-6)
        clean, noisy = mixing.mix(clean, noise, recording.rms, snr, level)
        return *self._transmitted(rng, clean, noisy), labels

    def _somewhere(self, rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        """x, at times in a room."""
        if rng.random() < self.augmentation.rooms:
            return degrade.reverberate(x, degrade.room(rng, self.corpus.sample_rate))
        return x

    def _transmitted(
        self, rng: np.random.Generator, clean: np.ndarray, noisy: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both, at times, over a line or through an overdriven input; most without rumble."""
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

    def _excerpt(self, rng: np.random.Generator, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
        """A piece of a recording, half the time at another speed, and its labels."""
        speed = rng.uniform(*self.SPEED) if rng.random() < 0.5 else 1.0
        needed = int(np.ceil(self.length * speed)) + 1
        start, samples = _cut(rng, recording.samples, needed)
        if speed != 1.0:
            samples = audio.resample(samples, speed * self.corpus.sample_rate, self.corpus.sample_rate)
        frames = np.arange(self.length // self.hop + 1)
        if recording.alignment is None:
            return samples[: self.length], np.full(len(frames), UNLABELLED)
        times = (start + frames * self.hop * speed) / self.corpus.sample_rate
        return samples[: self.length], recording.alignment.at(times)

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
    """Recordings to choose from, each with a chance in proportion to the square root of its length."""

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
