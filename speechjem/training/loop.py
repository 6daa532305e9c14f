"""Training of any JEM: one loop that can be read from top to bottom.

`speech` says what an update on speech is, `images` what one on images is.

Started by torchrun (`torchrun --nproc-per-node 4 -m speechjem train ...`), each process draws batches and
runs SGLD chains of its own, and the gradients are averaged. Negatives are not shared among processes.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any, Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..data.ahead import drawn_ahead
from ..energy.langevin import Adaptation, ReplayBuffer, Start, sample
from ..energy.losses import OBJECTIVES
from ..errors import DivergenceError, ModelError, UsageError
from ..models import checkpoint
from ..models.images import ImageModel
from ..models.speech import SpeechModel
from ..runtime import atomic, distributed
from ..runtime.config import from_dict
from ..runtime.device import use_bfloat16
from ..runtime.replay import Replayed
from .log import TrainingLog
from .settings import LoopConfig

M = TypeVar("M", SpeechModel, ImageModel)
Validate = Callable[[M], dict[str, float]]


class Chains(NamedTuple):
    """Chains of the replay buffer, shape (n,) each.

    Attributes:
        labels, slots: where they are.
        anew: which start anew.
        wanted: class that each follows, -1 for E(x).
    """

    labels: Tensor
    slots: Tensor
    anew: Tensor
    wanted: Tensor


class Trainer(Generic[M]):
    """The state of a training, and one update of it; subclasses define the losses.

    Args:
        config: settings.
        model: has the attribute `jem`, and is trained on the device where it is.
        batches: has the method `draw`, which gives the batch of a number.
        optimisers: of the model's parameters.
        classes: number of classes.
        shape: of one SGLD chain.
        start: draws new chains.
        workers: processes that draw batches ahead; with 0, they are drawn when they are needed.
    """

    def __init__(
        self,
        config: LoopConfig,
        model: M,
        batches: Any,
        optimisers: list[torch.optim.Optimizer],
        classes: int,
        shape: tuple[int, ...],
        start: Start,
        workers: int = 0,
    ):
        self.config, self.batches, self.optimisers = config, batches, optimisers
        self.model: M = model
        self.device = next(model.parameters()).device
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema))
        seed = config.seed + distributed.rank()
        self.generator = torch.Generator().manual_seed(seed)
        on_cpu = self.device.type == "cpu"
        self.noise = self.generator if on_cpu else torch.Generator(self.device).manual_seed(seed)
        self.buffer = ReplayBuffer(classes, config.energy.slots, shape, start, self.generator, self.device)
        self.adaptation = Adaptation(config.energy.langevin)
        self.update = 0
        self.bfloat16 = use_bfloat16(config.precision, self.device)
        self.workers = workers
        self._ahead: Iterator[Any] | None = None
        self._held: tuple[int, Any] | None = None
        self._names: list[str] = []
        fixed = self.device.type == "cuda" and distributed.world_size() == 1 and self._is_fixed()
        self._replayed = Replayed(self._gradients, [self.noise]) if fixed else None
        if self.device.type == "cuda":
            torch.backends.cudnn.deterministic = True  # a resumed training ends in the same bits
            torch.backends.cudnn.allow_tf32 = False  # single precision, as matrix products have by default

    def step(self) -> dict[str, float]:
        """One update; returns its metrics, of updates that a GPU replays only every `log_every`-th time.

        Raises:
            DivergenceError: if a loss, a gradient or a logit leaves the healthy range.
        """
        self._set_learning_rate()
        work = self._replayed or self._gradients
        measured, metrics = work(self._plan(self._batch())), {}
        # Reading metrics from a GPU waits for it.
        looked_at = (self.config.log_every, self.config.save_every)
        if self._replayed is None or any((self.update + 1) % number == 0 for number in looked_at):
            metrics = dict(zip(self._names, measured.tolist(), strict=True))
            self._guard(metrics)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.update_parameters(self.model)
        self.update += 1
        return metrics

    def _plan(self, batch: Any) -> tuple[Tensor, ...]:
        """What an update works on, on the device, including everything that is drawn on the CPU."""
        return tuple(batch)

    def _is_fixed(self) -> bool:
        """Whether all updates run the same operations, on tensors of a few combinations of shapes."""
        return False

    def _gradients(self, given: Sequence[Tensor]) -> Tensor:
        """Set the gradients of an update, and give the metrics, in the order of their names."""
        if self._replayed is None:
            self.model.zero_grad(set_to_none=True)
        else:
            for parameter in self.model.parameters():
                parameter.grad = (
                    torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.zero_()
                )
        with self._autocast():
            losses, measured = self._losses(given)
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        distributed.average_gradients(self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        measured |= losses | {"loss": loss, "gradient_norm": norm}
        self._names = list(measured)
        return torch.stack([value.detach().float() for value in measured.values()])

    def _batch(self) -> Any:
        """The batch of this update and process; several updates in a row may share one."""
        number = self.update // self.config.deals
        if self._held is None or self._held[0] != number:
            self._held = number, self._draw(number)
        return self._held[1]

    def _draw(self, number: int) -> Any:
        first, step = distributed.rank(), distributed.world_size()
        if self.workers == 0:
            return self.batches.draw(first + step * number)
        if self._ahead is None:
            last = -(-self.config.updates // self.config.deals)
            numbers = range(first + step * number, first + step * last, step)
            self._ahead = drawn_ahead(self.batches, numbers, self.workers, self.device.type == "cuda")
        return next(self._ahead)

    def _losses(self, given: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses by name, and further metrics to log: at least "max_logit"."""
        raise NotImplementedError

    def _objective(self, real: Tensor, labels: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The energy objective, and further metrics to log.

        Args:
            real: logits of real examples, shape (n, classes).
            labels: their classes, shape (n,).
            fake: logits of sampled examples, shape (m, classes).
        """
        loss = OBJECTIVES[self.config.energy.objective](real, labels, fake)
        gap = real.logsumexp(-1).mean() - fake.logsumexp(-1).mean()
        return loss, {"energy_gap": gap, "max_logit_energy": torch.cat([real, fake]).abs().max()}

    def _choose_chains(self, real_labels: Tensor) -> Chains:
        """Chains for classes drawn from real labels, of any shape, on the CPU."""
        energy, flat = self.config.energy, real_labels.flatten()
        labels = flat[torch.randperm(len(flat), generator=self.generator)[: energy.chains]]
        slots, anew = self.buffer.choose(labels, energy.restart)
        free = torch.rand(len(labels), generator=self.generator) < energy.unconditional
        chains = (labels, slots, anew, torch.where(free, -1, labels))
        return Chains(*(part.to(self.device, non_blocking=True) for part in chains))

    def _sample(self, chains: Chains, part: Tensor | None = None) -> Tensor:
        """SGLD negatives: chains of the replay buffer after some more steps, which are put back.

        Args:
            chains: which chains.
            part: frames of the chains that take steps, shape (length,); all by default.
        """
        energy, jem = self.config.energy, self.model.jem
        whole = self.buffer.take(chains.labels, chains.slots, chains.anew, self.noise)
        x = whole if part is None else whole[:, part]

        def gradient(x: Tensor) -> Tensor:
            return jem.gradient(x, chains.wanted[:, None])

        settings = self.adaptation.propose() if energy.adapt else energy.langevin
        if energy.longer_every > 0:
            settings = replace(settings, steps=settings.steps + self.update // energy.longer_every)
        sampled = sample(gradient, x, settings, self.noise)
        if energy.adapt:
            with torch.no_grad():
                self.adaptation.report(jem.logits(sampled).logsumexp(-1).mean().item())
        whole = sampled if part is None else whole.index_copy(1, part, sampled.detach().to(whole))
        self.buffer.put(chains.labels, chains.slots, whole)
        return sampled

    def _set_learning_rate(self) -> None:
        config = self.config
        warm = min(1.0, (self.update + 1) / max(1, config.warmup))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.update / config.updates)))
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * warm * (0.01 + 0.99 * cosine)

    def _guard(self, metrics: dict[str, float]) -> None:
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        if distributed.in_any(bool(bad) or metrics["max_logit"] > self.config.logit_limit):
            reason = f"{bad[0]} is not finite" if bad else f"max |logit| is {metrics['max_logit']:.0f}"
            if not bad and metrics["max_logit"] <= self.config.logit_limit:
                reason = "another process reports the reason"
            raise DivergenceError(
                f"Training diverged at update {self.update}: {reason}. The last good checkpoint is kept; "
                "lower the learning rate or the SGLD step size, or use the objective st-jem."
            )

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def shipped(self) -> M:
        """The averaged model, for evaluation and for saving."""
        return cast(M, self.average.module).eval()

    def state_dict(self) -> dict[str, Any]:
        """The whole state, for an exact resume; complete in the first process only."""
        own: dict[str, Any] = {
            "buffer": self.buffer.state_dict(),
            "adaptation": self.adaptation.state_dict(),
        }
        if self.noise is not self.generator:
            own["noise"] = self.noise.get_state()
        return {
            "config": json.dumps(asdict(self.config)),
            "update": self.update,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "processes": distributed.gathered(own),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a saved state.

        Raises:
            UsageError: if the state belongs to another configuration, or to another number of processes.
        """
        config = state.get("config") if isinstance(state, dict) else None
        if not isinstance(config, str) or not self._is_mine(config):
            raise UsageError(
                "The checkpoint belongs to another configuration; choose another output folder, "
                "or train with the settings in its config.json."
            )
        if len(state["processes"]) != distributed.world_size():
            raise UsageError(
                f"The checkpoint is one of {len(state['processes'])} processes, not of "
                f"{distributed.world_size()}; resume with as many."
            )
        self.update, self._ahead, self._held = state["update"], None, None
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        own = state["processes"][distributed.rank()]
        self.buffer.load_state_dict(own["buffer"])
        self.adaptation.load_state_dict(own["adaptation"])
        if self.noise is not self.generator and "noise" in own:  # which a training on a CPU does not have
            self.noise.set_state(own["noise"])

    def _is_mine(self, config: str) -> bool:
        """Whether saved settings equal these; those that an older version lacks have their defaults."""
        try:
            saved = json.loads(config)
            return isinstance(saved, dict) and from_dict(type(self.config), saved) == self.config
        except (ValueError, TypeError):
            return False


def run(
    build: Callable[[], Trainer[M]],
    out: Path,
    validate: Validate[M] | None,
    device: torch.device,
    progress: bool,
) -> M:
    """Make all updates, or the remaining ones of a training that was interrupted.

    Writes to `out`: config.json, checkpoint.pt (the whole state), train.jsonl, TensorBoard events, and
    model/, the model folder with the averaged weights. After SIGINT or SIGTERM, the current update is
    completed and the state is saved; then KeyboardInterrupt is raised, so that no script takes the model for
    a finished one.

    Args:
        build: makes the trainer, once the processes are joined.
        out: folder of this training; if it has a checkpoint of the same settings, training resumes.
        validate: measures the averaged model every `validate_every` updates.
        device: on which to train.
        progress: draw a live progress bar on stderr.

    Returns:
        The averaged model.

    Raises:
        DivergenceError: if training diverges; checkpoint.pt is the last good state.
        KeyboardInterrupt: if a signal ended it early.
    """
    out.mkdir(parents=True, exist_ok=True)
    with distributed.together(device), _stop_on_signal() as stop:
        trainer = build()
        _resume(trainer, out)
        updates = _follow(trainer, out, validate, progress) if distributed.rank() == 0 else _alone(trainer)
        for _ in updates:
            if trainer.update % trainer.config.save_every == 0:
                _save(trainer, out)
            if distributed.in_any(bool(stop)):
                break
        _save(trainer, out)
    if trainer.update < trainer.config.updates:
        raise KeyboardInterrupt
    return trainer.shipped()


def _alone(trainer: Trainer[M]) -> Iterator[None]:
    """Make all updates, and yield after each."""
    while trainer.update < trainer.config.updates:
        trainer.step()
        yield


def _follow(trainer: Trainer[M], out: Path, validate: Validate[M] | None, progress: bool) -> Iterator[None]:
    """Make all updates, log them, and yield after each."""
    config = trainer.config
    with TrainingLog(out, trainer.update, config.updates, progress) as log:
        while trainer.update < config.updates:
            try:
                metrics = trainer.step()
            except DivergenceError:
                log.row(trainer.update, {"diverged": True})
                raise
            if trainer.update % config.log_every == 0:
                log.row(trainer.update, metrics)
            if trainer.update % config.validate_every == 0 and validate is not None:
                log.row(trainer.update, validate(trainer.shipped()))
            yield


def _save(trainer: Trainer[M], out: Path) -> None:
    state = trainer.state_dict()  # which all processes make together
    if distributed.rank() == 0:
        buffer = io.BytesIO()  # on a full disk, torch's own writer raises what is no OSError
        torch.save(state, buffer)
        atomic.replace_file(out / "checkpoint.pt", lambda path: path.write_bytes(buffer.getbuffer()))
        checkpoint.save(trainer.shipped(), out / "model")


def _resume(trainer: Trainer[M], out: Path) -> None:
    path = out / "checkpoint.pt"
    if not path.exists():
        if distributed.rank() > 0:
            return
        text = json.dumps(asdict(trainer.config), indent=2) + "\n"
        atomic.replace_file(out / "config.json", lambda path: path.write_text(text))
        return
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ModelError(f"{path} cannot be read ({error}); remove it to start anew.") from error
    trainer.load_state_dict(state)


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM arrives."""
    received: list[int] = []

    def handler(number: int, _: FrameType | None) -> None:
        received.append(number)

    previous = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
