"""The causal network: it hears no future, and its gradient is that of each frame's own energy."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from speechjem.data.dataset import Corpus
from speechjem.energy.causal import CausalTDNN
from speechjem.energy.descent import DescentConfig
from speechjem.energy.tdnn import NetworkConfig
from speechjem.features.fbank import FbankConfig
from speechjem.models.speech import ModelConfig
from speechjem.training.settings import EnergyConfig, TrainConfig
from speechjem.training.speech import SpeechTrainer

CONFIG = NetworkConfig(
    bins=5, classes=4, channels=6, hidden=7, dilations=(1, 2), fine=3, turn=3, phase=2, causal=True
)
FRAMES = 12


@pytest.fixture
def network() -> CausalTDNN:
    torch.manual_seed(0)
    network = CausalTDNN(CONFIG).double()
    for parameter in network.parameters():  # also those that start at zero
        torch.nn.init.normal_(parameter, std=0.5)
    return network


def inputs(network: CausalTDNN, turned: bool) -> tuple[Tensor, Tensor | None]:
    x = torch.randn(2, FRAMES, 11 if turned else 5, dtype=torch.float64)
    observed = network.observe(torch.randn(2, FRAMES, 10, dtype=torch.float64)) if turned else None
    return x, observed


@pytest.mark.parametrize("turned", [False, True])
def test_gradient_is_that_of_each_frames_own_energy(network: CausalTDNN, turned: bool) -> None:
    x, observed = inputs(network, turned)
    gradient, logits = network.energy_gradient(x, observed)

    def energies(x: Tensor) -> Tensor:
        return -network(x, observed).logsumexp(-1)

    jacobian = torch.autograd.functional.jacobian(energies, x)  # (batch, frames, batch, frames, size)
    own = torch.einsum("btbts->bts", jacobian)
    assert torch.allclose(gradient, own, atol=1e-9)
    assert torch.allclose(logits, network(x, observed))


def test_gradient_can_be_differentiated(network: CausalTDNN) -> None:
    x, _ = inputs(network, False)
    assert torch.autograd.gradcheck(lambda x: network.energy_gradient(x)[0], x[:1, :4].requires_grad_())


def test_logits_and_steps_hear_no_future(network: CausalTDNN) -> None:
    x, observed = inputs(network, True)
    later = x.clone()
    later[:, 7:] += 1.0
    for before, after in zip(
        network.energy_gradient(x, observed), network.energy_gradient(later, observed), strict=True
    ):
        assert torch.equal(before[:, :7], after[:, :7])
        assert not torch.allclose(before[:, 7:], after[:, 7:])


def test_what_was_observed_is_heard_one_frame_ahead(network: CausalTDNN) -> None:
    frames = torch.randn(1, FRAMES, 10, dtype=torch.float64)
    later = frames.clone()
    later[:, 7:] += 1.0
    before, after = network.observe(frames), network.observe(later)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6], after[:, 6])


def test_context_is_that_of_the_logits(network: CausalTDNN) -> None:
    x = torch.randn(1, 20, 5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(network.forward, x)[0, -1, :, 0]
    heard = jacobian.abs().sum((0, 2)).nonzero()[:, 0]
    assert int(heard.min()) == 20 - 1 - CONFIG.context


def test_training_makes_its_steps_denoise(toy_corpus: Corpus) -> None:
    model = ModelConfig(
        fbank=FbankConfig(window=480),
        network=NetworkConfig(
            channels=16, hidden=16, dilations=(1, 2), fine=241, turn=241, phase=12, causal=True
        ),
        descent=DescentConfig(steps=2),
    )
    energy = EnergyConfig(frames=16, chunks=4, chains=3, slots=4, adapt=False)
    config = TrainConfig(
        model=model,
        energy=energy,
        updates=60,
        batch=4,
        seconds=0.4,
        learning_rate=5e-3,
        warmup=5,
        precision="float32",
        unconditioned=0.0,
        descent_schedule=(0.0,),
    )
    trainer = SpeechTrainer(config, toy_corpus)
    losses = [trainer.step()["loss_denoise"] for _ in range(60)]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:3]) / 3 * 10
