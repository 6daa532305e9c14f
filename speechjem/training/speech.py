"""Training on speech: what an update is; `loop` has the loop around it.

An update draws a batch of clean and noisy excerpts and adds four losses, all on one network:

- cross-entropy of the phones of the clean frames (and, lightly, of the noisy ones),
- the energy objective (ST-JEM by default) on short chunks of real frames against SGLD samples,
- the spectral loss of the trained descent from the noisy to the clean frames,
- a light squared error of every step's log-mel.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchaudio.functional import mask_along_axis_iid

from ..data.dataset import UNLABELLED, Batch, Batches, Corpus, load_corpus
from ..data.recording import Recording
from ..energy.langevin import sample, standard_normal
from ..energy.losses import (
    PesqDistance,
    denoising_score_matching,
    envelope_decorrelation,
    example,
    spectral_distance,
    third_octaves,
)
from ..errors import UsageError
from ..features.fbank import Fbank
from ..models import checkpoint
from ..models.speech import ModelConfig, SpeechModel
from ..runtime import distributed
from ..runtime.device import choose_device
from . import evaluate, loop
from .settings import TrainConfig

PIECE = (12, 60)  # frames, the shortest and the longest
MEASURED = 500  # labelled recordings that say where chains of generation start


class Trainer(loop.Trainer[SpeechModel]):
    """Everything that changes while training on speech, and the losses of one update.

    Args:
        config: settings.
        corpus: recordings.
        build: makes the model of a configuration.
        device: to train on.
        workers: processes that draw batches ahead.
    """

    config: TrainConfig

    def __init__(
        self,
        config: TrainConfig,
        corpus: Corpus,
        build: Callable[[ModelConfig], SpeechModel] = SpeechModel,
        device: torch.device | None = None,
        workers: int = 0,
    ):
        if config.pesq > 0 and device is not None and device.type == "mps":
            raise UsageError("PESQ's loss needs double precision, which MPS lacks; pass --device cpu.")
        torch.manual_seed(config.seed)
        self.model = build(config.model)
        shape = (config.energy.frames, config.model.fbank.bins)
        first = corpus.at(0)  # the same for all processes
        if config.start is None:
            self._measure_features(_batches(config, first))
        else:
            self._start_from(config.start)
        self._measure_starts(first)
        self.model.to(device or "cpu")
        super().__init__(
            config,
            self.model,
            _batches(config, corpus),
            _optimisers(self.model, config),
            len(config.model.phones),
            shape,
            standard_normal(shape),
            workers,
        )
        fbank = config.model.fbank
        self.pesq = PesqDistance(fbank.sample_rate).to(self.device) if config.pesq > 0 else None
        self.bands = third_octaves(fbank.window // 2 + 1, fbank.sample_rate).to(self.device)

    def _start_from(self, folder: str) -> None:
        try:
            # Layers that the older model lacks start as if it had no such layers.
            self.model.load_state_dict(self.model.state_dict() | checkpoint.load(folder).state_dict())
        except RuntimeError as error:
            raise UsageError(
                f"The model in {folder} has other sizes than the settings; start anew."
            ) from error

    def _measure_features(self, batches: Batches) -> None:
        """Set the mean and the standard deviation of each mel bin from clean excerpts."""
        fbank = self.model.fbank
        excerpts = torch.cat([batches.draw(number).clean for number in range(32)])
        frames = fbank.log_mel(fbank.stft(excerpts)).flatten(0, 1)
        fbank.mean.copy_(frames.mean(0))
        fbank.std.copy_(frames.std(0))

    def _measure_starts(self, corpus: Corpus) -> None:
        """Set the Gaussian and the duration of every phone from labelled speech."""
        fbank, labelled = self.model.fbank, [r for r in corpus.labelled if r.alignment is not None]
        chosen = labelled[:: max(1, len(labelled) // MEASURED)]
        self.model.starts.measure([_frames_of(fbank, r) for r in chosen], fbank.frame_seconds)

    def _losses(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses by name, and what is worth logging beside them."""
        config, fbank = self.config, self.model.fbank
        *waveforms, labels = (part.to(self.device, non_blocking=True) for part in batch)
        with self._exactly():
            clean, noisy = (fbank.stft(waveform) for waveform in waveforms)
            x_clean, x_noisy = fbank.normalise(fbank.log_mel(clean)), self.model.observe(noisy)
        logits = self.model.jem.logits(self._masked(x_clean))
        losses = {"loss_classify": config.classify * _cross_entropy(logits, labels)}
        metrics = {"accuracy": _accuracy(logits, labels), "max_logit": logits.abs().max()}
        if config.energy.weight > 0:
            loss, more = self._energy_loss(x_clean, batch.labels)
            losses["loss_energy"] = config.energy.weight * loss
            metrics |= more
            metrics["max_logit"] = torch.maximum(metrics["max_logit"], more["max_logit_energy"])
        if config.denoise > 0:
            losses |= self._denoise_losses(x_noisy, x_clean, noisy, clean, labels)
        if config.score_matching > 0:
            losses["loss_score_matching"] = config.score_matching * self._score_matching(x_clean)
        return losses, metrics

    def _energy_loss(self, x: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The energy objective on chunks of real frames and on samples of the same length.

        The labels are on the CPU, where what to take is drawn; the places of chunks may be as well.
        """
        energy = self.config.energy
        place = self._chunks((labels != UNLABELLED).all(1), x.shape[1])
        chunks, chunk_labels = x[place], labels[place]
        sampled = self._sample(chunk_labels)
        if energy.sequences > 0:
            sampled = torch.cat([sampled, self._said(chunk_labels[: energy.sequences])])
        stride = slice(energy.stride // 2, None, energy.stride)
        logits = self.model.jem.logits(torch.cat([chunks, sampled]))[:, stride]
        real, fake = logits[: len(chunks)].flatten(0, 1), logits[len(chunks) :].flatten(0, 1)
        loss, metrics = self._objective(real, chunk_labels[:, stride].flatten().to(x.device), fake)
        unlabelled = (labels == UNLABELLED).all(1)
        if energy.unlabelled > 0 and unlabelled.any():
            more = self.model.jem.logits(x[self._chunks(unlabelled, x.shape[1])])[:, stride]
            loss = loss + energy.unlabelled * example(more.flatten(0, 1), fake)
        return loss, metrics

    def _said(self, labels: Tensor) -> Tensor:
        """What generation makes of sequences of phones, shape (sequences, frames, bins).

        Args:
            labels: shape (sequences, frames), on the CPU.
        """
        model, config = self.model, self.model.config
        with self._exactly():
            starts = [model.starts.draw(row, 1, self.generator, config.temperature) for row in labels]
        wanted = labels.to(self.device)

        def gradient(x: Tensor) -> Tensor:
            return model.jem.gradient(x, wanted, config.guidance)

        return sample(gradient, torch.cat(starts), config.generate, self.noise)

    def _masked(self, x: Tensor) -> Tensor:
        """Frames with bands of time and of frequency at 0, the mean of speech."""
        longest = {2: self.config.mask_frames, 3: self.config.mask_bins}
        if not any(longest.values()):
            return x
        seed = torch.randint(1 << 62, (), generator=self.generator).item()
        with torch.random.fork_rng():  # for torchaudio takes no generator
            torch.manual_seed(int(seed))
            for axis, size in 2 * list(longest.items()):
                x = mask_along_axis_iid(x[:, None], size, 0.0, axis)[:, 0]
        return x

    def _chunks(self, chosen: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Random short pieces of chosen excerpts: rows, shape (chunks, 1), and frames, (chunks, length)."""
        energy = self.config.energy
        rows = chosen.nonzero()[:, 0]
        rows = rows[torch.randint(len(rows), (energy.chunks,), generator=self.generator)]
        starts = torch.randint(frames - energy.frames + 1, (energy.chunks, 1), generator=self.generator)
        return rows[:, None], starts + torch.arange(energy.frames)

    def _denoise_losses(
        self, x_noisy: Tensor, x_clean: Tensor, noisy: Tensor, clean: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        config = self.config
        share = self.update / config.updates
        # At times by the envelope alone, so that E(x) stays an energy one can follow.
        plain = torch.rand((), generator=self.generator).item() < config.unconditioned
        count = min(1 + sum(share >= s for s in config.descent_schedule), config.model.descent.steps)
        errors, entropies = [], []
        start = x = x_noisy[..., : x_clean.shape[-1]] if plain else x_noisy
        frames, length = start.shape[1], self._piece(start.shape[1])
        for piece, piece_logits in self.model.descent.steps(self.model.jem, _pieces(start, length), count):
            x, logits = _joined(piece, frames), _joined(piece_logits, frames)
            errors.append((x[..., : x_clean.shape[-1]].float() - x_clean).square().mean())
            entropies.append(_cross_entropy(logits, labels))
        with self._exactly():
            estimate = self.model.gain(x.float(), start) * noisy
            spectral = spectral_distance(estimate, clean, self.model.fbank.filters)
            envelope = envelope_decorrelation(estimate.abs().square(), clean.abs().square(), self.bands)
            losses = {
                "loss_denoise": config.denoise * spectral,
                "loss_envelope": config.envelope * envelope,
                "loss_log_mel": config.log_mel * torch.stack(errors).mean(),
                "loss_classify_noisy": config.classify_noisy * torch.stack(entropies).mean(),
            }
            if self.pesq is not None:
                samples = self.batches.length
                waveforms = (self.model.fbank.istft(s, samples) for s in (estimate, clean))
                losses["loss_pesq"] = config.pesq * self.pesq(*waveforms)
        return losses

    def _piece(self, frames: int) -> int:
        """Length of the pieces that the descent hears: all frames, or at times a few."""
        if torch.rand((), generator=self.generator).item() >= self.config.cut:
            return frames
        shortest, longest = PIECE
        return int(torch.randint(shortest, longest + 1, (), generator=self.generator))

    def _score_matching(self, x: Tensor) -> Tensor:
        """Denoising score matching at noise levels drawn log-uniformly from 0.08 to 1.2."""
        share = torch.rand(len(x), 1, 1, device=x.device, generator=self.noise)
        noise = torch.randn(x.shape, device=x.device, generator=self.noise)
        return denoising_score_matching(self.model.jem, x, 0.08 * 15.0**share, noise)

    def _exactly(self) -> torch.autocast:
        """In single precision, whatever the rest is computed in."""
        return torch.autocast(self.device.type, enabled=False)


def train(
    config: TrainConfig,
    out: Path,
    *,
    corpus: Corpus | None = None,
    device: str = "cpu",
    workers: int = 0,
    progress: bool = True,
    allow_pipes: bool = False,
) -> SpeechModel:
    """Train, or go on with a training that was interrupted; see `loop.run` for what it writes.

    Args:
        config: settings; `config.data` says where the recordings are.
        out: folder of this training; when it has a checkpoint of the same settings, training goes on.
        corpus: recordings already in memory, instead of `config.data`.
        device: to train on, as in `device.choose_device`; several processes take a GPU each.
        workers: processes that draw batches ahead.
        progress: draw a live progress bar on stderr.
        allow_pipes: as in `data.kaldi.read_directory`.

    Returns:
        The averaged model.

    Raises:
        DivergenceError: when training cannot go on; checkpoint.pt is the last good state.
        KeyboardInterrupt: when a signal ended it early.
        InputError: if the data cannot be used.
    """
    place = distributed.own_device(choose_device(device))
    known = _load_data(config, allow_pipes) if corpus is None else corpus
    probe = None
    if known.held_out and config.denoise > 0 and distributed.rank() == 0:
        probe = evaluate.DenoiseProbe(known)

    def validate(model: SpeechModel) -> dict[str, float]:
        return _validate(model, known, probe)

    return loop.run(
        lambda: Trainer(config, known, device=place, workers=workers),
        out,
        validate if known.held_out else None,
        place,
        progress,
    )


def _load_data(config: TrainConfig, allow_pipes: bool) -> Corpus:
    data = config.data
    if data.labelled is None:
        raise UsageError("No corpus given; pass --labelled DIRECTORY or set data.labelled in the settings.")
    held_out = data.held_out if distributed.rank() == 0 else None  # only the first process measures
    return load_corpus(
        data.labelled,
        data.unlabelled,
        Path(data.noise) if data.noise else None,
        data.held_out_speakers,
        config.model.fbank.sample_rate,
        allow_pipes,
        held_out=Path(held_out) if held_out else None,
        window=data.window,
        seed=config.seed,
    )


def _validate(model: SpeechModel, corpus: Corpus, probe: evaluate.DenoiseProbe | None) -> dict[str, float]:
    counts = evaluate.confusion(model, corpus.held_out[:: max(1, len(corpus.held_out) // 40)])
    scores = {"held_out_accuracy": evaluate.accuracy(counts)} if counts.any() else {}
    return scores | (probe.scores(model) if probe else {})


def _batches(config: TrainConfig, corpus: Corpus) -> Batches:
    fbank = config.model.fbank
    return Batches(corpus, config.batch, config.seconds, fbank.hop, fbank.level, config.seed, config.augment)


def _optimisers(model: SpeechModel, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices from frames to hidden layers, AdamW for all else."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_hidden = parameter.ndim == 2 and name.endswith("weight") and not name.endswith("output.weight")
        (matrices if is_hidden else others).append(parameter)
    rate, decay = config.learning_rate, config.weight_decay
    # The same learning rate fits both: Muon's updates are scaled to the size that AdamW's have.
    muon = torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, lr=rate, weight_decay=decay)]


def _pieces(x: Tensor, length: int) -> Tensor:
    """Frames cut into pieces: (batch, frames, size) -> (batch * pieces, length, size)."""
    return F.pad(x, (0, 0, 0, -x.shape[1] % length)).reshape(-1, length, x.shape[-1])


def _joined(pieces: Tensor, frames: int) -> Tensor:
    """Inverse of `_pieces`, (batch, frames, size)."""
    count = -(-frames // pieces.shape[1])
    return pieces.reshape(-1, count * pieces.shape[1], pieces.shape[-1])[:, :frames]


def _frames_of(fbank: Fbank, recording: Recording) -> tuple[Tensor, Tensor]:
    """Normalised frames of a recording, and the phone of each."""
    assert recording.alignment is not None
    waveform = torch.from_numpy(recording.samples.astype("float32") / 32767)
    x = fbank(waveform * fbank.level_gain(waveform))
    return x, torch.from_numpy(recording.alignment.at(np.arange(len(x)) * fbank.frame_seconds))


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the labelled frames; 0 if there are none."""
    total = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=UNLABELLED, reduction="sum")
    return total / (labels != UNLABELLED).sum().clamp_min(1)


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    known = labels != UNLABELLED
    return ((logits.argmax(-1) == labels) & known).sum() / known.sum().clamp_min(1)
