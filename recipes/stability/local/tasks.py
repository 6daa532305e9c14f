"""What the study trains on: phones in speech, or images. Each says what a run is and what it is worth."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from samples import Judge
from speechjem.data import images
from speechjem.data.dataset import load_corpus
from speechjem.energy.langevin import Start, with_given
from speechjem.training import evaluate
from speechjem.training import images as image_training
from speechjem.training import speech as speech_training
from speechjem.training.settings import ImageTrainConfig, TrainConfig, read_config, read_image_config

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common
import image_judge

MEASURED = 40  # held-out recordings
TESTED = 2000  # test images
EPOCHS = 2  # of the judge of images
EACH = 20  # chains a class
STEPS = 60  # of a chain of images


class Speech:
    """Phones of the frames of speech.

    Args:
        config: file of a `TrainConfig`.
        labelled: data directory with an alignment.
        noise: folder of recorded noise, or None.
        worth: whether to measure what the models are worth, beyond whether they survive.
    """

    rates = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)  # of Muon and AdamW
    step_sizes = (0.03, 0.1, 0.3, 1.0, 3.0)

    def __init__(self, config: Path, labelled: Path, noise: Path | None, worth: bool):
        self.config = read_config(config)
        rate = self.config.model.fbank.sample_rate
        self.corpus = load_corpus(labelled, None, noise, self.config.data.held_out_speakers, rate)
        held_out = self.corpus.held_out
        self.recordings = common.evenly(held_out, MEASURED)
        if worth:
            self.probe = evaluate.DenoiseProbe(self.corpus)
            self.judge = Judge(self.corpus, self.config.model)

    def trainer(self, config: TrainConfig) -> speech_training.SpeechTrainer:
        return speech_training.SpeechTrainer(config, self.corpus)

    def start(self, trainer: speech_training.SpeechTrainer) -> Start:
        """Chains that start from the Gaussian of their phone."""
        _, _, frames, bins = trainer.buffer.chains.shape
        starts = trainer.model.starts

        def draw(labels: Tensor, generator: torch.Generator) -> Tensor:
            drawn = [starts.draw(label.expand(frames), 1, generator) for label in labels]
            return torch.cat([torch.empty(0, frames, bins), *drawn])

        return draw

    def worth(self, trainer: speech_training.SpeechTrainer) -> dict[str, float]:
        model = trainer.shipped()
        sampler = trainer.adaptation.config if trainer.config.energy.adapt else trainer.config.energy.langevin
        confident, right = [], []
        for recording in self.recordings:
            if recording.alignment is None:
                continue
            posterior = np.exp(evaluate.log_posterior(model, recording.waveform))
            times = np.arange(len(posterior)) * model.fbank.frame_seconds
            confident.append(posterior.max(1))
            right.append(posterior.argmax(1) == recording.alignment.at(times))
        return {
            "accuracy": float(np.mean(np.concatenate(right))),
            "ece": evaluate.calibration_error(*map(np.concatenate, (confident, right))),
            **self.judge(model, sampler),
            "pesq_gain": self.probe.scores(model, mode="prior")["pesq_wb_gain"],
        }


class Images:
    """Classes of images.

    Args:
        config: file of an `ImageTrainConfig`.
        folder: where its images are.
        worth: as in `Speech`.
    """

    rates = (1e-4, 3e-4, 1e-3, 3e-3)  # of Adam
    step_sizes = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)

    def __init__(self, config: Path, folder: Path, worth: bool):
        self.config = read_image_config(config)
        self.learnt = images.read(self.config.data.name, folder, "train")
        if worth:
            self.test = images.read(self.config.data.name, folder, "test")[:TESTED]
            self.judge = image_judge.train(self.learnt, EPOCHS, torch.device("cpu"))
            predicted, features = self.judge.judge(self.test.pixels)
            self.real = float((predicted == self.test.labels).mean())
            self.spread = image_judge.diversity(features, self.test.labels)

    def trainer(self, config: ImageTrainConfig) -> image_training.ImageTrainer:
        return image_training.ImageTrainer(config, self.learnt)

    def start(self, trainer: image_training.ImageTrainer) -> Start:
        """Chains that start from the Gaussian of their class, each pixel for itself."""
        x, labels = images.to_unit(self.learnt.pixels), torch.from_numpy(self.learnt.labels)
        of_class = [x[labels == label] for label in range(len(self.learnt.classes))]
        mean, std = (torch.stack([getattr(part, name)(0) for part in of_class]) for name in ("mean", "std"))

        def draw(labels: Tensor, generator: torch.Generator) -> Tensor:
            noise = torch.randn((len(labels), *mean.shape[1:]), generator=generator)
            return (mean[labels] + std[labels] * noise).clamp(-1, 1)

        return draw

    def worth(self, trainer: image_training.ImageTrainer) -> dict[str, float]:
        model = trainer.shipped()
        posterior = model.logits(images.to_unit(self.test.pixels)).softmax(1).numpy()
        right = posterior.argmax(1) == self.test.labels
        sampler = trainer.adaptation.config if trainer.config.energy.adapt else trainer.config.energy.langevin
        labels = torch.arange(len(self.learnt.classes)).repeat(EACH)
        generator = torch.Generator().manual_seed(0)
        made = images.to_bytes(model.generate(labels, generator, with_given(sampler, steps=STEPS)))
        heard, features = self.judge.judge(made)
        return {
            "accuracy": float(right.mean()),
            "ece": evaluate.calibration_error(posterior.max(1), right),
            "judge": float((heard == labels.numpy()).mean()),
            "judge_real": self.real,
            "diversity": image_judge.diversity(features, labels.numpy()) / self.spread,
        }
