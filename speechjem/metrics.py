"""Objective measures of speech quality: a value, or the reason why there is none.

The measures are PESQ (quality), STOI and ESTOI (intelligibility) and SI-SDR (distortion). Each
compares an estimate with its clean reference, sample by sample at the same time. DNSMOS needs no
reference.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import audio
from .errors import InputError, SpeechjemError, UsageError

log = logging.getLogger("speechjem")
_NO_DNSMOS = "DNSMOS needs speechmos; run: pip install 'speechjem[score]'."
_TOLERANCE = 0.1  # seconds by which the two lengths may differ: codecs pad
_PESQ_SECONDS = 20.0
_STOI_SECONDS = 0.4  # 30 frames of 256 samples at 10 kHz, half overlapping
_EPSILON = float(np.finfo(np.float32).eps) ** 2  # energy ratio below which float32 holds only rounding


class NoValue(InputError):
    """A measure is undefined for these signals; the message is the reason."""


@dataclass(frozen=True)
class Score:
    """The outcome of one measure: exactly one of value and reason is set.

    Attributes:
        value: the finite value, in the unit of the measure.
        reason: why there is no value.
    """

    value: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.reason is None):
            raise ValueError("A score has either a value or a reason.")


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio of the zero-mean signals.

    With target = <e, r> / <r, r> r it is 10 log10(|target|^2 / |e - target|^2). Source: Le Roux,
    Wisdom, Erdogan, Hershey, "SDR - half-baked or well done?", ICASSP 2019.

    Args:
        reference: clean signal, shape (samples,).
        estimate: the signal to judge, same shape.

    Returns:
        The ratio in dB.

    Raises:
        NoValue: a signal is silent, or the ratio is infinite.
        InputError: the shapes differ or are not (samples,).
    """
    reference, estimate = _checked(reference, estimate)
    reference, estimate = reference - reference.mean(), estimate - estimate.mean()
    target = (estimate @ reference) / (reference @ reference) * reference
    noise = estimate - target
    target_energy, noise_energy = target @ target, noise @ noise
    if noise_energy <= _EPSILON * target_energy:
        raise NoValue("the signals are identical up to scale")
    if target_energy <= _EPSILON * noise_energy:
        raise NoValue("the estimate has nothing of the reference")
    return float(10 * np.log10(target_energy / noise_energy))


