"""Compile the plugin with the weights of a model."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import numpy as np

from ..audio import level, resampling, rumble
from ..denoising.denoiser import Denoiser
from ..denoising.frames import Frames, array
from ..denoising.streaming import check
from ..errors import SpeechjemError
from ..features.phase import LAGS
from ..models.speech import RESAMPLED, SpeechModel
from ..runtime import atomic

FLAGS = ("-O3", "-march=native", "-fopenmp-simd", "-std=gnu11", "-Wall", "-Wextra", "-shared", "-fPIC")
NEEDED = "On Debian: apt install gcc ladspa-sdk."


def build(model: SpeechModel, path: Path, force: bool = False) -> None:
    """Write a LADSPA plugin of a causal model, for the processor it is compiled on.

    Args:
        model: causal, such as `checkpoint.load("stream")`.
        path: of the plugin, such as speechjem.so; it is complete or absent.
        force: replace a file that is there.

    Raises:
        UsageError: if no stream can have the model.
        InputError: if the file exists.
        SpeechjemError: if there is no C compiler, or LADSPA's header is missing.
    """
    check(Denoiser(model, device="cpu", precision="float32"))
    atomic.check_new(path, force)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        raise SpeechjemError(f"There is no C compiler '{compiler[0]}'. {NEEDED}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_model(model, folder)
        (folder / "plugin.c").write_bytes(resources.files(__package__).joinpath("plugin.c").read_bytes())
        command = [*compiler, *FLAGS, "plugin.c", "-lm", "-o", "plugin.so"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
        if done.returncode != 0:
            cause = next((line for line in done.stderr.splitlines() if "error" in line), "it gave no reason")
            raise SpeechjemError(f"The compiler failed: {cause.strip()}. {NEEDED}")
        atomic.replace_file(path, lambda beside: beside.write_bytes((folder / "plugin.so").read_bytes()))


def _write_model(model: SpeechModel, folder: Path) -> None:
    """model.h has the sizes and the struct, model.bin its content."""
    arrays = _arrays(model)
    fields = [f"    float {name}{''.join(f'[{n}]' for n in a.shape)};" for name, a in arrays.items()]
    sections = _listed(_listed(row.tolist()) for row in _sections(model))
    lines = [
        *(f"#define {name} {value}" for name, value in _sizes(model).items()),
        f"static const int dilations[] = {_listed(model.config.network.dilations)};",
        f"static const double high_pass_sections[][6] = {sections};",
        "struct weights {",
        *fields,
        "};",
    ]
    (folder / "model.h").write_text("\n".join(lines) + "\n")
    flat = [np.ascontiguousarray(a, np.float32).ravel() for a in arrays.values()]
    (folder / "model.bin").write_bytes(np.concatenate(flat).tobytes())


def _sizes(model: SpeechModel) -> dict[str, int | float | str]:
    fbank, network = model.config.fbank, model.config.network
    return {
        "RATE": fbank.sample_rate,
        "WINDOW": fbank.window,
        "HOP": fbank.hop,
        "FREQUENCIES": fbank.window // 2 + 1,
        "BINS": fbank.bins,
        "FINE": network.fine,
        "TURN": network.turn,
        "LOW": network.phase // (2 * len(LAGS)),
        "EDGE": int(RESAMPLED * (fbank.window // 2 + 1)),
        "FLOOR": f"{fbank.floor!r}f",
        "CHANNELS": network.channels,
        "HIDDEN": network.hidden,
        "CLASSES": network.classes,
        "BLOCKS": len(network.dilations),
        "KEPT": 2 * max(network.dilations),
        "STEPS": model.config.descent.steps,
        "SECTIONS": len(_sections(model)),
        "CROSSINGS": resampling.CROSSINGS,
        "CUTOFF": resampling.CUTOFF,
        "BETA": resampling.BETA,
        "LEVEL_TARGET": fbank.level + level.LOUDER,
        "LEVEL_BLOCK": round(level.BLOCK * fbank.sample_rate),
        "LEVEL_BLOCKS": round(level.WINDOW / level.BLOCK),
        "LEVEL_SHARE": level.SHARE,
        "LEVEL_USUAL": level.USUAL,
        "LEVEL_LOWEST": level.LOWEST,
    }


def _sections(model: SpeechModel) -> np.ndarray:
    """The filter of `rumble.Above`."""
    sections: np.ndarray = rumble.Above(1, model.config.fbank.sample_rate).sections
    return sections


def _arrays(model: SpeechModel) -> dict[str, np.ndarray]:
    """Everything that `struct weights` holds, in its order."""
    frames, network = Frames(model, model.config.descent.steps), model.jem.network
    window = array(model.fbank.window)
    forward, inverse = _transforms(len(window))
    observed = [array(part.weight.T) for part in (network.observed, network.observed_phase)]
    return {
        "window": window,
        "forward": forward * window[:, None],
        "inverse": inverse * window,
        "filters": frames.filters,
        "spread": frames.spread,
        "mean": frames.mean,
        "scale": frames.scale,
        "half": frames.half,
        "turns": _turns(model),
        "observed": np.concatenate(observed),
        "envelope": frames.envelope,
        "enter": frames.enter,
        "enter_bias": frames.enter_bias,
        "before": np.stack([block.before for block in frames.blocks]),
        "now": np.stack([block.now for block in frames.blocks]),
        "narrow": np.stack([block.narrow for block in frames.blocks]),
        "widen_bias": np.stack([block.inside for block in frames.blocks]),
        "narrow_bias": np.stack([block.bias for block in frames.blocks]),
        "output": frames.output,
        "output_bias": frames.output_bias,
        "sizes": frames.sizes,
    }


def _turns(model: SpeechModel) -> np.ndarray:
    """What a partial in mid-bin turns between a frame and its neighbours, taken back (`features.phase`)."""
    config, low = model.config.fbank, model.config.network.phase // (2 * len(LAGS))
    cycle = np.array(LAGS)[:, None] * config.hop * np.arange(low) % config.window
    turn = np.exp(-2j * np.pi / config.window * cycle)
    return np.stack([turn.real, turn.imag], axis=1)


def _transforms(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The real Fourier transform, (2, size, frequencies), and its inverse, (2, frequencies, size)."""
    angle = 2 * np.pi / size * (np.outer(np.arange(size), np.arange(size // 2 + 1)) % size)
    weight = np.full(size // 2 + 1, 2 / size)
    weight[[0, -1]] = 1 / size
    forward = np.stack([np.cos(angle), -np.sin(angle)])
    return forward, (forward * weight).transpose(0, 2, 1)


def _listed(values: Iterable[object]) -> str:
    """An initialiser of C."""
    return "{" + ", ".join(str(value) for value in values) + "}"
