"""What trains the steps of generation makes them arrive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from speechjem.energy.losses import st_jem
from speechjem.energy.tdnn import NetworkConfig
from speechjem.models.speaking import told_size
from speechjem.models.speech import ModelConfig, SpeechModel
from speechjem.training.settings import SpeakConfig
from speechjem.training.speaking import losses

CONFIG = ModelConfig(network=NetworkConfig(channels=48, hidden=48, dilations=(1, 2), told=told_size(80)))


def spoken(model: SpeechModel, seed: int, batch: int = 6, frames: int = 60):
    """Frames that are the path of random phones, but with more contrast; their phones; no pitch."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(40, (batch, frames // 6), generator=generator).repeat_interleave(6, 1)
    return 2 * model.starts.path(labels), labels, torch.zeros(batch, frames)


def test_the_steps_learn_to_arrive():
    torch.manual_seed(0)
    model = SpeechModel(CONFIG)
    model.starts.mean.normal_()
    config, generator = SpeakConfig(energy=0.0), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    errors = []
    for update in range(120):
        found = losses(model, *spoken(model, update), config, st_jem, generator)
        optimiser.zero_grad()
        torch.stack(list(found.values())).sum().backward()
        optimiser.step()
        errors.append(found["loss_speak"].item())
    assert np.mean(errors[-10:]) < 0.7 * np.mean(errors[:10])


def test_the_energy_learns_to_tell_real_frames_from_where_the_steps_end():
    torch.manual_seed(0)
    model = SpeechModel(CONFIG)
    model.starts.mean.normal_()
    generator = torch.Generator().manual_seed(0)
    config = replace(SpeakConfig(), changes=0.0, spread=0.0, classify=0.0, energy=1.0)
    optimiser = torch.optim.Adam(model.jem.parameters(), 3e-3)
    values = []
    for update in range(60):
        loss = losses(model, *spoken(model, update), config, st_jem, generator)["loss_speak_energy"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    chance = np.log(40) + np.log(2 * 6 * 60 / 4)
    assert abs(values[0] - chance) < 0.5
    assert np.mean(values[-5:]) < 0.7 * chance


def test_silence_alone_gives_finite_gradients():
    model = SpeechModel(CONFIG)
    labels = torch.full((2, 30), model.config.phones.index("SIL"))
    found = losses(
        model, torch.zeros(2, 30, 80), labels, torch.zeros(2, 30), SpeakConfig(), st_jem,
        torch.Generator().manual_seed(0),
    )  # fmt: skip
    torch.stack(list(found.values())).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_what_is_told_is_exact_in_mixed_precision(monkeypatch):
    model, told = SpeechModel(CONFIG), []
    tell = model.jem.network.tell
    monkeypatch.setattr(model.jem.network, "tell", lambda c: told.append(c) or tell(c))
    x, labels, _ = spoken(model, 0)
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            generator = torch.Generator().manual_seed(0)
            losses(model, x, labels, torch.full(labels.shape, 133.0), SpeakConfig(), st_jem, generator)
    assert torch.equal(told[0], told[1])
