"""Filled gaps, beside the recordings that they were cut into.

python recipes/generate/local/gaps.py MODEL FOLDER [--count 8] [--gaps 0.04 0.1 0.2]

Recordings of 4 s lose a piece every 0.6 s. Rows: the gaps as silence; filled by the editor's start alone,
which interpolates the spectra on both sides; and after the steps along the energy.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from speechjem import audio, metrics
from speechjem.generation.editing import Editor

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
SECONDS, EVERY = 4.0, 0.6
NAMES = ("pesq_wb", "stoi", "estoi")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--gaps", type=float, nargs="+", default=[0.04, 0.1, 0.2])
    arguments = parser.parse_args()

    editor = Editor(arguments.model)
    still = Editor(editor.model)
    still.sampler = replace(still.sampler, steps=1, step_size=0.0)
    sources = audio.find([arguments.folder])
    chosen = common.evenly(sources, arguments.count)
    print("| gap | filled with | PESQ-WB | STOI | ESTOI |\n|---|---|---|---|---|")
    for gap in arguments.gaps:
        rows: dict[str, list[list[float]]] = {}
        for source in chosen:
            recording = audio.read(source.path)
            clean = common.mono(recording, RATE)
            clean = clean[: int(SECONDS * RATE)].astype(np.float32)
            starts = np.arange(EVERY, len(clean) / RATE - EVERY, EVERY)
            for name, samples in filled(editor, still, clean, starts, gap).items():
                scores = metrics.score(clean, samples, RATE)
                values = [scores[n].value for n in NAMES]
                rows.setdefault(name, []).append(common.numbers(values))
        for name, values in rows.items():
            pesq, stoi, estoi = np.nanmean(values, axis=0)
            print(f"| {1000 * gap:.0f} ms | {name} | {pesq:.2f} | {stoi:.3f} | {estoi:.3f} |", flush=True)


def filled(
    editor: Editor, still: Editor, clean: np.ndarray, starts: np.ndarray, gap: float
) -> dict[str, np.ndarray]:
    silent = clean.copy()
    for start in starts:
        silent[round(start * RATE) : round((start + gap) * RATE)] = 0.0
    interpolated, stepped = silent, silent
    for start in starts:
        interpolated = still.inpaint(interpolated, RATE, start, start + gap)
        stepped = editor.inpaint(stepped, RATE, start, start + gap)
    return {"silence": silent, "interpolated spectra": interpolated, "and steps along E(x)": stepped}


if __name__ == "__main__":
    main()