def pesq_wb(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Wide-band PESQ at 16 kHz (ITU-T P.862.2), by the `pesq` package.

    Signals of a higher rate are resampled. Signals longer than 20 s are judged in equal pieces of
    at most 20 s, and the mean over the pieces with speech is given, because P.862's reference code
    holds 50 utterances and overruns its memory beyond them.

    Args:
        reference: clean signal, shape (samples,).
        estimate: the signal to judge, same shape.
        sample_rate: in Hz.

    Returns:
        MOS-LQO, 1.04 (bad) to 4.64 (identical).

    Raises:
        NoValue: the rate is below 16 kHz, a signal is silent or too short, or has no speech.
        InputError: the shapes differ or are not (samples,).
    """
    return _pesq(reference, estimate, sample_rate, 16000, "wb")


def pesq_nb(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Narrow-band PESQ at 8 kHz (ITU-T P.862 mapped by P.862.1), by the `pesq` package.

    Signals of a higher rate are resampled; long ones are judged in pieces as in `pesq_wb`.

    Args:
        reference: clean signal, shape (samples,).
        estimate: the signal to judge, same shape.
        sample_rate: in Hz.

    Returns:
        MOS-LQO, 1.02 (bad) to 4.55 (identical).

    Raises:
        NoValue: the rate is below 8 kHz, a signal is silent or too short, or has no speech.
        InputError: the shapes differ or are not (samples,).
    """
    return _pesq(reference, estimate, sample_rate, 8000, "nb")


def stoi(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Short-time objective intelligibility, by the `pystoi` package.

    Source: Taal, Hendriks, Heusdens, Jensen, "An Algorithm for Intelligibility Prediction of
    Time-Frequency Weighted Noisy Speech", IEEE TASLP 2011.

    Args:
        reference: clean signal, shape (samples,).
        estimate: the signal to judge, same shape.
        sample_rate: in Hz.

    Returns:
        About 0 (unintelligible) to 1 (identical).

    Raises:
        NoValue: a signal is silent, or there is less than 0.4 s of speech.
        InputError: the shapes differ or are not (samples,).
    """
    return _stoi(reference, estimate, sample_rate, extended=False)


def estoi(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Extended STOI, for fluctuating noise, by the `pystoi` package.

    Source: Jensen, Taal, "An Algorithm for Predicting the Intelligibility of Speech Masked by
    Modulated Noise Maskers", IEEE/ACM TASLP 2016.

    Args:
        reference: clean signal, shape (samples,).
        estimate: the signal to judge, same shape.
        sample_rate: in Hz.

    Returns:
        About 0 (unintelligible) to 1 (identical).

    Raises:
        NoValue: a signal is silent, or there is less than 0.4 s of speech.
        InputError: the shapes differ or are not (samples,).
    """
    return _stoi(reference, estimate, sample_rate, extended=True)


def score(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> dict[str, Score]:
    """All measures of one channel.

    Args:
        reference: clean signal, shape (samples,).
        estimate: the signal to judge; the longer of the two is cut.
        sample_rate: in Hz. Below 16 kHz "pesq_wb" has a reason and "pesq_nb" is given too.

    Returns:
        Scores by name: "pesq_wb", "pesq_nb" (only below 16 kHz), "stoi", "estoi", "si_sdr".

    Raises:
        InputError: the lengths differ by more than 0.1 s, or the shapes are not (samples,).
    """
    reference, estimate = _cut(audio.as_array(reference), audio.as_array(estimate), sample_rate)
    measures: dict[str, Callable[[], float]] = {
        "pesq_wb": lambda: pesq_wb(reference, estimate, sample_rate),
        "pesq_nb": lambda: pesq_nb(reference, estimate, sample_rate),
        "stoi": lambda: stoi(reference, estimate, sample_rate),
        "estoi": lambda: estoi(reference, estimate, sample_rate),
        "si_sdr": lambda: si_sdr(reference, estimate),
    }
    if sample_rate >= 16000:
        del measures["pesq_nb"]
    return {name: _attempt(measure) for name, measure in measures.items()}


def score_files(reference: str | os.PathLike[str], estimate: str | os.PathLike[str]) -> dict[str, Score]:
    """All measures of a file, averaged over its channels.

    Args:
        reference: clean audio file.
        estimate: the audio file to judge, of the same sample rate and channels.

    Returns:
        Scores by name as in `score`; a measure that any channel lacks has that channel's reason.

    Raises:
        InputError: a file cannot be read, or rates, channels or lengths do not match.
    """
    clean, judged = audio.read(reference), audio.read(estimate)
    if clean.sample_rate != judged.sample_rate:
        rates = f"{judged.sample_rate} and {clean.sample_rate} Hz"
        raise InputError(f"{estimate} and {reference} have {rates}; resample one of them.")
    if len(clean.samples) != len(judged.samples):
        channels = f"{len(judged.samples)} and {len(clean.samples)} channels"
        raise InputError(f"{estimate} and {reference} have {channels}; make them the same.")
    try:
        return score_channels(clean.samples, judged.samples, clean.sample_rate)
    except InputError as error:
        raise InputError(f"{estimate} and {reference}: {error}") from error


def score_channels(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> dict[str, Score]:
    """All measures, averaged over the channels.

    Args:
        reference: clean signals, shape (channels, samples).
        estimate: the signals to judge, as many channels.
        sample_rate: in Hz.

    Returns:
        Scores by name as in `score`; a measure that any channel lacks has that channel's reason.

    Raises:
        InputError: as `score`, or if the channels are not as many.
    """
    reference, estimate = audio.as_array(reference), audio.as_array(estimate)
    for signal in (reference, estimate):
        audio.check_shape(signal.shape)
    if reference.ndim != 2 or len(reference) != len(estimate):
        shapes = f"{reference.shape} and {estimate.shape}"
        raise InputError(f"The shapes {shapes} do not match; give two of (channels, samples).")
    scores = [score(r, e, sample_rate) for r, e in zip(reference, estimate, strict=True)]
    return {name: _mean([channel[name] for channel in scores]) for name in scores[0]}


def dnsmos(samples: np.ndarray, sample_rate: int) -> dict[str, Score]:
    """Listeners' ratings of a recording without a clean reference, as a network predicts them.

    DNSMOS P.835 of the package speechmos, whose network comes with it: quality of the speech, of the
    background, and overall, 1 (bad) to 5. Source: Reddy, Gopal, Cutler, "DNSMOS P.835: A non-intrusive
    perceptual objective speech quality metric to evaluate noise suppressors", ICASSP 2022.

    Args:
        samples: shape (samples,); beyond full scale they are clipped.
        sample_rate: in Hz; other rates than 16 kHz are resampled.

    Returns:
        Scores by name: "dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl"; all have a reason instead of a value
        for silence, and where speechmos is not installed.

    Raises:
        InputError: for another shape.
    """
    names = ("sig", "bak", "ovrl")
    samples = audio.as_array(samples)
    if samples.ndim != 1:
        raise InputError(f"DNSMOS needs one channel of shape (samples,), not {samples.shape}.")
    try:
        if _is_silent(samples):
            raise NoValue("the recording is silent")
        values = _dnsmos(audio.resample(samples, sample_rate, 16000).clip(-1, 1))
    except NoValue as reason:
        return {f"dnsmos_{name}": Score(reason=str(reason)) for name in names}
    return {f"dnsmos_{name}": Score(float(values[f"{name}_mos"])) for name in names}


def dnsmos_file(path: str | os.PathLike[str]) -> dict[str, Score]:
    """DNSMOS of a file, averaged over its channels.

    Args:
        path: audio file.

    Returns:
        Scores by name as in `dnsmos`; a measure that any channel lacks has that channel's reason.

    Raises:
        InputError: the file cannot be read.
        SpeechjemError: speechmos is not installed.
    """
    check_dnsmos()
    recording = audio.read(path)
    scores = [dnsmos(channel, recording.sample_rate) for channel in recording.samples]
    return {name: _mean([channel[name] for channel in scores]) for name in scores[0]}


def check_dnsmos() -> None:
    """Check that DNSMOS can be computed.

    Raises:
        SpeechjemError: speechmos is not installed.
    """
    try:
        import speechmos.dnsmos  # noqa: F401
    except ImportError as error:
        raise SpeechjemError(_NO_DNSMOS) from error


def pairs(
    reference: str | os.PathLike[str],
    estimate: str | os.PathLike[str],
    refuse: Callable[[Path, InputError], None] | None = None,
) -> list[tuple[Path, Path]]:
    """Match estimates with their references.

    Args:
        reference: a file, or a folder of clean files.
        estimate: a file, or a folder whose files have the same relative paths but for the suffix.
            References without an estimate are left out, and a warning is logged.
        refuse: told of every estimate that has no reference, or more than one, or cannot be read, and why;
            by default that is an error.

    Returns:
        (reference, estimate) paths, in sorted order of the estimates.

    Raises:
        InputError: a path is missing, a folder has no audio, or an estimate has no partner.
        UsageError: one is a file and the other a folder.
    """
    reference, estimate = Path(reference), Path(estimate)
    for path in (reference, estimate):
        if not os.path.exists(path):
            raise InputError(f"No such file or folder: {path}. Check the path.")
    if reference.is_dir() != estimate.is_dir():
        raise UsageError(f"{reference} and {estimate} are a file and a folder; give two of a kind.")
    if not reference.is_dir():
        return [(reference, estimate)]
    references = _by_stem(audio.find([reference], without=[estimate]))
    estimates = audio.find([estimate], refuse, [reference])
    unmatched = [source.path for source in estimates if _stem(source) not in references]
    if unmatched and not refuse:
        names = ", ".join(map(str, unmatched))
        raise InputError(f"No reference in {reference} for {names}; add or remove files.")
    _warn_of_unused(references, estimates)
    return list(_matched(references, estimates, refuse or _raise))


def _matched(
    references: dict[Path, list[Path]],
    estimates: list[audio.Source],
    refuse: Callable[[Path, InputError], None],
) -> Iterator[tuple[Path, Path]]:
    for path, found in ((source.path, references.get(_stem(source), [])) for source in estimates):
        # Two that differ in suffix are told apart by it.
        found = [other for other in found if other.suffix == path.suffix] or found
        if len(found) == 1:
            yield found[0], path
        elif found:
            names = " and ".join(map(str, found))
            refuse(path, InputError(f"{names} differ only in suffix; keep one as the reference of {path}."))
        else:
            refuse(path, InputError(f"{path} has no reference of its name; add one, or remove it."))


def _raise(_: Path, error: InputError) -> None:
    raise error


def _warn_of_unused(references: dict[Path, list[Path]], estimates: list[audio.Source]) -> None:
    unused = sorted(set(references) - {_stem(source) for source in estimates})
    if unused:
        count, first = len(unused), references[unused[0]][0]
        log.warning("%d of %d references have no output, such as %s.", count, len(references), first)


def _checked(reference: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both signals as float64, once they are comparable and neither is silent."""
    reference, estimate = audio.as_array(reference), audio.as_array(estimate)
    if reference.ndim != 1 or reference.shape != estimate.shape:
        shapes = f"{reference.shape} and {estimate.shape}"
        raise InputError(f"The reference and estimate have shapes {shapes}; give two of the same (samples,).")
    for name, signal in (("reference", reference), ("estimate", estimate)):
        if not np.isfinite(signal).all():
            raise NoValue(f"the {name} has NaN or infinite samples")
        if _is_silent(signal):
            raise NoValue(f"the {name} is silent")
    return reference.astype(np.float64), estimate.astype(np.float64)


def _is_silent(signal: np.ndarray) -> bool:
    """Whether nothing is left beside a constant: not even one that rounding made uneven."""
    signal = signal.astype(np.float64)
    return signal.size == 0 or bool(signal.var() <= _EPSILON * np.square(signal).mean())


def _pesq(reference: np.ndarray, estimate: np.ndarray, sample_rate: int, rate: int, mode: str) -> float:
    if sample_rate < rate:
        raise NoValue(f"needs {rate // 1000} kHz audio")
    reference, estimate = (
        audio.resample(signal, sample_rate, rate) for signal in _checked(reference, estimate)
    )
    count = math.ceil(len(reference) / (_PESQ_SECONDS * rate))
    pieces = zip(np.array_split(reference, count), np.array_split(estimate, count), strict=True)
    values = [value for r, e in pieces if (value := _pesq_piece(r, e, rate, mode)) is not None]
    if not values:
        raise NoValue("PESQ found no speech")
    return float(np.mean(values))


def _pesq_piece(reference: np.ndarray, estimate: np.ndarray, rate: int, mode: str) -> float | None:
    """PESQ of at most 20 s, None where it finds no speech."""
    import pesq

    # PESQ itself divides by zero where both are silent and fails on a NaN where the estimate is.
    if _is_silent(reference):
        return None
    if _is_silent(estimate):
        raise NoValue("the estimate is silent where the reference is not")
    try:
        return float(pesq.pesq(rate, reference, estimate, mode))
    except pesq.NoUtterancesError:
        return None
    except pesq.BufferTooShortError as error:
        raise NoValue("PESQ needs at least 0.25 s") from error
    except (pesq.PesqError, ValueError) as error:
        raise NoValue(f"PESQ failed ({error})") from error


def _dnsmos(samples: np.ndarray) -> dict[str, float]:
    try:
        from speechmos import dnsmos
    except ImportError as error:
        raise NoValue(_NO_DNSMOS.rstrip(".")) from error
    return dict(dnsmos.run(samples, 16000))


def _stoi(reference: np.ndarray, estimate: np.ndarray, sample_rate: int, extended: bool) -> float:
    import pystoi

    reference, estimate = _checked(reference, estimate)
    too_little = f"needs at least {_STOI_SECONDS} s of speech"
    if len(reference) < _STOI_SECONDS * sample_rate:
        raise NoValue(too_little)
    with warnings.catch_warnings():
        # pystoi warns of too little speech and returns 1e-5, which would pass for a score.
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(pystoi.stoi(reference, estimate, sample_rate, extended=extended))
        except (RuntimeWarning, ValueError) as error:  # numpy's AxisError where no frame is left
            raise NoValue(too_little) from error


def _cut(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    difference = abs(reference.shape[-1] - estimate.shape[-1]) / sample_rate
    if difference > _TOLERANCE:
        raise InputError(f"The lengths differ by {difference:.2f} s; give signals of the same length.")
    count = min(reference.shape[-1], estimate.shape[-1])
    return reference[..., :count], estimate[..., :count]


def _attempt(measure: Callable[[], float]) -> Score:
    try:
        value = measure()
    except NoValue as reason:
        return Score(reason=str(reason))
    return Score(value) if math.isfinite(value) else Score(reason="the value is not finite")


def _mean(scores: list[Score]) -> Score:
    values = [channel.value for channel in scores if channel.value is not None]
    if len(values) == len(scores):
        return Score(sum(values) / len(values))
    return next(channel for channel in scores if channel.value is None)


def _stem(source: audio.Source) -> Path:
    return source.relative.with_suffix("")


def _by_stem(sources: list[audio.Source]) -> dict[Path, list[Path]]:
    stems: dict[Path, list[Path]] = {}
    for source in sources:
        stems.setdefault(_stem(source), []).append(source.path)
    return stems
