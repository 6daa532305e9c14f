"""Training on speech: what an update is; `loop` has the loop around it.

An update draws a batch of clean and noisy excerpts and adds four losses, all on one network:

- cross-entropy of the phones of the clean frames (and, lightly, of the noisy ones),
- the energy objective (ST-JEM by default) on short chunks of real frames against SGLD samples,
- the spectral loss of the trained descent from the noisy to the clean frames,
- a light squared error of every step's log-mel,
- and, if generation has trained steps, those of `speaking_losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.dataset import UNLABELLED, Batch, Batches, Corpus, load_corpus
from ..data.recording import Recording
from ..energy.langevin import sample, standard_normal
from ..energy.losses import (
    OBJECTIVES,
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
from ..models.speaking import voice_of
from ..models.speech import ModelConfig, SpeechModel
from ..phones import SILENCE
from ..runtime import distributed
from ..runtime.device import choose_device
from . import evaluate, loop, speaking
from .loop import Chains
from .settings import TrainConfig

MEASURED = 500  # labelled recordings on which the starts of generation are measured


class Plan(NamedTuple):
    """What an update works on: a batch, and which parts of it go into which losses.

    Attributes:
        clean, noisy, labels, pitch: as in `Batch`.
        rows, frames: of the chunks of the energy objective, shape (chunks, 1) and (chunks, length).
        part: frames of the chains that move, shape (length,).
        deal: rows whose noises the excerpts get, shape (batch,), and
        level: of these mixtures in dB re full scale, NaN where the excerpt is left as it is.
        conditioned: rows of the conditioned energy's objective.
        spoken: rows that generation is trained on, and
        speaking: 1, or 0 if none has a known pitch.
        labels_of_chains, slots, anew, wanted: as in `loop.Chains`.
    """

    clean: Tensor
    noisy: Tensor
    labels: Tensor
    pitch: Tensor
    rows: Tensor
    frames: Tensor
    part: Tensor
    deal: Tensor
    level: Tensor
    conditioned: Tensor
    spoken: Tensor
    speaking: Tensor
    labels_of_chains: Tensor
    slots: Tensor
    anew: Tensor
    wanted: Tensor


class SpeechTrainer(loop.Trainer[SpeechModel]):
    """The state of a training on speech, and the losses of one update.

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
        self.silence = config.model.phones.index(SILENCE)
        self.model = build(config.model)
        shape = (config.energy.frames, config.model.fbank.bins)
        first = corpus.at(0)  # the same for all processes
        if config.start is None:
            self._measure_features(_batches(config, first))
        else:
            self._start_from(config.start)
        if config.start is None or config.energy.weight > 0 or config.speak.weight > 0:
            self._measure_starts(first)  # else generation is not trained, and starts as it did
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
        framed = [_frames_of(fbank, r) for r in chosen]
        self.model.starts.measure(framed, fbank.frame_seconds)
        if self.model.speaking is not None:
            self.model.speaking.measure(fbank)
            pairs = zip(chosen, framed, strict=True)
            voices = [v for r, (x, labels) in pairs if (v := _voice(self.model, r, x, labels)) is not None]
            self.model.speaking.measure_voices(torch.stack(voices) if voices else torch.empty(0))
            self.model.speaking.measure_bigrams(labels for _, labels in framed)

    def _plan(self, batch: Batch) -> Plan:
        energy, labelled = self.config.energy, (batch.labels != UNLABELLED).all(1)
        length = energy.frames
        if energy.shortest > 0:  # one of three lengths
            share = torch.randint(3, (), generator=self.generator).item() / 2
            length = round(energy.shortest + share * (length - energy.shortest))
        rows, frames = self._chunks(labelled, batch.labels.shape[1], length)
        start = torch.randint(energy.frames - length + 1, (), generator=self.generator)
        chains = self._choose_chains(batch.labels[rows, frames])
        speaking = (
            labelled & (batch.pitch >= 0).all(1) & ((batch.labels != self.silence).float().mean(1) > 0.5)
        )
        places = (
            rows,
            frames,
            start + torch.arange(length),
            *self._deal(len(labelled)),
            self._some(labelled, energy.chunks),
            self._some(speaking, self.config.speak.excerpts),
            speaking.any().float(),
        )
        parts = [part.to(self.device, non_blocking=True) for part in (*batch, *places)]
        return Plan._make([*parts, *chains])

    def _deal(self, rows: int) -> tuple[Tensor, Tensor]:
        """Which excerpt gets which noise, and the level of the mixture in dB; none at the first update."""
        order, level = torch.arange(rows), torch.full((rows,), torch.nan)
        if self.update % self.config.deals:
            order = torch.randperm(rows, generator=self.generator)
            spread = 12 * torch.rand(rows, generator=self.generator) - 6  # as `Batches` does
            level = self.config.model.fbank.level + spread
        return order, level

    def _some(self, chosen: Tensor, count: int) -> Tensor:
        """Random rows among the chosen ones, repeated only if there are too few, shape (count,)."""
        rows = chosen.nonzero()[:, 0] if chosen.any() else torch.arange(len(chosen))
        rows = rows[torch.randperm(len(rows), generator=self.generator)]
        return rows.repeat(-(-count // len(rows)))[:count]

    def _is_fixed(self) -> bool:
        config, energy = self.config, self.config.energy
        varying = (energy.adapt, energy.longer_every, energy.unlabelled, config.score_matching)
        return not any(varying) and config.unconditioned == 0 and not any(config.descent_schedule)

    def _losses(self, given: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses by name, and further metrics to log."""
        config, fbank, plan = self.config, self.model.fbank, Plan(*given)
        with self._exactly():
            clean, noisy = (fbank.stft(waveform) for waveform in _dealt(plan))
            x_clean, x_noisy = fbank.normalise(fbank.log_mel(clean)), self.model.observe(noisy)
        logits = self.model.jem.logits(self._masked(x_clean))
        losses = {"loss_classify": config.classify * _cross_entropy(logits, plan.labels)}
        metrics = {"accuracy": _accuracy(logits, plan.labels), "max_logit": logits.abs().max()}
        if config.energy.weight > 0:
            loss, more = self._energy_loss(x_clean, plan)
            losses["loss_energy"] = config.energy.weight * loss
            metrics |= more
            metrics["max_logit"] = torch.maximum(metrics["max_logit"], more["max_logit_energy"])
        if config.denoise > 0:
            losses |= self._denoise_losses(x_noisy, x_clean, noisy, clean, plan)
        if config.speak.weight > 0:
            losses |= self._speak_losses(plan)
        if config.score_matching > 0:
            losses["loss_score_matching"] = config.score_matching * self._score_matching(x_clean)
        return losses, metrics

    def _energy_loss(self, x: Tensor, plan: Plan) -> tuple[Tensor, dict[str, Tensor]]:
        """The energy objective on chunks of real frames and on samples of the same length."""
        energy, place = self.config.energy, (plan.rows, plan.frames)
        chunks, labels = x[place], plan.labels[place]
        sampled = self._sample(Chains(*plan[-4:]), plan.part)
        if energy.sequences > 0:
            sampled = torch.cat([sampled, self._said(labels[: energy.sequences])])
        stride = slice(energy.stride // 2, None, energy.stride)
        logits = self.model.jem.logits(torch.cat([chunks, sampled]))[:, stride]
        real, fake = logits[: len(chunks)].flatten(0, 1), logits[len(chunks) :].flatten(0, 1)
        loss, metrics = self._objective(real, labels[:, stride].flatten(), fake)
        if energy.unlabelled > 0:
            loss = loss + energy.unlabelled * self._unlabelled_loss(x, plan, fake)
        return loss, metrics

    def _unlabelled_loss(self, x: Tensor, plan: Plan, fake: Tensor) -> Tensor:
        unlabelled = (plan.labels == UNLABELLED).all(1).cpu()
        if not unlabelled.any():
            return x.new_zeros(())
        stride = slice(self.config.energy.stride // 2, None, self.config.energy.stride)
        place = self._chunks(unlabelled, x.shape[1], plan.frames.shape[1])
        return example(self.model.jem.logits(x[place])[:, stride].flatten(0, 1), fake)

    def _said(self, labels: Tensor) -> Tensor:
        """What generation makes of sequences of phones, shape (sequences, frames, bins).

        Args:
            labels: shape (sequences, frames).
        """
        model, config = self.model, self.model.config
        with self._exactly():
            starts = model.starts.draw_each(labels, self.noise, config.temperature)

        def gradient(x: Tensor) -> Tensor:
            return model.jem.gradient(x, labels, config.guidance)

        return sample(gradient, starts, config.generate, self.noise)

    def _masked(self, x: Tensor) -> Tensor:
        """Frames with two bands of time and two of frequency at 0, the mean of speech."""
        for _ in range(2):
            for axis, longest in ((1, self.config.mask_frames), (2, self.config.mask_bins)):
                if longest > 0:
                    x = x * self._band(len(x), x.shape[axis], longest).unsqueeze(3 - axis)
        return x

    def _band(self, rows: int, size: int, longest: int) -> Tensor:
        """0 in a random band of every row and 1 elsewhere, shape (rows, size)."""
        width, place = torch.rand(2, rows, 1, device=self.device, generator=self.noise)
        width = width * longest
        start = place * (size - width)
        at = torch.arange(size, device=self.device)
        outside: Tensor = (at < start) | (at >= start + width)
        return outside.float()

    def _chunks(self, chosen: Tensor, frames: int, length: int) -> tuple[Tensor, Tensor]:
        """Random pieces of chosen excerpts: rows, shape (chunks, 1), and frames, (chunks, length)."""
        count = self.config.energy.chunks
        rows = chosen.nonzero()[:, 0]
        rows = rows[torch.randint(len(rows), (count,), generator=self.generator)]
        starts = torch.randint(frames - length + 1, (count, 1), generator=self.generator)
        return rows[:, None], starts + torch.arange(length)

    def _denoise_losses(
        self, x_noisy: Tensor, x_clean: Tensor, noisy: Tensor, clean: Tensor, plan: Plan
    ) -> dict[str, Tensor]:
        config, labels = self.config, plan.labels
        share = self.update / config.updates
        # Sometimes the envelope alone, so that descent on E(x) also works.
        plain = torch.rand((), generator=self.generator).item() < config.unconditioned
        count = min(1 + sum(share >= s for s in config.descent_schedule), config.model.descent.steps)
        errors, entropies = [], []
        start = x = x_noisy[..., : x_clean.shape[-1]] if plain else x_noisy
        for x, logits in self.model.descent.steps(self.model.jem, start, count):
            errors.append((x[..., : x_clean.shape[-1]].float() - x_clean).square().mean())
            entropies.append(_cross_entropy(logits, labels))
        with self._exactly():
            parts = self.model.turned((noisy.real, noisy.imag), x.float())
            estimate = self.model.gain(x.float(), start) * torch.complex(*parts)
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
                waveforms = (self.model.fbank.overlap_add(s, samples) for s in (estimate, clean))
                losses["loss_pesq"] = config.pesq * self.pesq(*waveforms)
        if config.conditioned > 0 and not plain:
            losses["loss_conditioned"] = config.conditioned * self._conditioned_loss(x_noisy, x, clean, plan)
        return losses

    def _conditioned_loss(self, noisy: Tensor, last: Tensor, clean: Tensor, plan: Plan) -> Tensor:
        """The energy objective on E(x | noisy), with the last frames of the descent as negatives.

        Args:
            noisy: frames as observed.
            last: frames after the last step.
            clean: spectrum of the clean speech.
            plan: of the update.
        """
        stride = slice(self.config.energy.stride // 2, None, self.config.energy.stride)
        noisy, last = noisy[plan.conditioned], last[plan.conditioned].detach().float()
        size = self.model.config.fbank.bins + self.model.config.network.fine
        with self._exactly():
            aim = self.model.observe(clean[plan.conditioned])[..., :size]
        # The phase is not what the energy is to judge: both have the turn of the last step.
        both = torch.cat([torch.cat([aim, last[..., size:]], -1), last])
        observed = self.model.jem.network.observe(noisy)
        logits = self.model.jem.logits(both, torch.cat([observed, observed]))[:, stride]
        real, fake = logits.flatten(0, 1).chunk(2)
        return self._objective(real, plan.labels[plan.conditioned][:, stride].flatten(), fake)[0]

    def _speak_losses(self, plan: Plan) -> dict[str, Tensor]:
        """The losses of generation, on excerpts of known phones and pitch at the nominal level."""
        speak, fbank, rows = self.config.speak, self.model.fbank, plan.spoken
        with self._exactly():
            x = fbank(plan.clean[rows] * fbank.level_gain(plan.clean[rows]))
        objective = OBJECTIVES[self.config.energy.objective]
        labels, pitch = plan.labels[rows].clamp_min(0), plan.pitch[rows]
        losses = speaking.losses(self.model, x, labels, pitch, speak, objective, self.noise)
        return {name: plan.speaking * speak.weight * loss for name, loss in losses.items()}

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
    """Train, or resume a training that was interrupted; see `loop.run` for what it writes.

    Args:
        config: settings; `config.data` says where the recordings are.
        out: folder of this training; if it has a checkpoint of the same settings, training resumes.
        corpus: recordings already in memory, instead of `config.data`.
        device: to train on, as in `device.choose_device`; of several processes, each takes a GPU.
        workers: processes that draw batches ahead.
        progress: draw a live progress bar on stderr.
        allow_pipes: as in `data.kaldi.read_directory`.

    Returns:
        The averaged model.

    Raises:
        DivergenceError: if training diverges; checkpoint.pt is the last good state.
        KeyboardInterrupt: if a signal ended it early.
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
        lambda: SpeechTrainer(config, known, device=place, workers=workers),
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
    corpus = load_corpus(
        data.labelled,
        data.unlabelled,
        Path(data.noise) if data.noise else None,
        data.held_out_speakers,
        config.model.fbank.sample_rate,
        allow_pipes,
        held_out=Path(held_out) if held_out else None,
        held_out_files=data.held_out_files,
        window=data.window,
        seed=config.seed,
    )
    if config.speak.weight > 0 and all(r.pitch is None for r in corpus.at(0).labelled):
        raise UsageError(
            f"The training of generation needs the pitch of {data.labelled}, which is not known: run "
            "'python recipes/steps/pitch.py' on the data directory (shards have none), or set speak.weight "
            "to 0."
        )
    return corpus


def _validate(model: SpeechModel, corpus: Corpus, probe: evaluate.DenoiseProbe | None) -> dict[str, float]:
    counts = evaluate.confusion(model, corpus.held_out[:: max(1, len(corpus.held_out) // 40)])
    scores = {"held_out_accuracy": evaluate.accuracy(counts)} if counts.any() else {}
    return scores | (probe.scores(model) if probe else {})


def _batches(config: TrainConfig, corpus: Corpus) -> Batches:
    fbank = config.model.fbank
    causal = config.model.network.causal
    return Batches(
        corpus, config.batch, config.seconds, fbank.hop, fbank.level, config.seed, config.augment, causal
    )


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


def _dealt(plan: Plan) -> tuple[Tensor, Tensor]:
    """Clean and noisy excerpts, with the noises of others where these are dealt."""
    mixture = plan.clean + (plan.noisy - plan.clean)[plan.deal]
    rms = mixture.square().mean(1).clamp_min(1e-12).sqrt()
    scale = 10 ** (plan.level / 20) / rms
    as_it_is = scale.isnan()
    scale = torch.where(as_it_is, 1.0, scale)[:, None]
    return scale * plan.clean, scale * torch.where(as_it_is[:, None], plan.noisy, mixture)


def _frames_of(fbank: Fbank, recording: Recording) -> tuple[Tensor, Tensor]:
    """Normalised frames of a recording, and the phone of each."""
    assert recording.alignment is not None
    waveform = torch.from_numpy(recording.samples.astype("float32") / 32767)
    x = fbank(waveform * fbank.level_gain(waveform))
    return x, torch.from_numpy(recording.alignment.at(np.arange(len(x)) * fbank.frame_seconds))


def _voice(model: SpeechModel, recording: Recording, x: Tensor, labels: Tensor) -> Tensor | None:
    """The voice of a recording, of its frames and their phones, if its pitch is known."""
    pitch = torch.from_numpy(recording.pitch_at(np.arange(len(x)) * model.fbank.frame_seconds))
    speech = labels != model.config.phones.index(SILENCE)
    return voice_of(x, model.starts.path(labels[None])[0], speech, pitch)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the labelled frames; 0 if there are none."""
    total = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=UNLABELLED, reduction="sum")
    return total / (labels != UNLABELLED).sum().clamp_min(1)


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    known = labels != UNLABELLED
    return ((logits.argmax(-1) == labels) & known).sum() / known.sum().clamp_min(1)
