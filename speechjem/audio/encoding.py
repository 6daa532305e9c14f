"""How samples are stored: rounding, bit rates, and what a container can hold."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile

from ..errors import InputError

_BITS = {
    "PCM_S8": 8,
    "PCM_U8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "ALAC_16": 16,
    "ALAC_20": 20,
    "ALAC_24": 24,
}
_FLOATS = {"FLOAT": 32, "DOUBLE": 64}
LOSSY = frozenset(("MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "OPUS", "VORBIS"))
_LARGEST = (1 << 32) - (1 << 21)  # bytes of samples where sizes have 32 bits; headers and tags need some
_VORBIS_CHANNELS = 255  # with more, the encoder ends the process
_SHORT_SIZES = ("WAV", "AIFF", "AU")
_MP3_KBITS = {True: (32, 320), False: (8, 160)}  # smallest and largest by whether the rate is 32 kHz or more
_OPUS_BITS = (6000, 256000)  # a second and channel
# Nominal kbit/s of two channels at 44.1 kHz for the qualities 0 to 10 of Vorbis, from xiph.org's encoder.
_VORBIS_KBITS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)


def stored(samples: np.ndarray, subtype: str) -> np.ndarray:
    """Samples as libsndfile shall store them.

    Given floats it clips and cuts off what integers cannot hold, half a step down on average. So integers are
    rounded here, in the upper bits of 32; other subtypes but floats are clipped to [-1, 1].

    Args:
        samples: any shape, full scale 1.
        subtype: as soundfile names it.
    """
    if subtype in _FLOATS:
        return samples
    if subtype not in _BITS:
        return samples.clip(-1.0, 1.0)
    bits = _BITS[subtype]
    largest = 1 << (bits - 1)
    rounded: np.ndarray = np.rint(samples.astype(np.float64) * largest).clip(-largest, largest - 1)
    return rounded.astype(np.int32) << (32 - bits)


def container(kind: str, subtype: str, channels: int, frames: int) -> str:
    """The container, or RF64 where a WAV would be larger than its header can say.

    Args:
        kind, subtype: as soundfile names them.
        channels, frames: that are to be held.

    Raises:
        InputError: if the samples are too many for it.
    """
    size = frames * channels * (_BITS | _FLOATS).get(subtype, 8) // 8
    if kind not in _SHORT_SIZES or size <= _LARGEST:
        return kind
    if kind == "WAV" and soundfile.check_format("RF64", subtype):
        return "RF64"
    raise InputError(
        f"{size / 2**30:.1f} GB of samples are too many for {kind} with {subtype}; "
        "write .w64, .caf or .flac instead."
    )


def check_channels(suffix: str, kind: str, subtype: str, channels: int, sample_rate: int) -> None:
    """Raise InputError if a file can hold one channel, but not so many."""
    if channels <= 2:
        return
    beyond = subtype == "VORBIS" and channels > _VORBIS_CHANNELS
    if beyond or not _opens(kind, subtype, channels, sample_rate) and _opens(kind, subtype, 1, sample_rate):
        raise InputError(f"A {suffix} file does not hold {channels} channels; write .wav instead.")


def _opens(kind: str, subtype: str, channels: int, sample_rate: int) -> bool:
    try:
        with soundfile.SoundFile(io.BytesIO(), "w", sample_rate, channels, subtype, format=kind):
            return True
    except soundfile.SoundFileError:
        return False


def compression(subtype: str, channels: int, sample_rate: int, bit_rate: float | None) -> dict[str, Any]:
    """soundfile's settings for a bit rate near to one; none where there is no choice.

    Args:
        subtype: as soundfile names it.
        channels: their number.
        sample_rate: in Hz.
        bit_rate: in bits a second, or None for the encoder's default.
    """
    if not bit_rate:
        return {}
    if subtype == "MPEG_LAYER_III":
        low, high = _MP3_KBITS[sample_rate >= 32000]
        level = (high - bit_rate / 1000) / (high - low)
        return {"bitrate_mode": "CONSTANT", "compression_level": float(np.clip(level, 0, 1))}
    if subtype == "OPUS":
        low, high = _OPUS_BITS
        return {"compression_level": float(np.clip((high - bit_rate / channels) / (high - low), 0, 1))}
    if subtype == "VORBIS":
        alike = bit_rate / 1000 * 2 / channels * 44100 / sample_rate
        quality = np.interp(alike, _VORBIS_KBITS, np.arange(11) / 10)
        return {"compression_level": float(1 - quality)}
    return {}
