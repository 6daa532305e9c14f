"""Stochastic gradient Langevin dynamics on any energy, its adaptation, and the replay buffer.

    g_k     = momentum * g_{k-1} + (1 - momentum) * clamp(-grad E(x_k))
    x_{k+1} = x_k + a_k / 2 * g_k + sqrt(a_k) * noise * e_k,    e_k ~ N(0, 1),    a_k = step_size * decay^k

With noise 1, no momentum and a small step this samples exp(-E) (Welling and Teh, ICML 2011). JEM and
ST-JEM use far less noise than that (1 / noise is the paper's d), and clamp the gradient: a fast,
short-run sampler whose samples are not exactly of that density.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import UsageError
from ..runtime.config import check_bounds

Gradient = Callable[[Tensor], Tensor]
Start = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class LangevinConfig:
    """Settings of the sampler.

    Attributes:
        steps: number of steps.
        step_size: a, in squared units of x.
        noise: standard deviation of the noise relative to sqrt(a); 1 is exact Langevin dynamics.
        momentum: weight of the past in the average of the gradient.
        decay: factor of the step size after every step.
        clamp: bound on the absolute value of each gradient component; 0 means none.
        bound: bound on the absolute value of each component of x, so that no chain runs away; 0 means none.
    """

    steps: int = 20
    step_size: float = 0.5
    noise: float = 0.014
    momentum: float = 0.1
    decay: float = 1.0
    clamp: float = 1.0
    bound: float = 0.0

    def __post_init__(self) -> None:
        sizes = ("step_size", "noise", "momentum", "decay", "clamp", "bound")
        check_bounds(self, steps=(1, 100_000), **dict.fromkeys(sizes, (0, 1e9)))


def with_given(config: LangevinConfig, **settings: float | None) -> LangevinConfig:
    """The settings with those replaced that are given; None leaves one as it is.

    Raises:
        UsageError: for a value that is negative or not finite, or for no steps.
    """
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    for name, value in given.items():
        if not 0 <= value < math.inf:
            raise UsageError(f"The {name.replace('_', ' ')} must be a number of at least 0, not {value}.")
    if given.get("steps") == 0:
        raise UsageError("At least 1 step is needed.")
    try:
        return replace(config, **given)
    except ValueError as error:
        raise UsageError(f"The sampler cannot do that: {error}.") from error


def sgld(
    gradient: Gradient, x: Tensor, config: LangevinConfig, generator: torch.Generator | None = None
) -> Iterator[Tensor]:
    """Yield the state of the chain after every step.

    Args:
        gradient: gradient of the energy with respect to x.
        x: start of the chain, any shape; it is not changed.
        config: settings of the sampler.
        generator: source of the noise, on the device of x; not needed when noise is 0.
    """
    average = None
    size = config.step_size
    for _ in range(config.steps):
        force = -gradient(x)
        if config.clamp > 0:
            force = force.clamp(-config.clamp, config.clamp)
        average = force if average is None else config.momentum * average + (1 - config.momentum) * force
        x = x + 0.5 * size * average
        if config.noise > 0:
            noise = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
            x = x + size**0.5 * config.noise * noise
        if config.bound > 0:
            x = x.clamp(-config.bound, config.bound)
        size *= config.decay
        yield x


def sample(
    gradient: Gradient, x: Tensor, config: LangevinConfig, generator: torch.Generator | None = None
) -> Tensor:
    """The last state of `sgld`."""
    return deque(sgld(gradient, x, config, generator), maxlen=1).pop()


class Adaptation:
    """Trial and error on one sampler setting at a time, while training (ST-JEM).

    One of step size, noise, decay and momentum is tried at value * m, value and value / m, one arm a call
    in turn, `trials` times each; the arm whose samples reached the highest score is kept, and the next
    setting is up. Every value stays within its bounds. With 11 trials that is a decision every 33 calls.
    """

    FACTORS = {"step_size": 0.9, "noise": 0.9, "decay": 0.995, "momentum": 0.95}
    BOUNDS = {"step_size": 4.0, "noise": 2.0, "decay": 1.05, "momentum": 2.0}  # largest ratio to the start

    def __init__(self, start: LangevinConfig, trials: int = 11):
        self.start = start
        self.config = start
        self.period = 3 * trials
        self.calls = 0
        self.scores: list[float] = [0.0, 0.0, 0.0]

    @property
    def _name(self) -> str:
        return list(self.FACTORS)[self.calls // self.period % len(self.FACTORS)]

    def _arms(self) -> list[LangevinConfig]:
        name = self._name
        value, origin = getattr(self.config, name), getattr(self.start, name)
        factor, bound = self.FACTORS[name], self.BOUNDS[name]
        ceiling = min(origin * bound, 1.0) if name in ("decay", "momentum") else origin * bound
        values = (value * factor, value, value / factor)
        return [replace(self.config, **{name: min(max(v, origin / bound), ceiling)}) for v in values]

    def propose(self) -> LangevinConfig:
        """The settings to sample with now."""
        return self._arms()[self.calls % 3]

    def report(self, score: float) -> None:
        """Tell how well the samples of the last proposal scored: their mean logsumexp."""
        self.scores[self.calls % 3] += score
        if (self.calls + 1) % self.period == 0:
            best = max((1, 0, 2), key=lambda arm: self.scores[arm])  # of equals, the value as it is
            self.config = self._arms()[best]
            self.scores = [0.0, 0.0, 0.0]
        self.calls += 1

    def state_dict(self) -> dict[str, Any]:
        """The state, for an exact resume by `load_state_dict`."""
        return {"config": vars(self.config), "calls": self.calls, "scores": list(self.scores)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a saved state."""
        self.config = LangevinConfig(**state["config"])
        self.calls, self.scores = state["calls"], list(state["scores"])


