"""What the buttons of the page do.

Each run is a generator that yields what its tab shows: progress is visible, and closing it stops the run.
"""

from __future__ import annotations

import shutil
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from .. import audio, metrics, phones, plot
from ..classification import Classifier
from ..denoising.denoiser import Denoiser
from ..errors import InputError, UsageError
from ..generation.generator import Generator, Watch
from ..models.speech import SpeechModel
from . import views

if TYPE_CHECKING:
    from torch import Tensor

MAX_SECONDS = 120  # of a recording
MAX_SAMPLES = 1 << 25  # of all its channels, 134 MB
MAX_CHARACTERS = 300  # of what is to be said
MAX_STEPS = 100
KEEP_SECONDS = 3600  # that files are kept
REMOVED_DB = 40.0  # range of the picture of what was removed

Outputs = tuple[str, ...]


class Runs:
    """The runs of one server, with its model.

    Args:
        model: used by all of them.
        folder: where they write what the page plays and shows; files stay there for an hour.
    """

    def __init__(self, model: SpeechModel, folder: Path):
        self.model = model
        self.folder = folder
        self._first: tuple[float, Outputs] | None = None

    def first_view(self, path: str, reference: str) -> Outputs:
        """What a visitor sees first: a recording before and after, with its scores.

        It is made for the first visitor, and again when its files are old.
        """
        if self._first is None or time.time() - self._first[0] > KEEP_SECONDS / 2:
            *_, (_, player, scores) = self.denoise(path, reference)
            words = "This is the sample, before and after. Give a recording of your own, or take the sample."
            self._first = time.time(), (views.status(words), player, scores)
        return self._first[1]

    def denoise(
        self,
        path: str | None,
        reference: str | None = None,
        strength: float = 1.0,
        mode: str | None = None,
        steps: int | None = None,
        seed: int = 0,
    ) -> Iterator[Outputs]:
        """Denoise a recording, and score it.

        Args:
            path: of the recording.
            reference: path of the clean speech in it, if it is known.
            strength, mode, steps, seed: as in `denoising.Denoiser`; 0 steps are the model's own.

        Yields:
            Status, player, scores.

        Raises:
            InputError: for a recording or reference that is missing, too long, or cannot be used.
            UsageError: for a setting out of its range.
        """
        noisy = read(path)
        clean = _reference(reference, noisy) if reference else None
        _check_steps(steps)
        denoiser = Denoiser(self.model, mode=mode, steps=steps or None, strength=strength, seed=seed)
        yield views.status("Scoring the input", 0.0), "", ""
        before = _scores(clean, noisy.samples, noisy.sample_rate)

        pieces, done, total = [], 0, noisy.samples.shape[1]
        for piece in denoiser.pieces(lambda: _second_by_second(noisy), noisy.sample_rate):
            pieces.append(piece)
            done += piece.shape[1]
            yield views.status(f"Denoising: {done / total:.0%}", 0.1 + 0.7 * done / total), "", ""
        enhanced = np.concatenate(pieces, axis=1)

        yield views.status("Scoring the output", 0.8), "", ""
        after = _scores(clean, enhanced, noisy.sample_rate)
        yield views.status("Drawing", 0.9), "", ""
        folder, name = self._new_folder(), Path(path or "").stem
        tracks = [
            _track(folder / f"{name}.wav", "Before", noisy.samples, noisy),
            _track(folder / f"{name}-denoised.wav", "After", enhanced, noisy),
            _track(folder / f"{name}-removed.wav", "Removed", noisy.samples - enhanced, noisy),
        ]
        panels = _panels(folder, noisy.samples, enhanced, noisy.sample_rate)
        seconds = total / noisy.sample_rate
        channels = "1 channel" if len(enhanced) == 1 else f"{len(enhanced)} channels"
        yield (
            views.status(f"Done: {seconds:.2f} s, {noisy.sample_rate} Hz, {channels}."),
            views.player(tracks, seconds, panels),
            views.scores({"Before": before, "After": after}),
        )

    def generate(
        self,
        kind: str,
        wanted: str,
        steps: int | None = None,
        seed: int = 0,
        pitch: float | None = None,
    ) -> Iterator[Outputs]:
        """Make speech, and show the chain as it moves.

        Args:
            kind: "words", or "phones" for one phone or a sequence of them.
            wanted: what to say.
            steps, pitch: as in `generation.Generator`; 0 is the model's own, or no pitch.
            seed: of the chain.

        Yields:
            Status, chain, player.

        Raises:
            UsageError: for unknown phones, words that cannot be read, or a setting out of its range.
        """
        if len(wanted) > MAX_CHARACTERS:
            raise UsageError(f"The text is too long: give at most {MAX_CHARACTERS} characters.")
        _check_steps(steps)
        generator = Generator(self.model, steps=steps or None, pitch=pitch or None)
        draw = generator.say if kind == "words" else generator
        count = generator.steps
        waveforms: list[np.ndarray] = []
        remarks: list[str] = []

        def work(watch: Watch) -> None:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                waveforms.append(draw(wanted, seed=seed, watch=watch))
            remarks.extend(str(warning.message) for warning in caught)

        states: list[bytes] = []
        energies: list[float] = []
        yield views.status("Starting the chain", 0.0), "", ""
        for x, energy in watched(work):
            frames = self.model.fbank.denormalise(x[0]).cpu().numpy()
            states.append(_image_of(frames))
            energies.append(energy.item())
            seconds = (len(frames) - 1) * self.model.fbank.frame_seconds
            moving = views.chain(states[-1:], energies, count, seconds)
            done = len(states) - 1
            doing = f"Step {done} of {count}" if done < count else "Making the waveform"
            yield views.status(doing, 0.9 * done / count), moving, ""

        samples = waveforms[0]
        folder = self._new_folder()
        recording = audio.Audio(samples, generator.sample_rate, "WAV", "PCM_16")
        track = _track(folder / "generated.wav", "Generated", samples, recording)
        yield (
            views.status(" ".join([f"Done: {seconds:.2f} s.", *remarks])),
            views.chain(states, energies, count, seconds),
            views.player([track], samples.shape[1] / generator.sample_rate),
        )

    def classify(self, path: str | None) -> Iterator[Outputs]:
        """Say which phones a recording has, and when.

        Args:
            path: of the recording.

        Yields:
            Status, player.

        Raises:
            InputError: for a recording that is missing, too long, or cannot be used.
        """
        heard = read(path)
        yield views.status("Listening", 0.2), ""
        classifier = Classifier(self.model)
        posteriors = classifier.posteriors(heard.samples, heard.sample_rate)
        yield views.status("Finding the phones", 0.5), ""
        segments = classifier(heard.samples, heard.sample_rate)
        yield views.status("Drawing", 0.8), ""
        folder = self._new_folder()
        track = _track(folder / f"{Path(path or '').stem}.wav", "Recording", heard.samples, heard)
        image = _write(folder / "posteriors.png", plot.pixels(posteriors.T[::-1], 0.0, 1.0))
        spoken = sum(segment.phone != phones.SILENCE for segment in segments)
        yield (
            views.status(f"Done: {spoken} phones."),
            views.player(
                [track],
                heard.samples.shape[1] / heard.sample_rate,
                segments=segments,
                posteriors=views.Posteriors(image, self.model.config.phones),
            ),
        )

    def _new_folder(self) -> Path:
        """A folder for the files of a run; those older than an hour are deleted."""
        for old in self.folder.iterdir():
            if time.time() - old.stat().st_mtime > KEEP_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        return folder


