"""Results as HTML: the elements that player.js draws, the table of scores, sentences.

Whatever comes from a user or a file name is escaped here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ..classification import Segment
from ..metrics import Score

COLUMNS = 1000  # of a waveform; more would not be seen
NAMES = {
    "pesq_wb": "PESQ-WB", "pesq_nb": "PESQ-NB", "stoi": "STOI", "estoi": "ESTOI", "si_sdr": "SI-SDR (dB)",
    "dnsmos_sig": "DNSMOS, speech", "dnsmos_bak": "DNSMOS, background", "dnsmos_ovrl": "DNSMOS, overall",
}  # fmt: skip


@dataclass(frozen=True)
class Track:
    """A waveform to play: its name, the address of its file, and its height in every column, 0 to 1."""

    name: str
    url: str
    peaks: list[float]


@dataclass(frozen=True)
class Panel:
    """A spectrogram over the time of the tracks.

    Attributes:
        title: what it shows.
        url: address of the picture.
        scale: what its darkest and its brightest colour mean.
        top: frequency of its upper edge in kHz.
    """

    title: str
    url: str
    scale: tuple[str, str]
    top: float


@dataclass(frozen=True)
class Posteriors:
    """Phones over the time of the tracks: address of the picture, and the phones of its rows from the top."""

    url: str
    phones: Sequence[str]


def track(name: str, url: str, samples: np.ndarray) -> Track:
    """A track of samples of shape (channels, samples), full scale at 1."""
    height = np.abs(samples).max(axis=0)
    edges = np.linspace(0, len(height), min(COLUMNS, len(height)), endpoint=False).astype(int)
    return Track(name, url, np.maximum.reduceat(height, edges).round(4).tolist())


def player(
    tracks: Sequence[Track],
    seconds: float,
    panels: Sequence[Panel] = (),
    segments: Sequence[Segment] = (),
    posteriors: Posteriors | None = None,
) -> str:
    """The element that plays tracks, lined up over one time, with what else is known about that time.

    Args:
        tracks: all of one duration; the listener switches between them.
        seconds: their duration.
        panels: spectrograms, side by side below the tracks.
        segments: phones, named below the tracks.
        posteriors: drawn below the phones.
    """
    return _element(
        "speech-player",
        {
            "tracks": [asdict(track) for track in tracks],
            "seconds": seconds,
            "panels": [asdict(panel) for panel in panels],
            "segments": [asdict(segment) for segment in segments],
            "posteriors": posteriors and asdict(posteriors),
        },
    )


def chain(states: Sequence[bytes], energies: Sequence[float], steps: int, seconds: float) -> str:
    """The element that shows the frames of a chain, and its energy.

    Args:
        states: PNG images of the start and of every step; or of the last step alone, while the chain moves.
        energies: of the start and after every step that was taken.
        steps: number of steps that the chain will have.
        seconds: duration of the frames.
    """
    images = ["data:image/png;base64," + base64.b64encode(state).decode() for state in states]
    content = {"images": images, "energies": list(energies), "steps": steps, "seconds": seconds}
    return _element("speech-chain", content)


def scores(columns: Mapping[str, Mapping[str, Score]]) -> str:
    """A table of scores, one row a measure; a value that is missing says why."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in columns)
    rows = []
    for name in next(iter(columns.values())):
        cells = "".join(f"<td>{_cell(column[name])}</td>" for column in columns.values())
        rows.append(f"<tr><th scope='row'>{escape(NAMES.get(name, name))}</th>{cells}</tr>")
    return (
        f"<table class='scores'><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def status(sentence: str, done: float | None = None) -> str:
    """A sentence about a run; with the share that is done, a bar."""
    bar = "" if done is None else f"<progress value='{done:.3f}' aria-label='Progress'></progress>"
    return f"<p class='status'>{escape(sentence)}</p>{bar}"


def problem(sentence: str) -> str:
    """A sentence about what went wrong, which screen readers say at once."""
    return f"<p class='status problem' role='alert'>{escape(sentence)}</p>"


def address(path: Path) -> str:
    """Where the page finds a file of the server, relative to the page."""
    return "gradio_api/file=" + quote(str(path))


def _element(name: str, content: Mapping[str, Any]) -> str:
    return f"<{name} data-view='{escape(json.dumps(content), quote=True)}'></{name}>"


def _cell(score: Score) -> str:
    if score.value is None:
        return f"<span class='reason'>{escape(score.reason or '')}</span>"
    return f"{score.value:.3f}" if abs(score.value) < 1 else f"{score.value:.2f}"