class ReplayBuffer:
    """Chains that go on between the updates of a training, the same number of slots a class.

    Args:
        classes: number of classes.
        slots: chains a class.
        shape: shape of one chain, (frames, bins) for speech, (channels, height, width) for images.
        start: draws a new chain for every class of a list: a function of (classes, generator) to a tensor of
            shape (len(classes), *shape).
        generator: source of all choices, on the CPU.
        device: where the chains are kept.
    """

    def __init__(
        self,
        classes: int,
        slots: int,
        shape: tuple[int, ...],
        start: Start,
        generator: torch.Generator,
        device: torch.device | None = None,
    ):
        self.start = start
        self.generator = generator
        labels = torch.arange(classes).repeat_interleave(slots)
        self.chains = start(labels, generator).reshape(classes, slots, *shape).to(device)

    def choose(self, labels: Tensor, restart: float) -> tuple[Tensor, Tensor]:
        """Choose a slot for every label, none twice, and which chains start anew.

        Args:
            labels: classes wanted, shape (n,), on the CPU.
            restart: probability that a chain starts anew.

        Returns:
            Slots, integers, and whether to start anew, both (n,), on the CPU.

        Raises:
            ValueError: if a class is wanted more often than it has slots.
        """
        slots = torch.empty_like(labels)
        for label in labels.unique():
            wanted = (labels == label).nonzero()[:, 0]
            if len(wanted) > self.chains.shape[1]:
                raise ValueError(
                    f"{len(wanted)} chains of one class wanted from {self.chains.shape[1]} slots."
                )
            order = torch.randperm(self.chains.shape[1], generator=self.generator)
            slots[wanted] = order[: len(wanted)]
        return slots, torch.rand(len(labels), generator=self.generator) < restart

    def take(self, labels: Tensor, slots: Tensor, anew: Tensor, generator: torch.Generator) -> Tensor:
        """The chains of some slots, shape (n, *shape).

        Args:
            labels, slots, anew: as `choose` takes and gives them, on the device of the chains.
            generator: source of new chains, on that device.
        """
        chains = self.chains[labels, slots]
        new = self.start(labels, generator)
        return torch.where(anew.reshape(-1, *[1] * (chains.ndim - 1)), new, chains)

    def put(self, labels: Tensor, slots: Tensor, chains: Tensor) -> None:
        """Put chains into slots; shapes as in `take`."""
        self.chains[labels, slots] = chains.detach().to(self.chains)

    def state_dict(self) -> dict[str, Tensor]:
        """The state, for an exact resume by `load_state_dict`."""
        return {"chains": self.chains.to("cpu", copy=True), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Resume from a saved state."""
        self.chains = state["chains"].to(self.chains.device, copy=True)
        self.generator.set_state(state["generator"])


def standard_normal(shape: tuple[int, ...]) -> Start:
    """Start of chains from N(0, 1), for normalised frames."""
    return lambda labels, generator: torch.randn(
        (len(labels), *shape), generator=generator, device=generator.device
    )


def uniform(shape: tuple[int, ...]) -> Start:
    """Start of chains from U(-1, 1), for images."""

    def draw(labels: Tensor, generator: torch.Generator) -> Tensor:
        return 2 * torch.rand((len(labels), *shape), generator=generator, device=generator.device) - 1

    return draw