def read(path: str | None) -> audio.Audio:
    """A recording that the page was given.

    Raises:
        InputError: if there is none, if it is too long, or as `audio.read`.
    """
    if not path:
        raise InputError("Give a recording first: drop a file, record one, or take the sample.")
    if not Path(path).exists():
        raise InputError("The recording is no longer there: files are kept for an hour. Give it again.")
    file = audio.open_file(path)
    pieces, count = [], 0
    for piece in file.chunks():
        count += piece.shape[1]
        if count > MAX_SECONDS * file.sample_rate or count * file.channels > MAX_SAMPLES:
            raise InputError(
                f"The recording is too long for this page, which takes {MAX_SECONDS} s; "
                "'speechjem denoise' takes any length."
            )
        pieces.append(piece)
    return audio.Audio(
        np.concatenate(pieces, axis=1), file.sample_rate, file.format, file.subtype, file.bit_rate, file.tags
    )


def watched(work: Callable[[Watch], None]) -> Iterator[tuple[Tensor, Tensor]]:
    """The states of a chain as an iterator, while `work` computes it in a thread.

    Closing the iterator ends the chain at its next step.
    """
    states: SimpleQueue[tuple[Tensor, Tensor] | None] = SimpleQueue()
    stopped = Event()

    def watch(x: Tensor, energy: Tensor) -> None:
        if stopped.is_set():
            raise _Stopped
        states.put((x, energy))

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, watch)
        future.add_done_callback(lambda _: states.put(None))
        try:
            while (state := states.get()) is not None:
                yield state
        finally:
            stopped.set()
        future.result()


