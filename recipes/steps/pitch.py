"""Measure the pitch of a data directory's recordings, by WORLD (Morise et al. 2016).

pip install 'speechjem[pitch]'
python recipes/steps/pitch.py DATA [--out DATA/pitch.npz] [--nj 2]

Writes DATA/pitch.npz, with an array for every utterance: its fundamental frequency in Hz every 10 ms, 0 where
it is unvoiced (`speechjem.data.kaldi.read_pitch`). DIO finds it, StoneMask refines it.
"""

import argparse
import multiprocessing
from pathlib import Path

import numpy as np
import pyworld

from speechjem import audio
from speechjem.data.kaldi import PITCH_SECONDS, Utterance, read_directory
from speechjem.runtime.atomic import replace_file

RATE = 16000
LOWEST, HIGHEST = 60.0, 420.0  # Hz


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, help="file to write, DATA/pitch.npz by default")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    arguments = parser.parse_args()

    utterances = read_directory(arguments.data)
    with multiprocessing.Pool(arguments.nj) as pool:
        tracks = pool.map(pitch, utterances, chunksize=8)
    named = {utterance.name: track for utterance, track in zip(utterances, tracks, strict=True)}

    def write(partial: Path) -> None:
        with partial.open("wb") as file:  # numpy would add a suffix to a name
            np.savez_compressed(file, **named)

    replace_file(arguments.out or arguments.data / "pitch.npz", write)


def pitch(utterance: Utterance) -> np.ndarray:
    """Pitch of an utterance, float16, shape (frames,)."""
    recording = utterance.read()
    samples = audio.resample(audio.mono(recording.samples), recording.sample_rate, RATE).astype(np.float64)
    rough, times = pyworld.dio(samples, RATE, LOWEST, HIGHEST, frame_period=1000 * PITCH_SECONDS)
    return pyworld.stonemask(samples, rough, times, RATE).astype(np.float16)


if __name__ == "__main__":
    main()
