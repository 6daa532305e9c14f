"""What many scripts of the recipes need."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from speechjem import audio

T = TypeVar("T")


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """A parser of arguments whose help is the documentation of the script, as it stands there."""
    return argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def held_out(data: Path, speakers: Sequence[str] | None) -> set[str]:
    """The speakers given, or else those that the file dev_speakers of a data directory names."""
    if speakers:
        return set(speakers)
    try:
        return set((data / "dev_speakers").read_text().split())
    except OSError:
        raise SystemExit(
            f"{data} has no file dev_speakers; name the speakers held out by --speakers."
        ) from None


def evenly(items: Sequence[T], count: int) -> Sequence[T]:
    """At most `count` items, evenly spaced."""
    return items[:: max(1, len(items) // count)][:count]


def mono(recording: audio.Audio, rate: int) -> np.ndarray:
    """The mean of the channels at a sample rate in Hz, shape (samples,)."""
    return audio.resample(audio.mono(recording.samples), recording.sample_rate, rate)


def numbers(values: Iterable[float | None]) -> list[float]:
    """Scores, with nan for those that have no value, as `np.nanmean` takes them."""
    return [np.nan if value is None else value for value in values]
