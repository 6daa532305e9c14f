"""One frame of a causal model as an ONNX graph, for streams in programs of any language.

`frames` says what the graph does; a stream is a loop around it. The host

- brings the samples, at the model's rate, to its level (`audio.level.PastGain`);
- cuts frames of `window` samples, `hop` apart, the first of them centred on the first sample;
- adds each `enhanced` frame where the frame before the newest came from, divides by the sum of the squared
  windows (periodic Hann), and takes the level back;
- gives the next frame the state that it got, zeros at the start; and after the end a frame of NaN, which is
  none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import SpeechjemError
from ..light.graphs import FRAME
from ..models import checkpoint
from ..models.speech import SpeechModel
from ..runtime import atomic
from .frames import Frames

INPUTS, OUTPUTS = ("frame", "state"), ("enhanced", "gain", "next_state")


def facts(model: SpeechModel, kind: str, steps: int, state: int = 0) -> dict[str, object]:
    """What a graph says of itself, for its host."""
    config = model.config.fbank
    return {
        "format": kind, "sha256": checkpoint.sha256(model),
        "sample_rate": config.sample_rate, "window": config.window, "hop": config.hop, "level": config.level,
        "steps": steps, "context": model.config.network.context, "state": state,
    }  # fmt: skip


def write(path: Path, model: SpeechModel, steps: int) -> None:
    """Write the graph.

    Inputs are `frame` (channels, window) and `state` (channels, size); outputs `enhanced` (channels, window),
    `gain` (channels, 1), the mean of the upper half of the band, and `next_state`; all float32. Two more
    inputs may be left out: `scale` (steps,), a factor on the size of each step, and `strength` (1,).

    Args:
        path: file to write.
        model: causal.
        steps: number of steps.

    Raises:
        SpeechjemError: if onnx is not installed.
    """
    try:
        import onnx

        from .tracing import Tracing
    except ImportError as error:
        raise SpeechjemError("Writing ONNX needs onnx; run: pip install 'speechjem[onnx]'.") from error
    frames, config = Frames(model, steps), model.config.fbank
    frame, state = ("channels", config.window), ("channels", frames.size)
    defaults = {"scale": np.ones(steps, np.float32), "strength": np.ones(1, np.float32)}
    shapes = dict(zip(INPUTS, (frame, state), strict=True)) | {n: d.shape for n, d in defaults.items()}
    graph = Tracing(shapes)
    results = zip(frames(*graph.values), (frame, ("channels", 1), state), strict=True)
    told = facts(model, FRAME, steps, frames.size)
    proto = graph.model(dict(zip(OUTPUTS, results, strict=True)), defaults, told)
    atomic.replace_file(path, lambda partial: onnx.save(proto, partial))
