"""Generated phones, measured by what does not know the model, beside real ones and copy-synthesised ones.

python recipes/generate/local/phone_scores.py MODEL CORPUS/train-clean-5

The judge (`judge.py`) is trained on real speech of all other speakers. Utterances of the speakers named are
said again by the model: their phones, with their durations. `copy` is the recordings themselves
by way of the log-mel frames: what no generator that ends in these frames can pass. Every phone is cut out by
the alignment and judged.

Columns: share of phones that the judge recognises, of 40; how many of 10 000 real phones of the other
speakers a judge recognises that is trained on this kind alone (classification accuracy score, Ravuri and
Vinyals 2019); squared Frechet distance of the judge's standardised features from those of real phones of
the other speakers, class by class, of Gaussians with independent features; mean distance of two phones of
a class as a ratio to that of real ones; mean distance to the nearest real training phone of the class.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from judge import RATE, features, train
from scipy.spatial.distance import cdist

from speechjem import phones
from speechjem.data.kaldi import Utterance, read_directory
from speechjem.features.inversion import griffin_lim
from speechjem.generation.generator import Generator

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

FEWEST = 12  # phones of a class, below which it has no distance
Set = tuple[np.ndarray, np.ndarray]  # features, labels


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    parser.add_argument("--training", type=int, default=400, help="recordings to train the judge on")
    parser.add_argument("--count", type=int, default=60, help="utterances to say again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--confusion", type=Path, help="picture of the judge's confusions to write")
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.data, arguments.speakers)

    generator = Generator(arguments.model)
    utterances = [u for u in read_directory(arguments.data) if u.alignment is not None]
    others = [u for u in utterances if u.speaker not in speakers]
    held_out = [u for u in utterances if u.speaker in speakers]
    training = gather((real(u), u) for u in spread(others, arguments.training))
    said = spread(held_out, arguments.count)
    kinds = {
        "real": gather((real(u), u) for u in said),
        "copy": gather((copied(generator, real(u)), u) for u in said),
        "generated": gather((again(generator, u, arguments.seed + n), u) for n, u in enumerate(said)),
    }
    judge = train(*training)
    print(f"{len(said)} utterances, {len(kinds['real'][1])} phones; judge from {len(training[1])} phones\n")
    print("| phones | recognised | CAS | Frechet distance | diversity | nearest |\n|---|---|---|---|---|---|")
    scale = judge[0]
    chosen = np.random.default_rng(0).permutation(len(training[1]))[:10000]
    other = tuple(part[chosen] for part in training)
    for name, (x, labels) in kinds.items():
        guessed = judge.predict(x)
        accuracy = np.mean(guessed == labels)
        cas = np.mean(train(x, labels).predict(other[0]) == other[1])
        z, reference = (scale.transform(x), labels), (scale.transform(training[0]), training[1])
        frechet = by_class(z, reference, frechet_distance)
        diversity = by_class(z, reference, lambda a, b: spread_of(a) / spread_of(b))
        nearest = by_class(z, reference, lambda a, b: float(cdist(a, b).min(1).mean()))
        print(f"| {name} | {accuracy:.1%} | {cas:.1%} | {frechet:.2f} | {diversity:.2f} | {nearest:.2f} |")
        if name == "generated" and arguments.confusion:
            draw(arguments.confusion, labels, guessed)


def spread(items: list[Utterance], count: int) -> list[Utterance]:
    return common.evenly(items, count)


def real(utterance: Utterance) -> np.ndarray:
    recording = utterance.read()
    return common.mono(recording, RATE)


def copied(generator: Generator, samples: np.ndarray) -> np.ndarray:
    """A recording by way of its log-mel frames."""
    fbank = generator.model.fbank
    waveform = torch.from_numpy(samples)
    return griffin_lim(fbank.log_mel(fbank.stft(waveform * fbank.level_gain(waveform))).numpy(), fbank)


def again(generator: Generator, utterance: Utterance, seed: int) -> np.ndarray:
    """The phones of an utterance, generated, each with the duration that it has in the recording."""
    alignment = utterance.alignment
    edges = np.round(np.append(alignment.starts, alignment.ends[-1]), 2)
    names = [phones.PHONES[label] for label in alignment.labels]
    lead = [("SIL", edges[0])] if edges[0] > 0 else []
    pieces = [*lead, *zip(names, np.diff(edges), strict=True)]
    pieces = [(name, seconds) for name, seconds in pieces if seconds > 0]
    return generator([name for name, _ in pieces], [float(s) for _, s in pieces], seed=seed)[0]


def gather(recordings) -> Set:
    rows, labels = [], []
    for samples, utterance in recordings:
        alignment = utterance.alignment
        rows.append(features(samples, alignment.starts, alignment.ends))
        labels.append(alignment.labels)
    return np.concatenate(rows), np.concatenate(labels)


def by_class(a: Set, b: Set, measure) -> float:
    """Mean of a measure of the phones of every class that both sets have enough of."""
    values = []
    for label in range(len(phones.PHONES)):
        first, second = (x[labels == label] for x, labels in (a, b))
        if min(len(first), len(second)) >= FEWEST:
            values.append(measure(first, second))
    return float(np.mean(values))


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians of two sets (Heusel et al. 2017), variances alone."""
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.sum((a.std(0) - b.std(0)) ** 2))


def spread_of(x: np.ndarray) -> float:
    """Mean distance of two members."""
    return float(cdist(x, x).sum() / (len(x) * (len(x) - 1)))


def draw(path: Path, labels: np.ndarray, guessed: np.ndarray) -> None:
    from speechjem import plot

    counts = np.zeros((len(phones.PHONES),) * 2, int)
    np.add.at(counts, (labels, guessed), 1)
    plot.confusion(counts, phones.PHONES, path)


if __name__ == "__main__":
    main()
