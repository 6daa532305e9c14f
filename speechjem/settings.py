"""Settings of a training, read from YAML."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import checkpoint
from .data.dataset import Augmentation
from .errors import InputError
from .langevin import LangevinConfig
from .losses import OBJECTIVES
from .model import ModelConfig


@dataclass(frozen=True)
class DataConfig:
    """Where the recordings are; relative paths are relative to the working directory.

    Attributes:
        labelled: Kaldi data directory with ali.ctm.
        unlabelled: folder of more clean speech, or null.
        noise: folder of noise, or null for synthetic noise only.
        held_out_speakers: speakers of `labelled` to measure on.
    """

    labelled: str | None = None
    unlabelled: str | None = None
    noise: str | None = None
    held_out_speakers: tuple[str, ...] = ()


@dataclass(frozen=True)
class EnergyConfig:
    """The energy objective and its negatives.

    Attributes:
        objective: one of `losses.OBJECTIVES`.
        weight: of the objective in the sum of losses; 0 leaves it and its sampling out.
        unlabelled: weight, within the objective, of `losses.example` on excerpts without labels.
        frames: length of a chain and of a chunk of real frames.
        stride: every so many frames of a chunk are examples of the batch.
        chunks: chunks of real frames an update.
        chains: SGLD chains an update.
        unconditional: share of chains that follow E(x) instead of E(x, y).
        slots: chains a class in the replay buffer.
        restart: probability that a chain starts anew from N(0, 1).
        langevin: sampler settings.
        adapt: try other sampler settings while training (`langevin.Adaptation`).
    """

    objective: str = "st-jem"
    weight: float = 1.0
    unlabelled: float = 0.0
    frames: int = 32
    stride: int = 4
    chunks: int = 16
    chains: int = 6
    unconditional: float = 0.1
    slots: int = 32
    restart: float = 0.05
    langevin: LangevinConfig = field(default_factory=lambda: LangevinConfig(steps=10))
    adapt: bool = True

    def __post_init__(self) -> None:
        _check_positive(self, "frames", "stride", "chunks", "chains", "slots")
        if self.stride > self.frames:
            raise ValueError(f"setting 'stride' must be at most 'frames' ({self.frames}), not {self.stride}")
        if self.chains > self.slots:
            raise ValueError(f"setting 'chains' must be at most 'slots' ({self.slots}), not {self.chains}")


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a training.

    Attributes:
        augment: how excerpts are made.
        start: model folder whose weights to start from, or null for random ones.
        updates: number of updates.
        batch: excerpts an update.
        seconds: length of an excerpt.
        learning_rate: peak of the rate of both optimisers (Muon and AdamW), reached after `warmup` updates,
            falling as a cosine.
        clip: bound on the norm of the gradient.
        ema: decay of the averaged weights, which are the ones that ship.
        classify: weight of the cross-entropy on clean excerpts.
        classify_noisy: weight of the cross-entropy on the frames along the descent.
        denoise: weight of the descent's spectral loss; 0 trains no descent.
        pesq: weight of an approximation of PESQ's distance (needs torch-pesq); 0 leaves it out.
        envelope: weight of the envelopes' decorrelation, a relative of ESTOI.
        unconditioned: share of updates whose descent knows the envelope only (networks with fine structure).
        cut: share of updates whose descent hears short pieces, so that it learns to do without the future,
            as a stream must.
        log_mel: weight of the squared error of each step's normalised log-mel.
        score_matching: weight of denoising score matching on the clean frames; 0 leaves it out.
        descent_schedule: shares of the training after which the 2nd, 3rd, ... step joins.
        logit_limit: largest |logit| that counts as healthy.
        log_every, validate_every, save_every: in updates.
        precision: 'auto' (bfloat16 where the CPU multiplies it natively), 'bfloat16' or 'float32'.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    augment: Augmentation = field(default_factory=Augmentation)
    start: str | None = None
    updates: int = 12000
    batch: int = 8
    seconds: float = 2.0
    learning_rate: float = 1e-3
    warmup: int = 300
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    classify: float = 1.0
    classify_noisy: float = 0.1
    denoise: float = 1.0
    pesq: float = 0.0
    envelope: float = 0.0
    unconditioned: float = 0.1
    cut: float = 0.0
    log_mel: float = 0.1
    score_matching: float = 0.0
    descent_schedule: tuple[float, ...] = (0.35, 0.7)
    logit_limit: float = 1000.0
    log_every: int = 20
    validate_every: int = 1000
    save_every: int = 500
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self) -> None:
        _check_positive(
            self, "updates", "batch", "seconds", "learning_rate", "log_every", "validate_every", "save_every"
        )
        fbank = self.model.fbank
        if self.seconds * fbank.sample_rate < (self.energy.frames - 1) * fbank.hop:
            raise ValueError(f"{self.seconds} s have fewer frames than a chunk ({self.energy.frames})")


def _check_positive(config: object, *names: str) -> None:
    for name in names:
        if not 0 < getattr(config, name) < math.inf:
            raise ValueError(f"setting {name!r} must be more than 0, not {getattr(config, name)}")


def read_config(path: Path) -> TrainConfig:
    """Read a training configuration (YAML).

    Raises:
        InputError: if the file is missing, not YAML, or has unknown or impossible settings.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads 1e-3 as a number, as YAML 1.2 and JSON do, so that the config.json of a training fits too."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader) or {}
        if not isinstance(content, dict):
            raise ValueError("it is not a mapping of settings")
        config = checkpoint.from_dict(TrainConfig, content)
    except FileNotFoundError as error:
        raise InputError(f"No such file: {path}. Give the path of a training configuration.") from error
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise InputError(
            f"{path} is not a training configuration: {' '.join(str(error).split())}."
        ) from error
    if config.energy.objective not in OBJECTIVES:
        raise InputError(
            f"{path}: there is no objective {config.energy.objective!r}; choose from {', '.join(OBJECTIVES)}."
        )
    return config


def with_data(config: TrainConfig, **paths: str | None) -> TrainConfig:
    """The configuration with some paths of its data replaced; None leaves one as it is."""
    given: dict[str, Any] = {name: path for name, path in paths.items() if path is not None}
    return replace(config, data=replace(config.data, **given))