class _Stopped(Exception):
    """Ends a chain whose iterator is closed."""


def _reference(path: str, noisy: audio.Audio) -> audio.Audio:
    clean = read(path)
    if (clean.sample_rate, len(clean.samples)) != (noisy.sample_rate, len(noisy.samples)):
        raise InputError(
            f"The clean reference has {clean.sample_rate} Hz and {len(clean.samples)} channels, the "
            f"recording {noisy.sample_rate} Hz and {len(noisy.samples)}; give a reference that has the same."
        )
    return clean


def _scores(clean: audio.Audio | None, samples: np.ndarray, rate: int) -> dict[str, metrics.Score]:
    if clean is None:
        return metrics.dnsmos(audio.mono(samples), rate)
    return metrics.score_channels(clean.samples, samples, rate)


def _second_by_second(recording: audio.Audio) -> Iterator[np.ndarray]:
    """Small pieces, so that there is progress to show."""
    for start in range(0, recording.samples.shape[1], recording.sample_rate):
        yield recording.samples[:, start : start + recording.sample_rate]


def _check_steps(steps: int | None) -> None:
    if steps is not None and steps > MAX_STEPS:
        raise UsageError(f"{steps} steps take too long: give at most {MAX_STEPS} here.")


def _track(path: Path, name: str, samples: np.ndarray, like: audio.Audio) -> views.Track:
    audio.write(path, samples, like.sample_rate, subtype=like.subtype, bit_rate=like.bit_rate, tags=like.tags)
    return views.track(name, views.address(path), samples)


def _panels(folder: Path, before: np.ndarray, after: np.ndarray, rate: int) -> list[views.Panel]:
    """Spectrograms of both, on one scale, and of what is removed."""
    levels = [plot.spectrogram(audio.mono(x).astype(np.float64), rate)[0] for x in (before, after)]
    top = max(float(level.max()) for level in levels)
    # Below the range both are black, whatever their difference.
    first, second = (np.maximum(level, top - plot.RANGE_DB) for level in levels)
    pictures = {
        "Before": (first, top - plot.RANGE_DB, top),
        "After": (second, top - plot.RANGE_DB, top),
        "Removed": (first - second, 0.0, REMOVED_DB),
    }
    return [
        views.Panel(
            name,
            _write(folder / f"{name.lower()}.png", plot.pixels(values, low, high)),
            (f"{low:.0f}", f"{high:.0f} dB"),
            rate / 2000,
        )
        for name, (values, low, high) in pictures.items()
    ]


def _image_of(log_mel: np.ndarray) -> bytes:
    """The picture of log-mel frames, (frames, bins)."""
    level = 10 / np.log(10) * log_mel.T
    top = float(level.max())
    return plot.pixels(level, top - plot.RANGE_DB, top)


def _write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return views.address(path)
