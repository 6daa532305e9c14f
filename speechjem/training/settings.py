"""Settings of a training, read from YAML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ..data.dataset import Augmentation
from ..data.images import ImageAugmentation
from ..data.shards import Window
from ..energy.langevin import LangevinConfig
from ..energy.losses import OBJECTIVES
from ..energy.wide_resnet import WideResNetConfig
from ..errors import InputError
from ..models.speaking import told_size
from ..models.speech import ModelConfig
from ..runtime.config import check_bounds, from_dict

LARGEST = 1 << 16  # bytes of a configuration


@dataclass(frozen=True)
class DataConfig:
    """Where the recordings are; relative paths are relative to the working directory.

    Attributes:
        labelled: Kaldi data directory with ali.ctm, or shards, such as shards/*.tar or s3://bucket/*.tar.
        unlabelled: folder of more clean speech, or shards, or null.
        noise: folder of noise, or null for synthetic noise only.
        held_out_speakers: speakers of `labelled` that are not trained on but validated on; of shards they are
            only left out.
        held_out: Kaldi data directory to validate on, or null.
        held_out_files: name patterns of files of `unlabelled` and `noise` that are only validated on.
        window: how much of the shards is in memory at once.
    """

    labelled: str | None = None
    unlabelled: str | None = None
    noise: str | None = None
    held_out_speakers: tuple[str, ...] = ()
    held_out: str | None = None
    held_out_files: tuple[str, ...] = ()
    window: Window = field(default_factory=Window)


@dataclass(frozen=True)
class ImageDataConfig:
    """Which images to train on.

    Attributes:
        name: of the set, one that `data.images.read` knows.
        folder: where its files are, relative to the working directory; null for digits.
        held_out: number of training images, the last ones, that are not trained on but validated on.
    """

    name: str = "cifar10"
    folder: str | None = None
    held_out: int = 1000

    def __post_init__(self) -> None:
        if self.held_out < 0:
            raise ValueError(f"setting 'held_out' must be at least 0, not {self.held_out}")


@dataclass(frozen=True)
class ObjectiveConfig:
    """The energy objective and its negatives.

    Attributes:
        objective: one of `losses.OBJECTIVES`.
        weight: of the objective in the sum of losses; 0 turns it and its sampling off.
        chains: SGLD chains per update.
        unconditional: share of chains that follow E(x) instead of E(x, y).
        slots: chains per class in the replay buffer.
        restart: probability that a chain starts anew, from N(0, 1) in speech, from U(-1, 1) in images.
        langevin: sampler settings.
        longer_every: number of updates after which chains get one more step, again and again; 0 keeps their
            length.
        adapt: adapt the sampler settings during training (`langevin.Adaptation`).
    """

    objective: str = "st-jem"
    weight: float = 1.0
    chains: int = 6
    unconditional: float = 0.1
    slots: int = 32
    restart: float = 0.05
    langevin: LangevinConfig = field(default_factory=lambda: LangevinConfig(steps=10))
    longer_every: int = 0
    adapt: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, chains=(1, 10_000), slots=(1, 10_000))
        if self.objective not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise ValueError(f"there is no objective {self.objective!r}; choose from {known}")
        if self.chains > self.slots:
            raise ValueError(f"setting 'chains' must be at most 'slots' ({self.slots}), not {self.chains}")


@dataclass(frozen=True)
class EnergyConfig(ObjectiveConfig):
    """The energy objective on chunks of frames.

    Attributes:
        frames: length of a chain and of a chunk of real frames.
        shortest: shortest length of chunks and chains. Each update draws one of three lengths from this to
            `frames`, so that energies are balanced at the lengths of use; 0 always uses `frames`.
        stride: distance in frames between the examples that a chunk gives to the batch.
        chunks: chunks of real frames per update.
        unlabelled: weight, within the objective, of `losses.example` on excerpts without labels.
        sequences: further chains per update, which generate the phones of a real chunk as `Generator` does,
            from the Gaussians of its phones and with the model's own sampler; they are not kept.
    """

    frames: int = 32
    shortest: int = 0
    stride: int = 4
    chunks: int = 16
    unlabelled: float = 0.0
    sequences: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(self, frames=(1, 10_000), stride=(1, 10_000), chunks=(1, 10_000), sequences=(0, 10_000))
        check_bounds(self, shortest=(0, self.frames))
        if self.sequences > self.chunks:
            raise ValueError(
                f"setting 'sequences' must be at most 'chunks' ({self.chunks}), not {self.sequences}"
            )
        if self.stride > (self.shortest or self.frames):
            raise ValueError(f"setting 'stride' must be at most as long as a chunk, not {self.stride}")


@dataclass(frozen=True)
class SpeakConfig:
    """The trained steps of generation (`speaking`), on labelled excerpts whose pitch is known.

    Attributes:
        weight: of the sum of these losses; 0 turns them off.
        excerpts: number per update, taken from its batch.
        changes: weight of the error of the differences in time and in frequency.
        spread: weight of the error of the standard deviation over time, which oversmoothing lowers (the
            global variance of Toda and Tokuda, IEICE 2007).
        classify: weight of the cross-entropy of the phones along the steps.
        energy: weight of the energy objective on E(x | phones, pitch, voice); its negatives are the outputs
            of the trained steps, after some more steps of a sampler.
        stride: distance in frames between the examples of that objective.
        langevin: settings of that sampler, which generation also uses after the trained steps.
    """

    weight: float = 0.0
    excerpts: int = 16
    changes: float = 0.3
    spread: float = 0.3
    classify: float = 0.05
    energy: float = 0.1
    stride: int = 4
    langevin: LangevinConfig = field(default_factory=lambda: LangevinConfig(steps=4, step_size=0.1))

    def __post_init__(self) -> None:
        check_bounds(self, excerpts=(1, 10_000), stride=(1, 10_000))


@dataclass(frozen=True)
class LoopConfig:
    """Settings that every training has.

    Attributes:
        updates: number of updates.
        batch: excerpts or images per update.
        deals: consecutive updates that share a batch, for when drawing takes longer than training. In speech,
            each but the first gives the noises to other excerpts.
        learning_rate: peak of the learning rate of all optimisers, reached after `warmup` updates; then it
            falls along a cosine.
        clip: bound on the norm of the gradient.
        ema: decay of the moving average of the weights, which is what is saved as the model.
        logit_limit: largest |logit|; beyond it, training counts as diverged.
        log_every, validate_every, save_every: in updates.
        precision: 'auto' (bfloat16 where the processor multiplies it natively), 'bfloat16' or 'float32'.
    """

    energy: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    updates: int = 12000
    batch: int = 8
    deals: int = 1
    learning_rate: float = 1e-3
    warmup: int = 300
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    logit_limit: float = 1000.0
    log_every: int = 20
    validate_every: int = 1000
    save_every: int = 500
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self) -> None:
        counts = ("updates", "deals", "log_every", "validate_every", "save_every")
        check_bounds(self, **dict.fromkeys(counts, (1, 1e9)), batch=(1, 10_000), learning_rate=(1e-12, 1e6))


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """All settings of a training on speech. Its optimisers are Muon and AdamW.

    Attributes:
        speak: the trained steps of generation.
        augment: how excerpts are drawn and mixed with noise.
        start: model folder whose weights to start from, or null for random ones.
        seconds: length of an excerpt.
        classify: weight of the cross-entropy on clean excerpts.
        mask_frames, mask_bins: greatest width of the two bands of frames and of bins that are hidden from the
            classifier in each clean excerpt (SpecAugment, Park et al. 2019, arXiv 1904.08779); 0 hides none.
        classify_noisy: weight of the cross-entropy on the frames along the descent.
        conditioned: weight of the energy objective on E(x | noisy), clean frames against descent outputs.
        denoise: weight of the descent's spectral loss; 0 trains no descent.
        pesq: weight of an approximation of PESQ's distance (needs torch-pesq); 0 turns it off.
        envelope: weight of the decorrelation of the envelopes, a loss related to ESTOI.
        unconditioned: share of updates whose descent sees the envelope only (networks with fine structure).
        log_mel: weight of the squared error of each step's normalised log-mel.
        score_matching: weight of denoising score matching on the clean frames; 0 turns it off.
        descent_schedule: shares of the training after which the 2nd, 3rd, ... step joins.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    speak: SpeakConfig = field(default_factory=SpeakConfig)
    augment: Augmentation = field(default_factory=Augmentation)
    start: str | None = None
    seconds: float = 2.0
    classify: float = 1.0
    mask_frames: int = 0
    mask_bins: int = 0
    classify_noisy: float = 0.1
    conditioned: float = 0.0
    denoise: float = 1.0
    pesq: float = 0.0
    envelope: float = 0.0
    unconditioned: float = 0.1
    log_mel: float = 0.1
    score_matching: float = 0.0
    descent_schedule: tuple[float, ...] = (0.35, 0.7)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(self, seconds=(0.01, 600), mask_frames=(0, 10_000), mask_bins=(0, 10_000))
        fbank = self.model.fbank
        if self.speak.weight > 0 and self.model.network.told == 0:
            size = told_size(fbank.bins)
            raise ValueError(
                f"setting 'speak' needs a network with phones, pitch and voice as input: told: {size}"
            )
        if self.seconds * fbank.sample_rate < (self.energy.frames - 1) * fbank.hop:
            raise ValueError(f"{self.seconds} s have fewer frames than a chunk ({self.energy.frames})")


@dataclass(frozen=True)
class ImageTrainConfig(LoopConfig):
    """All settings of a training on images. Its optimiser is AdamW (Adam, without weight decay).

    Attributes:
        network: size of the network.
        generate: sampler settings of generation.
        augment: how images are varied.
        classify: weight of a further cross-entropy of the classes; most energy objectives include one.
    """

    data: ImageDataConfig = field(default_factory=ImageDataConfig)
    network: WideResNetConfig = field(default_factory=WideResNetConfig)
    generate: LangevinConfig = field(default_factory=LangevinConfig)
    augment: ImageAugmentation = field(default_factory=ImageAugmentation)
    batch: int = 64
    weight_decay: float = 0.0
    classify: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.energy.chains > self.batch:
            raise ValueError(
                f"setting 'chains' must be at most 'batch' ({self.batch}), not {self.energy.chains}"
            )


C = TypeVar("C", bound=LoopConfig)
D = TypeVar("D", TrainConfig, ImageTrainConfig)


def read_config(path: Path) -> TrainConfig:
    """Read the configuration of a training on speech (YAML).

    Raises:
        InputError: if the file is missing, not YAML, or has unknown or impossible settings.
    """
    return _read(path, TrainConfig)


def read_image_config(path: Path) -> ImageTrainConfig:
    """Read the configuration of a training on images; raises InputError as `read_config` does."""
    return _read(path, ImageTrainConfig)


def _read(path: Path, kind: type[C]) -> C:
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads 1e-3 as a number, as YAML 1.2 and JSON do, so that it reads the config.json of a training.

        Aliases are refused: nested, a few lines of them fill any memory.
        """

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("it has an alias (*); write the settings out")
            return super().compose_node(parent, index)

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        content = yaml.load(path.read_text(encoding="utf-8"), Loader) or {}
        if not isinstance(content, dict):
            raise ValueError("it is not a mapping of settings")
        config = from_dict(kind, content)
    except FileNotFoundError as error:
        raise InputError(f"No such file: {path}. Give the path of a training configuration.") from error
    except (OSError, ValueError, TypeError, OverflowError, RecursionError, yaml.YAMLError) as error:
        raise InputError(
            f"{path} is not a training configuration: {' '.join(str(error).split())}."
        ) from error
    return config


def with_data(config: D, **paths: str | None) -> D:
    """The configuration with some paths of its data replaced; None leaves one as it is."""
    given: dict[str, Any] = {name: path for name, path in paths.items() if path is not None}
    return replace(config, data=replace(config.data, **given))
