"""Words that an independent recogniser (pocketsphinx) hears in generated sentences, and their DNSMOS.

pip install pocketsphinx jiwer speechmos
python recipes/generate/local/words.py MODEL CORPUS/train-clean-5 --count 50

Sentences are those of the speakers named, of 4 to 30 words; the recogniser has its own acoustic and language
models. Rows: the recordings; the same by way of log-mel frames (`copy`); the text said by the model, with
the phase of Griffin-Lim and with a pitch; and without steps along the energy, which shows what the starts of
SGLD do alone. The third column is the share of right words beside that of `copy`, the fourth the overall
quality that DNSMOS P.835 predicts, 1 to 5. With --vocoder, two more rows have the frames
made audible by it (`vocoder.py`).
"""

import sys
import time
import warnings
from pathlib import Path

import jiwer
import numpy as np
import torch
import vocoder
from phone_scores import copied, real, spread
from pocketsphinx import Decoder
from speechmos import dnsmos

from speechjem.data.kaldi import read_directory
from speechjem.generation.generator import Generator

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--pitch", type=float, default=120.0)
    parser.add_argument("--vocoder", type=Path)
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.data, arguments.speakers)

    warnings.simplefilter("ignore")  # words that the dictionary lacks
    generator = Generator(arguments.model)
    pitched = Generator(generator.model, pitch=arguments.pitch)
    still = Generator(generator.model, mode="sgld", steps=1, step_size=0.0)
    fbank = generator.model.fbank
    network = vocoder.load(arguments.vocoder, fbank) if arguments.vocoder else None
    texts = dict(
        line.lower().split(maxsplit=1) for line in (arguments.data / "text").read_text().splitlines()
    )
    utterances = [
        u
        for u in read_directory(arguments.data)
        if u.speaker in speakers and 4 <= len(texts[u.name].split()) <= 30
    ]
    utterances = spread(utterances, arguments.count)
    spoken = [texts[u.name].strip() for u in utterances]
    heard: dict[str, list[str]] = {}
    quality: dict[str, list[float]] = {}
    spent = seconds = 0.0
    for number, (utterance, text) in enumerate(zip(utterances, spoken, strict=True)):
        recording = real(utterance)
        start = time.perf_counter()
        generated, frames = say(generator, text, number)
        spent += time.perf_counter() - start
        seconds += len(generated) / RATE
        sounds = {
            "recording": recording,
            "copy": copied(generator, recording),
            "generated": generated,
            f"generated, {arguments.pitch:g} Hz": pitched.say(text, seed=number)[0],
            "starts alone": still.say(text, seed=number)[0],
        }
        if network is not None:
            waveform = torch.from_numpy(recording)
            sounds["copy, vocoder"] = audible(network, fbank.levelled(waveform)[None])
            sounds["generated, vocoder"] = audible(network, frames)
        for name, samples in sounds.items():
            heard.setdefault(name, []).append(recognised(samples))
            quality.setdefault(name, []).append(dnsmos.run(samples.clip(-1, 1), RATE)["ovrl_mos"])
    right = {name: 1 - jiwer.wer(spoken, sentences) for name, sentences in heard.items()}
    print(f"{len(spoken)} sentences, {sum(len(s.split()) for s in spoken)} words")
    print(f"{spent / seconds:.2f} s of work for a second of generated audio\n")
    print("| input | word errors | share of copy's words | DNSMOS OVRL |\n|---|---|---|---|")
    for name, share in right.items():
        print(f"| {name} | {1 - share:.1%} | {share / right['copy']:.0%} | {np.mean(quality[name]):.2f} |")


def say(generator: Generator, text: str, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """A text as a waveform, and the normalised frames of it, shape (1, frames, bins)."""
    states: list[torch.Tensor] = []
    waveform = generator.say(text, seed=seed, watch=lambda x, _: states.append(x))[0]
    return waveform, states[-1]


@torch.no_grad()
def audible(network: vocoder.Vocoder, x: torch.Tensor) -> np.ndarray:
    return network(network.fbank.denormalise(x))[0].numpy()


def recognised(samples: np.ndarray) -> str:
    """The words of a recording at 16 kHz, lower case."""
    decoder = Decoder(samprate=RATE, loglevel="FATAL")
    peak = max(float(np.abs(samples).max()), 1e-6)
    decoder.start_utt()
    decoder.process_raw((samples / peak * 20000).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


if __name__ == "__main__":
    main()
