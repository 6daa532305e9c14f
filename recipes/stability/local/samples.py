"""What an independent judge thinks of sampled frames: support vectors on cepstra of real phones."""

import numpy as np
import torch
from scipy.fft import dct
from scipy.spatial.distance import pdist
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from speechjem.data.dataset import Corpus, Recording
from speechjem.energy.langevin import LangevinConfig, sample
from speechjem.features.fbank import Fbank
from speechjem.models.speech import ModelConfig, SpeechModel

SHORTEST = 8  # frames of a real phone, below which it is reduced
CEPSTRA = 16
RECORDINGS = 400
EACH = 8  # chains a phone
LENGTH = 32  # frames of a chain, of which the middle half is judged
STEPS = 60


class Judge:
    """Learns the phones of the training speech.

    Args:
        corpus: recordings with alignments.
        config: of the models to judge: their filterbank and phones.
    """

    def __init__(self, corpus: Corpus, config: ModelConfig):
        self.fbank = Fbank(config.fbank)
        self.phones = len(config.phones)
        x, labels = self._real(corpus.labelled[:: max(1, len(corpus.labelled) // RECORDINGS)])
        self.judge = make_pipeline(StandardScaler(), SVC(C=4.0, class_weight="balanced")).fit(x, labels)
        self.distances = self._distances(x, labels)
        held_out, truth = self._real(corpus.held_out)
        # Every phone counts alike, as among the samples.
        self.real_accuracy = _mean_of_classes(self.judge.predict(held_out) == truth, truth)

    def __call__(self, model: SpeechModel, sampler: LangevinConfig, seed: int = 0) -> dict[str, float]:
        """Accuracy and diversity of chains that start from N(0, 1), one phone each.

        Args:
            model: with the judge's filterbank; its normalisation is undone.
            sampler: settings of its training's chains, of which there are `STEPS` here.
            seed: of the noise.

        Returns:
            `judge`, the share of chains that are recognised, beside `judge_real`, that of real phones of
            held-out speakers, and `diversity`, the distance of two chains of a phone as a ratio to that
            of two real ones.
        """
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(self.phones).repeat_interleave(EACH)
        x = torch.randn((len(labels), LENGTH, self.fbank.config.bins), generator=generator)
        settings = LangevinConfig(**{**vars(sampler), "steps": STEPS, "bound": 6.0})
        frame_labels = labels[:, None].expand(-1, LENGTH)
        x = sample(lambda x: model.jem.gradient(x, frame_labels), x, settings, generator)
        log_mel = model.fbank.denormalise(x)
        heard = np.array([_cepstra(frames[LENGTH // 4 : -LENGTH // 4].numpy()) for frames in log_mel])
        ratios = [
            np.mean(pdist(self._scaled(heard[labels == phone]))) / distance
            for phone, distance in self.distances.items()
        ]
        accuracy = float(np.mean(self.judge.predict(heard) == labels.numpy()))
        return {"judge": accuracy, "judge_real": self.real_accuracy, "diversity": float(np.mean(ratios))}

    def _real(self, recordings: list[Recording]) -> tuple[np.ndarray, np.ndarray]:
        """Cepstra and labels of the longer phones."""
        x, labels = [], []
        for recording in recordings:
            if recording.alignment is None:
                continue
            waveform = torch.from_numpy(recording.waveform)[None]
            waveform = waveform * self.fbank.level_gain(waveform)
            log_mel = self.fbank.log_mel(self.fbank.stft(waveform))[0].numpy()
            phones = recording.alignment.at(np.arange(len(log_mel)) * self.fbank.frame_seconds)
            edges = [0, *(np.nonzero(np.diff(phones))[0] + 1), len(phones)]
            for start, end in zip(edges, edges[1:], strict=False):
                if end - start >= SHORTEST:
                    quarter = (end - start) // 4
                    x.append(_cepstra(log_mel[start + quarter : end - quarter]))
                    labels.append(phones[start])
        return np.array(x), np.array(labels)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return self.judge[0].transform(x)

    def _distances(self, x: np.ndarray, labels: np.ndarray) -> dict[int, float]:
        """Mean distance of two real phones, by class; classes of less than three have none."""
        chosen = {int(phone): x[labels == phone][:200] for phone in np.unique(labels)}
        return {phone: np.mean(pdist(self._scaled(of))) for phone, of in chosen.items() if len(of) > 2}


def _cepstra(log_mel: np.ndarray) -> np.ndarray:
    return dct(log_mel.mean(0), norm="ortho")[:CEPSTRA]


def _mean_of_classes(right: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([right[truth == phone].mean() for phone in np.unique(truth)]))
