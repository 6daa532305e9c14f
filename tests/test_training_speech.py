"""Training on a toy corpus: it learns, resumes exactly, and stops when it diverges."""

from __future__ import annotations

import copy
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from support import TINY, Trap, differences, rows, state, write_corpus

from speechjem import Denoiser, phones
from speechjem.data.dataset import UNLABELLED, Augmentation
from speechjem.energy.descent import DescentConfig
from speechjem.energy.langevin import LangevinConfig
from speechjem.energy.losses import OBJECTIVES
from speechjem.errors import DivergenceError, InputError, ModelError, UsageError
from speechjem.generation.generator import Generator
from speechjem.models import checkpoint
from speechjem.models.speech import ModelConfig
from speechjem.training import evaluate, settings
from speechjem.training import speaking as speaking_losses
from speechjem.training import speech as train
from speechjem.training.settings import DataConfig, SpeakConfig, TrainConfig
from speechjem.training.speech import SpeechTrainer

# Little beside the update itself, for tests of the loop around it.
QUICK = replace(TINY, updates=12, batch=2, energy=replace(TINY.energy, langevin=LangevinConfig(steps=1)))


def with_energy(config: TrainConfig, **changed: Any) -> TrainConfig:
    return replace(config, energy=replace(config.energy, **changed))


def run(
    config: TrainConfig, corpus, updates: int, **how: Any
) -> tuple[SpeechTrainer, list[dict[str, float]]]:
    trainer = SpeechTrainer(config, corpus, **how)
    return trainer, [trainer.step() for _ in range(updates)]


# Learning


def test_phones_of_speakers_never_heard_are_recognised(toy_corpus, device):
    trainer = SpeechTrainer(replace(TINY, updates=60), toy_corpus, device=device)
    before = evaluate.accuracy(evaluate.confusion(trainer.shipped(), toy_corpus.held_out))
    for _ in range(60):
        trainer.step()
    counts = evaluate.confusion(trainer.shipped(), toy_corpus.held_out)
    most_frequent = counts.sum(1).max() / counts.sum()
    assert before < 0.4
    assert most_frequent < 0.4
    assert evaluate.accuracy(counts) > 0.85


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_every_objective_alone_teaches_the_phones(toy_corpus, device, objective):
    config = with_energy(replace(TINY, updates=60, classify=0.0, denoise=0.0), objective=objective)
    trainer, metrics = run(config, toy_corpus, 60, device=device)
    counts = evaluate.confusion(trainer.shipped(), toy_corpus.held_out)
    assert evaluate.accuracy(counts) > 0.6
    assert all(math.isfinite(value) for row in metrics for value in row.values())


def si_sdr(clean: np.ndarray, estimate: np.ndarray) -> float:
    target = clean * (clean @ estimate) / (clean @ clean)
    return float(10 * np.log10(np.sum(target**2) / np.sum((estimate - target) ** 2)))


def test_denoising_is_learnt(toy_corpus, device):
    noisy_speech = Augmentation(snr=(-5.0, 10.0), clean=0.0, pauses=0.0)
    config = replace(with_energy(TINY, weight=0.0), updates=120, batch=6, denoise=4.0, augment=noisy_speech)
    trainer, metrics = run(config, toy_corpus, 120, device=device)
    losses = [row["loss_denoise"] for row in metrics]
    assert np.mean(losses[-30:]) < 0.9 * np.mean(losses[:30])
    denoise = Denoiser(trainer.shipped(), mode="descent", device=device.type)
    unseen = [trainer.batches.draw(number) for number in (1000, 1001, 1002)]
    pairs = [pair for b in unseen for pair in zip(b.clean.numpy(), b.noisy.numpy(), strict=True)]
    gains = [si_sdr(clean, denoise(noisy, 16000)) - si_sdr(clean, noisy) for clean, noisy in pairs]
    assert np.mean(gains) > 1.0


