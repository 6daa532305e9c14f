"""The graphs that `export` writes, opened: what a host must know of a model, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError, SpeechjemError

BLOCK, FRAME = "speechjem-block-1", "speechjem-frame-1"  # formats: of a block of frames, or of one frame
NAME = "model.onnx"  # in the folder of a model
DEFAULT = "base"


@dataclass(frozen=True)
class Graph:
    """A model without torch.

    Attributes:
        session: of onnxruntime.
        format: `BLOCK` or `FRAME`.
        sha256: of the weights that it was made of.
        rate, window, hop, level: as `features.fbank.FbankConfig` has them.
        steps: that were trained.
        context: frames on either side that the network hears.
        state: numbers that the next frame needs, a channel.
    """

    session: Any
    format: str
    sha256: str
    rate: int
    window: int
    hop: int
    level: float
    steps: int
    context: int
    state: int

    def run(self, outputs: tuple[str, ...], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names."""
        found: list[np.ndarray] = self.session.run(outputs, inputs)
        return found


def locate(name: str | Path | None) -> Path:
    """The graph of a model.

    Args:
        name: path of a graph, or of the folder that has one; or, if there is none, 'base' or 'stream'.
    """
    given = Path(name or DEFAULT)
    if name is None or not given.exists():
        given = Path(str(resources.files("speechjem"))) / "weights" / given
    return given / NAME if given.is_dir() or not given.suffix else given


@cache
def load(path: Path) -> Graph:
    """Open a graph.

    Raises:
        ModelError: if there is none, or it is not one of ours.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise SpeechjemError(
            "Without torch, denoising needs onnxruntime; run: pip install onnxruntime."
        ) from error
    if not path.is_file():
        raise ModelError(
            f"No such file: {path}. Without torch a model is a graph that 'speechjem export' wrote."
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of inputs that may be left out
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads take no time
    # Not to keep the memory of the largest block, nor the weights a second time, saves 50 MB.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        facts = session.get_modelmeta().custom_metadata_map
        if facts.get("format") not in (BLOCK, FRAME):
            raise ModelError(f"{path} is not a graph that 'speechjem export' wrote for this; choose another.")
        numbers = [int(facts[name]) for name in ("sample_rate", "window", "hop", "steps", "context", "state")]
        rate, window, hop, steps, context, state = numbers
        level, sha256 = float(facts["level"]), facts["sha256"]
    except ModelError:
        raise
    except Exception as error:  # onnxruntime's have no common class
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{path} cannot be opened ({reason}); get it again.") from error
    return Graph(session, facts["format"], sha256, rate, window, hop, level, steps, context, state)
