"""Word errors of an independent recogniser (pocketsphinx) before and after denoising.

pip install pocketsphinx jiwer
python recipes/denoise/local/recogniser.py MODEL DATA_DIRECTORY NOISE_FOLDER --speakers 19 7859 --count 40

The data directory is Kaldi's, with wav.scp, utt2spk and text. Utterances of the speakers are mixed with
pieces of the noise at
each SNR, the same pieces for every system. Prints the share of wrong words (insertions and omissions
included).
"""

import sys
from pathlib import Path

import jiwer
import numpy as np
from pocketsphinx import Decoder

from speechjem import audio
from speechjem.data import mixing
from speechjem.data.kaldi import read_directory
from speechjem.denoising.denoiser import Denoiser

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("noise", type=Path)
    parser.add_argument("--speakers", nargs="+", required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--snr", nargs="+", type=float, default=[0.0, 5.0, 10.0, 15.0])
    arguments = parser.parse_args()

    denoiser, recognise = Denoiser(arguments.model, device="cpu"), Recogniser()
    noises = [audio.read(source.path).samples[0] for source in audio.find([arguments.noise])]
    words = dict(line.split(maxsplit=1) for line in (arguments.data / "text").read_text().splitlines())
    utterances = [u for u in read_directory(arguments.data) if u.speaker in arguments.speakers]
    utterances = common.evenly(utterances, arguments.count)

    heard: dict[str, list[str]] = {}
    spoken = [words[u.name].lower().strip() for u in utterances]
    for number, utterance in enumerate(utterances):
        rng = np.random.default_rng(number)
        clean = utterance.read().samples[0]
        noise = np.resize(noises[int(rng.integers(len(noises)))], len(clean))
        noise = noise / max(mixing.rms(noise), 1e-6)
        heard.setdefault("clean", []).append(recognise(clean))
        heard.setdefault("clean, denoised", []).append(recognise(denoiser(clean, RATE)))
        for snr in arguments.snr:
            _, noisy = mixing.mix(clean, noise, mixing.rms(clean), snr, -26.0)
            heard.setdefault(f"{snr:g} dB", []).append(recognise(noisy))
            heard.setdefault(f"{snr:g} dB, denoised", []).append(recognise(denoiser(noisy, RATE)))
    print(f"{len(spoken)} utterances, {sum(len(s.split()) for s in spoken)} words\n")
    print("| input | word errors |\n|---|---|")
    for name, sentences in heard.items():
        print(f"| {name} | {jiwer.wer(spoken, sentences):.1%} |")


class Recogniser:
    """pocketsphinx with its own American English models."""

    def __init__(self) -> None:
        self.decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def __call__(self, samples: np.ndarray) -> str:
        """The words of a recording at 16 kHz, lower case."""
        peak = max(float(np.abs(samples).max()), 1e-6)
        self.decoder.start_utt()
        self.decoder.process_raw((samples / peak * 20000).astype("<i2").tobytes(), full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""


if __name__ == "__main__":
    main()
