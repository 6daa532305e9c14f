"""Routes from log-mel frames back to a waveform, judged by copy-synthesis of recordings.

pip install pyworld-prebuilt
python recipes/generate/local/inversion_scores.py FOLDER [--count 20] [--model MODEL --vocoder FILE]

Every recording is analysed and made again by each route. World (Morise et al. 2016) has its own analysis and
not our frames: it is there to compare with. The vocoder is that of `train_vocoder.py`. Real-time factors are
those of one thread.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pyworld
import torch
import vocoder
from torchaudio.transforms import GriffinLim, InverseMelScale

from speechjem import audio, metrics
from speechjem.features.fbank import Fbank, FbankConfig
from speechjem.features.inversion import griffin_lim, source_filter, spectrum_of
from speechjem.models import checkpoint

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
NAMES = ("pesq_wb", "stoi", "estoi")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--model", help="of the vocoder's features")
    parser.add_argument("--vocoder", type=Path)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    fbank = Fbank(FbankConfig())
    routes = dict(ROUTES)
    if arguments.vocoder:
        network = vocoder.load(arguments.vocoder, checkpoint.load(arguments.model).fbank)
        routes["neural vocoder"] = partial(by_vocoder, network)
        routes["neural vocoder, 8 iterations of Griffin-Lim"] = partial(by_vocoder, network, iterations=8)
    sources = audio.find([arguments.folder])
    rows: dict[str, list[list[float]]] = {}
    spent: dict[str, float] = {}
    total = 0.0
    for source in common.evenly(sources, arguments.count):
        recording = audio.read(source.path)
        samples = common.mono(recording, RATE)
        samples = samples[: int(arguments.seconds * RATE) // fbank.config.hop * fbank.config.hop]
        total += len(samples) / RATE
        for name, route in routes.items():
            start = time.perf_counter()
            copy = route(samples, fbank)[: len(samples)]
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
            scores = metrics.score(samples, np.pad(copy, (0, len(samples) - len(copy))), RATE)
            values = [scores[n].value for n in NAMES]
            rows.setdefault(name, []).append(common.numbers(values))
    print("| route | PESQ-WB | STOI | ESTOI | real-time factor |\n|---|---|---|---|---|")
    for name, values in rows.items():
        means = np.nanmean(values, axis=0)
        print(f"| {name} | {means[0]:.3f} | {means[1]:.3f} | {means[2]:.3f} | {spent[name] / total:.3f} |")


def frames(samples: np.ndarray, fbank: Fbank) -> np.ndarray:
    return fbank.log_mel(fbank.stft(torch.from_numpy(samples))).numpy()


def ours(samples: np.ndarray, fbank: Fbank) -> np.ndarray:
    return griffin_lim(frames(samples, fbank), fbank)


def by_source_and_filter(samples: np.ndarray, fbank: Fbank) -> np.ndarray:
    """With the true pitch."""
    log_mel = frames(samples, fbank)
    pitch, _ = pyworld.harvest(samples.astype(float), RATE, frame_period=10.0)
    pitch = pitch[: len(log_mel)]
    return source_filter(log_mel, fbank, np.pad(pitch, (0, len(log_mel) - len(pitch))))


def by_librosa(samples: np.ndarray, fbank: Fbank) -> np.ndarray:
    """Non-negative least squares, then its fast Griffin-Lim."""
    c = fbank.config
    power = np.exp(frames(samples, fbank).T.astype(float))
    magnitude = librosa.feature.inverse.mel_to_stft(
        power, sr=c.sample_rate, n_fft=c.window, power=2.0, fmin=c.low, fmax=c.high, htk=True, norm=None
    )
    return librosa.griffinlim(magnitude, n_iter=64, hop_length=c.hop, n_fft=c.window, length=len(samples))


def by_torchaudio(samples: np.ndarray, fbank: Fbank) -> np.ndarray:
    """Least squares, then its fast Griffin-Lim."""
    c = fbank.config
    power = torch.from_numpy(frames(samples, fbank)).T.exp()
    invert = InverseMelScale(c.window // 2 + 1, c.bins, c.sample_rate, c.low, c.high, driver="gelsd")
    spectrum = invert(power).clamp_min(0.0)
    waveform: torch.Tensor = GriffinLim(c.window, 64, hop_length=c.hop, power=2.0, length=len(samples))(
        spectrum
    )
    return waveform.numpy()


def by_world(samples: np.ndarray, _: Fbank) -> np.ndarray:
    x = samples.astype(float)
    pitch, times = pyworld.harvest(x, RATE, frame_period=10.0)
    envelope = pyworld.cheaptrick(x, pitch, times, RATE)
    return pyworld.synthesize(pitch, envelope, pyworld.d4c(x, pitch, times, RATE), RATE, 10.0).astype("f4")


@torch.no_grad()
def by_vocoder(
    network: vocoder.Vocoder, samples: np.ndarray, fbank: Fbank, iterations: int = 0
) -> np.ndarray:
    """The vocoder at the level that it was trained at; then, if asked for, magnitudes and phases in turn."""
    waveform = torch.from_numpy(samples)[None]
    gain = fbank.level_gain(waveform)
    log_mel = fbank.log_mel(fbank.stft(waveform * gain))
    made: torch.Tensor = network(log_mel)
    magnitude = spectrum_of(log_mel[0], fbank).sqrt() if iterations else None
    for _ in range(iterations):
        phase = fbank.stft(made).angle()
        made = fbank.istft(torch.polar(magnitude.expand_as(phase), phase), made.shape[-1])
    return (made / gain)[0].numpy()


ROUTES: dict[str, Callable[[np.ndarray, Fbank], np.ndarray]] = {
    "multiplicative updates, Griffin-Lim of torchaudio (shipped)": ours,
    "source and filter (shipped, with a pitch)": by_source_and_filter,
    "least squares, Griffin-Lim of librosa": by_librosa,
    "InverseMelScale, Griffin-Lim of torchaudio": by_torchaudio,
    "World": by_world,
}


if __name__ == "__main__":
    main()
