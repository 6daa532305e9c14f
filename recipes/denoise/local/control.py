"""What following an energy costs, beside a network that predicts the gain directly.

python recipes/denoise/local/control.py CONFIG --labelled DIR --unlabelled DIR --noise DIR --minutes 20 \
    [energy | steps | direct] [--pairs NOISY_FOLDER CLEAN_FOLDER]

`energy` trains the configuration from random weights; `steps` its descent alone, without phones and the
energy objective. `direct` trains, with the same data, losses on the gain, optimisers and time (or number of
updates), one network of the same size that is run once and gives the movement of the frames itself: it
classifies nothing, and has no energy. Prints the scores of each on held-out speakers and noises, and on the
pairs. Run them at the same time, on one core each (OMP_NUM_THREADS=1), so that they have the same machine.
"""

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from speechjem import audio, metrics
from speechjem.data.dataset import Corpus, load_corpus
from speechjem.denoising.denoiser import Denoiser
from speechjem.energy.jem import JEM
from speechjem.energy.tdnn import SlidingTDNN
from speechjem.models.speech import ModelConfig, SpeechModel
from speechjem.training.evaluate import DenoiseProbe
from speechjem.training.settings import TrainConfig, read_config
from speechjem.training.speech import SpeechTrainer

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common


class Direct(nn.Module):
    """In the place of the descent: one pass of a network whose outputs are added to the frames."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        network = config.network
        self.bins, self.size = network.bins, network.bins + network.fine
        self.network = SlidingTDNN(replace(network, classes=network.bins + network.fine))
        self.classes = network.classes

    def check(self, count: int) -> None:
        pass

    def steps(self, jem: JEM, x: Tensor, count: int, *_: object) -> Iterator[tuple[Tensor, Tensor]]:
        with_fine = x.shape[-1] > self.bins
        observed = self.network.observe(x) if with_fine else None
        x = x[..., : self.size]
        movement = self.network(x, observed)
        yield x + movement[..., : x.shape[-1]].float(), x.new_zeros(*x.shape[:2], self.classes)


def direct_model(config: ModelConfig) -> SpeechModel:
    model = SpeechModel(config)
    model.descent = Direct(config)
    return model


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("kind", choices=("energy", "steps", "direct"))
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--unlabelled", type=Path)
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--updates", type=int, help="instead of --minutes")
    parser.add_argument("--pairs", type=Path, nargs=2)
    arguments = parser.parse_args()

    config = replace(read_config(arguments.config), start=None)
    corpus = load_corpus(
        arguments.labelled, arguments.unlabelled, arguments.noise, config.data.held_out_speakers, 16000
    )
    start = time.monotonic()
    trainer = train(config, corpus, arguments.kind, arguments.minutes, arguments.updates)
    model = trainer.shipped()
    minutes = (time.monotonic() - start) / 60
    print(f"{arguments.kind}: {trainer.update} updates in {minutes:.1f} minutes")
    print({name: round(value, 4) for name, value in DenoiseProbe(corpus).scores(model).items()})
    if arguments.pairs:
        print("| network | PESQ-WB | ESTOI | SI-SDR (dB) |\n|---|---|---|---|")
        print("| {} | {:.3f} | {:.4f} | {:.2f} |".format(arguments.kind, *score(model, *arguments.pairs)))


def train(
    config: TrainConfig, corpus: Corpus, kind: str, minutes: float, updates: int | None = None
) -> SpeechTrainer:
    """Train for a time, or for a number of updates.

    The schedule needs that number: for a time, it is found from the speed of the first 30.
    """
    if kind != "energy":
        silent = replace(config.energy, weight=0.0)
        config = replace(
            config, classify=0.0, classify_noisy=0.0, unconditioned=0.0, energy=silent, logit_limit=math.inf
        )
    trainer = SpeechTrainer(config, corpus, direct_model if kind == "direct" else SpeechModel)
    start = time.monotonic()
    end = math.inf if updates else start + 60 * minutes
    if updates is None:
        for _ in range(30):
            trainer.step()
        updates = int(minutes * 60 / ((time.monotonic() - start) / 30))
    trainer.config = replace(config, updates=updates)
    while trainer.update < updates and time.monotonic() < end:
        trainer.step()
    return trainer


def score(model: SpeechModel, noisy: Path, clean: Path) -> np.ndarray:
    """Mean PESQ-WB, ESTOI and SI-SDR of the denoised pairs."""
    denoiser, values = Denoiser(model, mode="descent", device="cpu"), []
    for reference, degraded in metrics.pairs(clean, noisy):
        target, given = audio.read(reference), audio.read(degraded)
        scores = metrics.score(target.samples[0], denoiser(given.samples[0], 16000), 16000)
        row = [scores[name].value for name in ("pesq_wb", "estoi", "si_sdr")]
        values.append(common.numbers(row))
    return np.nanmean(values, axis=0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
