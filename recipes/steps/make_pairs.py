"""Mix utterances of some speakers with noise, for measuring.

python recipes/steps/make_pairs.py DATA OUT [--noise FOLDER] [--count 40]

Writes OUT/clean and OUT/noisy, files of the same names at the model's level; SNRs (--snr) in turn.
Without --noise the noise is synthetic and coloured.
"""

import math
from pathlib import Path

import common
import numpy as np

from speechjem import audio
from speechjem.data import mixing
from speechjem.data.kaldi import read_directory

RATE = 16000
LEVEL = -26.0  # dB re full scale


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--snr", type=float, nargs="+", default=[0.0, 5.0, 10.0, 15.0])
    parser.add_argument("--longest", type=float, default=math.inf, help="seconds of an utterance")
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.data, arguments.speakers)

    rng = np.random.default_rng(0)
    noises = audio.find([arguments.noise]) if arguments.noise else []
    utterances = [u for u in read_directory(arguments.data) if u.speaker in speakers]
    if arguments.longest < math.inf:
        utterances = [u for u in utterances if len(at_rate(u.read())) <= RATE * arguments.longest]
    chosen = common.evenly(utterances, arguments.count)
    for number, utterance in enumerate(chosen):
        clean = at_rate(utterance.read())
        if noises:
            noise = np.resize(at_rate(audio.read(noises[rng.integers(len(noises))].path)), len(clean))
        else:
            noise = mixing.coloured(rng, len(clean))
        noise = noise / max(mixing.rms(noise), 1e-6)
        snr = arguments.snr[number % len(arguments.snr)]
        for kind, samples in zip(
            ("clean", "noisy"), mixing.mix(clean, noise, mixing.rms(clean), snr, LEVEL), strict=True
        ):
            audio.write(arguments.out / kind / f"{utterance.name}.wav", samples, RATE, force=True)


def at_rate(recording: audio.Audio) -> np.ndarray:
    return common.mono(recording, RATE)


if __name__ == "__main__":
    main()