def pitched(corpus, pitch: float | None = 120.0):
    """The corpus with a pitch that all its voiced phones would have."""

    def one(recording):
        names = [
            phones.PHONES[n] for n in recording.alignment.at(np.arange(len(recording.samples) // 160) / 100)
        ]
        track = np.array([pitch if name in phones.VOICED else 0 for name in names], np.float16)
        return replace(recording, pitch=track)

    return replace(corpus, labelled=[one(recording) for recording in corpus.labelled])


SPEAKING = replace(
    with_energy(TINY, weight=0.0),
    model=replace(TINY.model, network=replace(TINY.model.network, told=242)),
    denoise=0.0,
    speak=SpeakConfig(weight=1.0, excerpts=4),
    augment=Augmentation(pauses=0.0, rooms=0.0),
)


def test_generation_is_trained_where_the_pitch_is_known(toy_corpus, device):
    trainer, metrics = run(SPEAKING, pitched(toy_corpus), 5, device=device)
    assert all(metrics[0][name] > 0 for name in speaking_losses.NAMES)
    assert all(math.isfinite(value) for row in metrics for value in row.values())
    assert (trainer.model.jem.network.told.weight != 0).any()
    assert (trainer.model.speaking.harmonics != 0).any()
    # Of eight recordings no voices are measured.
    assert trainer.model.speaking.voice[-2:].tolist() == pytest.approx([math.log(140), 0.2])


def test_where_no_pitch_is_known_generation_is_not_trained(toy_corpus):
    _, (metrics,) = run(SPEAKING, toy_corpus, 1)
    assert [metrics[name] for name in speaking_losses.NAMES] == [0, 0, 0]


def test_a_training_of_speaking_needs_a_network_that_is_told_something():
    with pytest.raises(ValueError, match="told: 242"):
        replace(TINY, speak=SpeakConfig(weight=1.0))


def test_features_are_normalised_by_the_corpus(toy_corpus):
    trainer = SpeechTrainer(replace(TINY, batch=16), toy_corpus)
    frames = trainer.model.fbank(torch.cat([trainer.batches.draw(n).clean for n in range(100, 110)]))
    assert frames.mean((0, 1)).abs().max() < 0.3
    assert (frames.std((0, 1)) - 1).abs().max() < 0.3


# What an update does


def test_without_the_energy_objective_there_is_no_sampling(toy_corpus):
    trainer = SpeechTrainer(with_energy(QUICK, weight=0.0), toy_corpus)
    chains = trainer.buffer.chains.clone()
    metrics = trainer.step()
    assert torch.equal(trainer.buffer.chains, chains)
    assert "loss_energy" not in metrics
    assert metrics["loss"] == pytest.approx(sum(v for name, v in metrics.items() if name.startswith("loss_")))


def test_with_the_energy_objective_the_chains_go_on(toy_corpus, device):
    trainer = SpeechTrainer(QUICK, toy_corpus, device=device)
    chains = trainer.buffer.chains.clone()
    trainer.step()
    moved = (trainer.buffer.chains != chains).flatten(2).any(2).sum()
    assert moved == QUICK.energy.chains


def test_excerpts_without_labels_count_when_asked_for(toy_corpus, device):
    """The weights start near zero: every example of the batch, real or sampled, has about the same energy."""
    losses = []
    for weight in (0.0, 2.0):
        config = with_energy(replace(QUICK, batch=16), unlabelled=weight)
        trainer = SpeechTrainer(config, toy_corpus, device=device)
        assert (trainer.batches.draw(0).labels == UNLABELLED).all(1).any()
        losses.append(trainer.step()["loss_energy"])
    energy = QUICK.energy
    examples = (energy.chunks + energy.chains) * energy.frames // energy.stride
    assert losses[1] - losses[0] == pytest.approx(2 * math.log(examples), rel=0.05)


def test_what_is_said_counts_as_sampled(toy_corpus, device):
    """The weights start near zero: L_x|y is the logarithm of the number of examples."""
    config = with_energy(QUICK, sequences=2)
    losses = [SpeechTrainer(c, toy_corpus, device=device).step()["loss_energy"] for c in (QUICK, config)]
    chunks = QUICK.energy.chunks + QUICK.energy.chains
    assert losses[1] - losses[0] == pytest.approx(math.log((chunks + 2) / chunks), rel=0.05)


def seen(trainer: SpeechTrainer) -> list[torch.Tensor]:
    """The frames that the network gets in one update, in order."""
    inputs: list[torch.Tensor] = []
    network = trainer.model.jem.network
    watch = network.register_forward_pre_hook(lambda _, given: inputs.append(given[0].detach().clone()))
    trainer.step()
    watch.remove()
    return inputs


def test_what_is_said_in_training_is_what_generation_makes(toy_corpus):
    model = replace(TINY.model, temperature=0.0, generate=LangevinConfig(steps=3, noise=0.0))
    # The chunk is the whole of the only excerpt, so that its phones are known.
    config = with_energy(replace(QUICK, batch=1, deals=1, model=model), frames=41, chunks=1, sequences=1)
    trainer, _ = run(config, replace(toy_corpus, unlabelled=[]), 11)
    labels = trainer.batches.draw(trainer.update).labels
    expected = Generator(trainer.model, device="cpu").frames(labels[0], 0, 1)[0]
    said = [frames for x in seen(trainer) for frames in x if frames.shape == expected.shape]
    assert min((frames - expected).abs().max() for frames in said) < 1e-4


def test_the_classifier_hears_excerpts_with_bands_hidden(toy_corpus):
    alone = with_energy(replace(QUICK, batch=16, denoise=0.0), weight=0.0)
    (whole,) = seen(SpeechTrainer(alone, toy_corpus))
    (x,) = seen(SpeechTrainer(replace(alone, mask_frames=5, mask_bins=9), toy_corpus))
    hidden = x == 0
    frames, bins = hidden.all(2), hidden.all(1)
    assert torch.equal(hidden, frames[:, :, None] | bins[:, None] | (whole == 0))
    torch.testing.assert_close(x[~hidden], whole[~hidden])
    for bands, longest in ((frames, 5), (bins, 9)):
        assert 0 < bands.sum(1).max() <= 2 * longest
        assert (bands.int().diff(dim=1) == 1).sum(1).max() <= 2
        assert len(bands.unique(dim=0)) > 10  # each excerpt has its own


def test_without_denoising_the_step_sizes_stay(toy_corpus):
    trainer = SpeechTrainer(replace(QUICK, denoise=0.0), toy_corpus)
    before = copy.deepcopy(trainer.model.state_dict())
    metrics = trainer.step()
    after = trainer.model.state_dict()
    assert torch.equal(after["descent.log_size"], before["descent.log_size"])
    assert not torch.equal(after["jem.network.output.weight"], before["jem.network.output.weight"])
    assert not {"loss_denoise", "loss_log_mel", "loss_classify_noisy"} & metrics.keys()


def test_score_matching_takes_part_only_when_it_has_a_weight(toy_corpus, device):
    assert "loss_score_matching" not in SpeechTrainer(QUICK, toy_corpus, device=device).step()
    config = replace(QUICK, score_matching=0.1)
    assert SpeechTrainer(config, toy_corpus, device=device).step()["loss_score_matching"] > 0


def test_the_pesq_loss_takes_part_only_when_it_has_a_weight(toy_corpus, device):
    # PESQ looks at 0.3 s at a time.
    assert "loss_pesq" not in SpeechTrainer(QUICK, toy_corpus, device=device).step()
    config = replace(QUICK, pesq=1.0, seconds=1.0)
    assert SpeechTrainer(config, toy_corpus, device=device).step()["loss_pesq"] > 0


def test_the_schedule_brings_the_steps_of_the_descent_in(toy_corpus):
    model = replace(TINY.model, descent=DescentConfig(steps=3))
    trainer = SpeechTrainer(replace(QUICK, model=model, updates=10, descent_schedule=(0.35, 0.7)), toy_corpus)
    counts = []
    for _ in range(10):
        trainer.step()
        # A step that takes part has a gradient.
        counts.append(int((trainer.model.descent.log_size.grad != 0).any(1).sum()))
    assert counts == [1, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_longer_schedule_than_there_are_steps_is_cut(toy_corpus):
    trainer = SpeechTrainer(replace(QUICK, descent_schedule=(0.0, 0.0, 0.0)), toy_corpus)
    trainer.step()
    assert (trainer.model.descent.log_size.grad != 0).any(1).tolist() == [True, True]


def test_the_learning_rate_rises_to_its_peak_and_falls_to_a_hundredth(toy_corpus):
    trainer = SpeechTrainer(replace(QUICK, updates=40, warmup=4, denoise=0.0), toy_corpus)
    rates = []
    for _ in range(40):
        trainer.step()
        rates.append(trainer.optimisers[0].param_groups[0]["lr"] / QUICK.learning_rate)
    assert rates[:3] == pytest.approx([0.25, 0.5, 0.75], rel=0.02)
    assert max(rates) == rates[3] == pytest.approx(1, rel=0.02)
    assert all(a > b for a, b in zip(rates[3:], rates[4:], strict=False))
    assert rates[20] == pytest.approx(0.505)  # half way down from 1 to 0.01
    assert rates[-1] == pytest.approx(0.01, abs=0.005)


def test_there_may_be_no_warm_up(toy_corpus):
    trainer = SpeechTrainer(replace(QUICK, warmup=0), toy_corpus)
    trainer.step()
    assert trainer.optimisers[0].param_groups[0]["lr"] == pytest.approx(QUICK.learning_rate)


def test_the_shipped_weights_are_the_moving_average(toy_corpus):
    trainer = SpeechTrainer(QUICK, toy_corpus)
    trainer.step()
    expected = trainer.model.jem.network.output.weight.detach().clone()
    for _ in range(5):
        trainer.step()
        expected = QUICK.ema * expected + (1 - QUICK.ema) * trainer.model.jem.network.output.weight.detach()
    torch.testing.assert_close(trainer.shipped().jem.network.output.weight.detach(), expected)


def test_a_training_may_start_from_the_weights_and_features_of_a_model(toy_corpus, tmp_path):
    first, _ = run(QUICK, toy_corpus, 3)
    checkpoint.save(first.shipped(), tmp_path)
    # Another corpus and seed, which alone would give other features and weights.
    corpus = replace(toy_corpus, labelled=toy_corpus.labelled[:1])
    second = SpeechTrainer(replace(QUICK, start=str(tmp_path), seed=1), corpus)
    for model in (second.model, second.shipped()):
        found = differences(dict(first.shipped().state_dict()), dict(model.state_dict()))
        # Where generation starts is that of the new corpus.
        assert found == ["state.starts.mean", "state.starts.factor", "state.starts.seconds"]


def test_a_training_of_denoising_alone_leaves_where_generation_starts(toy_corpus, tmp_path):
    first, _ = run(QUICK, toy_corpus, 1)
    checkpoint.save(first.shipped(), tmp_path)
    corpus = replace(toy_corpus, labelled=toy_corpus.labelled[:1])
    second = SpeechTrainer(with_energy(replace(QUICK, start=str(tmp_path)), weight=0.0), corpus)
    assert differences(dict(first.shipped().state_dict()), dict(second.model.state_dict())) == []


def test_a_start_from_an_older_model_adds_what_it_lacks(toy_corpus, tmp_path):
    checkpoint.save(SpeechTrainer(QUICK, toy_corpus).shipped(), tmp_path)
    network = replace(QUICK.model.network, fine=257, phase=60)
    config = replace(QUICK, model=replace(QUICK.model, network=network), start=str(tmp_path), seed=1)
    old, new = checkpoint.load(tmp_path), SpeechTrainer(config, toy_corpus).shipped()
    spectrum = new.fbank.stft(torch.randn(1, 8000))
    x = new.observe(spectrum)
    assert x.shape[-1] == old.config.fbank.bins + 257 + 60
    with torch.no_grad():
        torch.testing.assert_close(
            new.jem.logits(x[..., :-60], new.jem.network.observe(x)), old.jem.logits(old.observe(spectrum))
        )


def test_fine_structure_and_phase_are_learnt(toy_corpus, device):
    network = replace(QUICK.model.network, fine=257, phase=60)
    config = replace(QUICK, model=replace(QUICK.model, network=network), unconditioned=0.0)
    trainer, _ = run(config, toy_corpus, 3, device=device)
    for name in ("fine", "observed", "observed_phase"):
        assert getattr(trainer.model.jem.network, name).weight.abs().max() > 0
    assert (trainer.model.descent.log_fine_size.grad != 0).any()


def test_matrices_inside_the_network_are_trained_by_muon_and_all_else_by_adamw(toy_corpus):
    trainer = SpeechTrainer(QUICK, toy_corpus)
    muon, adamw = trainer.optimisers
    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(adamw, torch.optim.AdamW)
    network = trainer.model.jem.network
    groups = [{id(p) for group in o.param_groups for p in group["params"]} for o in trainer.optimisers]
    assert {id(network.input.weight), id(network.blocks[0].widen.weight)} <= groups[0]
    assert {id(network.output.weight), id(network.input.bias), id(trainer.model.descent.log_size)} <= groups[
        1
    ]
    assert groups[0] | groups[1] == {id(p) for p in trainer.model.parameters()}


def test_a_start_from_a_model_of_other_sizes_is_refused(toy_corpus, tmp_path):
    checkpoint.save(SpeechTrainer(QUICK, toy_corpus).shipped(), tmp_path)
    model = replace(QUICK.model, descent=DescentConfig(steps=3))
    with pytest.raises(UsageError, match="other sizes"):
        SpeechTrainer(replace(QUICK, model=model, start=str(tmp_path)), toy_corpus)


def test_a_start_from_a_missing_model_is_refused(toy_corpus, tmp_path):
    with pytest.raises(ModelError, match="not a model folder"):
        SpeechTrainer(replace(QUICK, start=str(tmp_path / "none")), toy_corpus)


def test_mostly_unlabelled_speech_trains_at_any_batch_size(toy_corpus):
    corpus = replace(toy_corpus, labelled=toy_corpus.labelled[:1], unlabelled=toy_corpus.unlabelled * 20)
    _, metrics = run(replace(QUICK, batch=1), corpus, 30)
    assert all(row["loss_classify"] > 0 for row in metrics)


@pytest.mark.parametrize("precision", ["half", "float16", ""])
def test_an_unknown_precision_is_refused(toy_corpus, precision):
    with pytest.raises(UsageError, match="bfloat16, float32"):
        SpeechTrainer(replace(QUICK, precision=precision), toy_corpus)


# Going on


# The adaptation of the sampler decides after 33 and 66 updates, in either precision.
@pytest.mark.parametrize(("precision", "updates"), [("float32", 40), ("bfloat16", 4)])
def test_a_training_resumes_bit_for_bit(toy_corpus, device, precision, updates):
    config = replace(QUICK, updates=2 * updates, precision=precision, mask_frames=5, mask_bins=9)
    config = with_energy(config, sequences=1)
    whole, expected = run(config, toy_corpus, 2 * updates, device=device)
    first, metrics = run(config, toy_corpus, updates, device=device)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    torch.manual_seed(12345)  # what another process would have
    second = SpeechTrainer(config, toy_corpus, device=device)
    second.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    metrics += [second.step() for _ in range(updates)]
    assert differences(whole.state_dict(), second.state_dict()) == []
    assert metrics == expected


def test_workers_change_no_bit_also_when_a_training_goes_on(toy_corpus, device):
    whole, expected = run(QUICK, toy_corpus, 12, device=device)
    first, metrics = run(QUICK, toy_corpus, 5, device=device, workers=2)
    second = SpeechTrainer(QUICK, toy_corpus, device=device, workers=2)
    second.step()  # what was drawn ahead is not what comes after the state of the first
    second.load_state_dict(first.state_dict())
    metrics += [second.step() for _ in range(7)]
    assert differences(whole.state_dict(), second.state_dict()) == []
    assert metrics == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_say_what_the_process_itself_would_say(toy_corpus, workers):
    class Torn:
        def draw(self, number: int) -> None:
            raise InputError(f"Batch {number} is torn.")

    trainer = SpeechTrainer(QUICK, toy_corpus, workers=workers)
    trainer.batches = Torn()
    with pytest.raises(InputError, match=r"^Batch 0 is torn\.$"):
        trainer.step()


class Alarm(list):
    """Recordings; at the n-th that is taken, the process gets a signal."""

    def __init__(self, recordings, number: int, countdown: int):
        super().__init__(recordings)
        self.number, self.countdown = number, countdown

    def __getitem__(self, place):
        self.countdown -= 1
        if self.countdown == 0:
            signal.raise_signal(self.number)
        return super().__getitem__(place)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_training_after_the_update_with_the_state_saved(toy_corpus, tmp_path, number):
    config = replace(QUICK, batch=1, updates=20)
    before = signal.getsignal(number)
    # One recording is taken an update, after 32 to measure the features.
    labelled = Alarm(toy_corpus.labelled, number, 32 + 8)
    corpus = replace(toy_corpus, labelled=labelled, unlabelled=[], held_out=[])
    with pytest.raises(KeyboardInterrupt):
        train.train(config, tmp_path, corpus=corpus, progress=False)
    assert state(tmp_path)["update"] == 8
    assert [row["update"] for row in rows(tmp_path)] == list(range(1, 9))
    assert signal.getsignal(number) == before


def test_a_training_of_speaking_asks_for_the_pitch_of_the_speech(toy_corpus, tmp_path):
    data = DataConfig(labelled=str(write_corpus(tmp_path, toy_corpus)))
    with pytest.raises(UsageError, match=r"recipes/steps/pitch.py"):
        train.train(replace(SPEAKING, data=data), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_the_command_starts_from_a_model(run, toy_corpus, tmp_path):
    data = write_corpus(tmp_path, toy_corpus)
    for name, updates, rate in (("first", 3, 1e-2), ("second", 1, 1e-12)):
        content = {
            "model": {"network": {"channels": 16, "hidden": 16, "dilations": [1, 2]}},
            "energy": {"frames": 16, "chunks": 4, "chains": 3, "slots": 4, "langevin": {"steps": 1}},
            "updates": updates,
            "batch": 2,
            "learning_rate": rate,
            "warmup": 1,
            "ema": 0.0,
            "seconds": 0.4,
        }
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    words = ["train", "--labelled", data, "--device", "cpu"]
    assert run(*words, "first.yaml", "-o", "first")[0] == 0
    assert run(*words, "second.yaml", "-o", "second", "--start", "first/model")[0] == 0
    first, second = (checkpoint.load(tmp_path / name / "model") for name in ("first", "second"))
    for name, weight in first.named_parameters():
        torch.testing.assert_close(second.get_parameter(name), weight)


def test_a_process_with_workers_interrupted_by_ctrl_c_goes_on_bit_for_bit(toy_corpus, tmp_path):
    content = {
        "model": {"network": {"channels": 16, "hidden": 16, "dilations": [1, 2]}, "descent": {"steps": 2}},
        "data": {"labelled": str(write_corpus(tmp_path, toy_corpus)), "held_out_speakers": ["140", "180"]},
        "energy": {"frames": 16, "chunks": 4, "chains": 3, "slots": 4, "langevin": {"steps": 1}},
        "updates": 90,
        "batch": 2,
        "seconds": 0.4,
        "log_every": 1,
        "validate_every": 80,
        "save_every": 20,
    }
    file, interrupted, whole = tmp_path / "train.yaml", tmp_path / "interrupted", tmp_path / "whole"
    file.write_text(yaml.safe_dump(content))
    words = ["train", file, "-o", interrupted, "--device", "cpu", "--workers", "2"]
    process = subprocess.Popen([sys.executable, "-m", "speechjem", *words], start_new_session=True)
    log = interrupted / "train.jsonl"
    while not (log.exists() and log.read_bytes().count(b"\n") >= 10):
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait() == 130
    with pytest.raises(ProcessLookupError):  # nobody is left
        os.killpg(process.pid, 0)
    stopped = state(interrupted)["update"]
    assert 10 <= stopped < 80
    assert [row["update"] for row in rows(interrupted)] == list(range(1, stopped + 1))

    for out in (interrupted, whole):
        train.train(settings.read_config(file), out, progress=False)
    assert differences(state(whole), state(interrupted)) == []
    assert rows(whole, "loss") == rows(interrupted, "loss")
    weights = [(out / "model" / "model.safetensors").read_bytes() for out in (whole, interrupted)]
    assert weights[0] == weights[1]
    # The arithmetic of pystoi depends on where its arrays happen to lie.
    (expected,), (found,) = (rows(out, "estoi_gain") for out in (whole, interrupted))
    assert found == pytest.approx(expected, abs=1e-9)


def test_rows_after_the_last_checkpoint_are_written_again(toy_corpus, tmp_path):
    corpus = replace(toy_corpus, held_out=[])
    train.train(QUICK, tmp_path, corpus=corpus, progress=False)
    expected = rows(tmp_path)
    # As if the process had been killed at update 12, four updates after a checkpoint.
    earlier, _ = run(QUICK, corpus, 8)
    torch.save(earlier.state_dict(), tmp_path / "checkpoint.pt")
    with (tmp_path / "train.jsonl").open("a") as log:
        log.write('{"update": 13, "lo')
    train.train(QUICK, tmp_path, corpus=corpus, progress=False)
    assert rows(tmp_path) == expected


def test_a_finished_training_stays_as_it_is(toy_corpus, tmp_path):
    corpus = replace(toy_corpus, held_out=[])
    train.train(QUICK, tmp_path, corpus=corpus, progress=False)
    before = state(tmp_path), rows(tmp_path)
    train.train(QUICK, tmp_path, corpus=corpus, progress=False)
    assert differences(before, (state(tmp_path), rows(tmp_path))) == []


@pytest.mark.parametrize("changed", [{"seed": 1}, {"updates": 13}, {"model": ModelConfig()}])
def test_going_on_with_other_settings_is_refused(toy_corpus, tmp_path, changed):
    trainer, _ = run(QUICK, toy_corpus, 1)
    torch.save(trainer.state_dict(), tmp_path / "checkpoint.pt")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(UsageError, match="another configuration"):
        train.train(replace(QUICK, **changed), tmp_path, corpus=toy_corpus, progress=False)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_training_of_a_version_with_fewer_settings_goes_on(toy_corpus, tmp_path):
    corpus = replace(toy_corpus, held_out=[])
    trainer, _ = run(QUICK, corpus, 11)
    state = trainer.state_dict()
    known = json.loads(state["config"])
    del known["conditioned"], known["energy"]["longer_every"]
    torch.save(state | {"config": json.dumps(known)}, tmp_path / "checkpoint.pt")
    train.train(QUICK, tmp_path, corpus=corpus, progress=False)
    assert [row["update"] for row in rows(tmp_path)] == [12]


@pytest.mark.parametrize("config", ["{", "[]", '{"surprise": 1}', '{"seed": "one"}'])
def test_a_checkpoint_with_impossible_settings_is_refused(toy_corpus, tmp_path, config):
    trainer, _ = run(QUICK, toy_corpus, 1)
    torch.save(trainer.state_dict() | {"config": config}, tmp_path / "checkpoint.pt")
    with pytest.raises(UsageError, match="another configuration"):
        train.train(QUICK, tmp_path, corpus=toy_corpus, progress=False)


@pytest.mark.parametrize("content", [{"weights": 1}, [1, 2], torch.zeros(2)])
def test_a_foreign_checkpoint_is_refused(toy_corpus, tmp_path, content):
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(UsageError, match="another configuration"):
        train.train(QUICK, tmp_path, corpus=toy_corpus, progress=False)


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_refused(toy_corpus, tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ModelError, match="remove it to start anew"):
        train.train(QUICK, tmp_path, corpus=toy_corpus, progress=False)


def test_code_in_a_checkpoint_is_never_run(toy_corpus, tmp_path):
    trap = Trap(tmp_path / "sprung")
    torch.save({"config": trap}, tmp_path / "checkpoint.pt")
    with pytest.raises(ModelError):
        train.train(QUICK, tmp_path, corpus=toy_corpus, progress=False)
    assert not trap.path.exists()


# Divergence


def test_an_absurd_learning_rate_stops_the_training(toy_corpus, tmp_path):
    config = replace(TINY, learning_rate=1e4, warmup=0)
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        train.train(config, tmp_path, corpus=toy_corpus, progress=False)
    assert rows(tmp_path)[-1]["diverged"] is True
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.fixture(scope="module")
def diverging(toy_corpus) -> tuple[TrainConfig, int]:
    """Settings whose limit of the logits is first passed late in the training, and when."""
    updates = 30
    _, metrics = run(TINY, toy_corpus, updates)
    largest = [row["max_logit"] for row in metrics]
    update = max(i for i in range(updates) if largest[i] > max(largest[:i], default=0))
    limit = (largest[update] + max(largest[:update])) / 2
    return replace(TINY, logit_limit=limit, save_every=3), update


def test_at_a_divergence_the_last_good_checkpoint_stays(diverging, toy_corpus, tmp_path):
    config, update = diverging
    assert update > 3
    with pytest.raises(DivergenceError, match=f"at update {update}: max .logit. is "):
        train.train(config, tmp_path, corpus=toy_corpus, progress=False)
    good, _ = run(config, toy_corpus, update // 3 * 3)
    assert differences(good.state_dict(), state(tmp_path)) == []
    shipped = checkpoint.load(tmp_path / "model")
    assert differences(dict(good.shipped().state_dict()), dict(shipped.state_dict())) == []


@pytest.mark.parametrize("save_every", [1, 3])
def test_a_divergence_is_the_last_row_and_is_there_once(diverging, toy_corpus, tmp_path, save_every):
    config, update = diverging
    config = replace(config, save_every=save_every)
    for _ in range(2):  # going on from the checkpoint diverges again
        with pytest.raises(DivergenceError):
            train.train(config, tmp_path, corpus=toy_corpus, progress=False)
        found = rows(tmp_path)
        assert found[-1] == {"update": update, "diverged": True}
        assert [row["update"] for row in found[:-1]] == list(range(1, update + 1))


def test_values_that_are_not_finite_are_named(toy_corpus, device):
    trainer = SpeechTrainer(QUICK, toy_corpus, device=device)
    with torch.no_grad():
        trainer.model.descent.log_size[0, 0] = float("nan")
    before = copy.deepcopy(trainer.model.state_dict())
    with pytest.raises(DivergenceError, match="loss_denoise is not finite"):
        trainer.step()
    for name, tensor in trainer.model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


# What a training writes


def test_a_training_leaves_its_settings_state_rows_events_and_model(toy_corpus, tmp_path):
    model = train.train(QUICK, tmp_path / "a" / "b", corpus=replace(toy_corpus, held_out=[]), progress=False)
    out = tmp_path / "a" / "b"
    assert {p.name for p in out.iterdir()} == {
        "config.json",
        "checkpoint.pt",
        "train.jsonl",
        "tensorboard",
        "model",
    }
    assert os.listdir(out / "tensorboard")
    assert state(out)["update"] == QUICK.updates
    assert differences(dict(model.state_dict()), dict(checkpoint.load(out / "model").state_dict())) == []


def test_the_settings_written_give_the_same_training(toy_corpus, tmp_path):
    train.train(replace(QUICK, updates=1), tmp_path, corpus=replace(toy_corpus, held_out=[]), progress=False)
    assert settings.read_config(tmp_path / "config.json") == replace(QUICK, updates=1)


def test_rows_come_as_often_as_asked_for(toy_corpus, tmp_path):
    train.train(
        replace(QUICK, log_every=5), tmp_path, corpus=replace(toy_corpus, held_out=[]), progress=False
    )
    assert [row["update"] for row in rows(tmp_path)] == [5, 10]


def test_held_out_scores_are_those_of_the_saved_model(toy_corpus, device, tmp_path):
    config = replace(QUICK, validate_every=12)
    train.train(config, tmp_path, corpus=toy_corpus, device=device.type, progress=False)
    (scores,) = [row for row in rows(tmp_path) if "held_out_accuracy" in row]
    counts = evaluate.confusion(checkpoint.load(tmp_path / "model", device.type), toy_corpus.held_out)
    assert scores["held_out_accuracy"] == evaluate.accuracy(counts)
    assert {"pesq_wb_gain", "estoi_gain", "si_sdr_gain"} <= scores.keys()


def test_held_out_speech_without_alignments_gives_no_accuracy(toy_corpus, tmp_path):
    corpus = replace(toy_corpus, held_out=toy_corpus.unlabelled)
    config = replace(QUICK, validate_every=12, denoise=0.0)
    train.train(config, tmp_path, corpus=corpus, progress=False)
    assert not any("held_out_accuracy" in row for row in rows(tmp_path))


def test_progress_is_shown_on_stderr_only(toy_corpus, tmp_path, capfd):
    train.train(QUICK, tmp_path, corpus=replace(toy_corpus, held_out=[]))
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "12/12" in shown.err


def test_without_progress_nothing_is_shown(toy_corpus, tmp_path, capfd):
    train.train(QUICK, tmp_path, corpus=replace(toy_corpus, held_out=[]), progress=False)
    assert capfd.readouterr().out == ""


def test_training_without_a_corpus_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--labelled"):
        train.train(QUICK, tmp_path, progress=False)
