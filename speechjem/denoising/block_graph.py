"""A block of a recording as an ONNX graph: what `Denoiser` does between levels, resampling and rumble.

These stay with the host (`light`), so that memory is bounded, and the level is followed in recordings of any
length. `graph` is simpler to use, and for short recordings.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..light import graphs
from ..models.speech import SpeechModel
from ..runtime import atomic
from . import frame_graph
from .graph import Graph, exported

INPUTS, OUTPUTS = ("noisy", "scale", "strength"), ("enhanced", "gain")
LEAST = 100  # samples that the graph takes


class BlockGraph(nn.Module):
    """Samples of nominal level -> the same, enhanced, and the mean gain of each frame from half the band on.

    Args:
        model: whose descent it takes, all steps.

    Shape: noisy (channels, samples), scale (steps,), strength (1,)
        -> (channels, samples), (channels, frames).
    """

    def __init__(self, model: SpeechModel):
        super().__init__()
        self.model, self.transform = model, Graph(model)

    def forward(self, noisy: Tensor, scale: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
        spectrum = self.transform.analyse(noisy)
        observed = self.model.observe_parts(*spectrum)
        x = self._descend(observed, scale)
        gain = self.model.gain(x, observed) ** strength
        real, imaginary = self.model.turned(spectrum, x, strength)
        enhanced = self.transform.synthesise((real * gain, imaginary * gain), noisy.shape[-1])
        return enhanced, gain[..., gain.shape[-1] // 2 :].mean(-1)

    def _descend(self, observed: Tensor, scale: Tensor) -> Tensor:
        """`Descent.steps` with a factor on the size of each."""
        descent, jem = self.model.descent, self.model.jem
        conditions = jem.network.observe(observed)
        x = F.pad(observed[..., : descent.bins + descent.fine], (0, descent.turn))
        sizes = torch.cat([descent.log_size, descent.log_fine_size], 1).exp()
        for size, factor in zip(sizes.unbind(), scale.split(1), strict=True):
            x = x - factor * size * jem.step(x, conditions)[0]
        return x


def write(path: Path, model: SpeechModel) -> None:
    """Write the graph of a model that is not causal, for `light.denoiser`.

    Args:
        path: file to write.
        model: with fine structure, turn and phase relations.

    Raises:
        SpeechjemError: if the packages for it are not installed.
    """
    steps = model.config.descent.steps
    examples = (torch.randn(2, 16000), torch.ones(steps), torch.ones(1))
    varying = {0: torch.export.Dim("channels"), 1: torch.export.Dim("samples", min=LEAST)}
    sizes = {"noisy": varying, "scale": None, "strength": None}
    program = exported(BlockGraph(model), examples, sizes, INPUTS, OUTPUTS)
    import onnx

    proto = program.model_proto
    facts = frame_graph.facts(model, graphs.BLOCK, steps)
    onnx.helper.set_model_props(proto, {name: str(fact) for name, fact in facts.items()})
    atomic.replace_file(path, lambda partial: onnx.save(proto, partial))
