"""One ONNX graph of the whole denoiser, so that other programs can use it without torch.

    waveform --high-pass, level, STFT--> frames
    frames --K descent steps, their gradients unrolled--> gain
    spectrum * gain --inverse STFT--> waveform

ONNX has no complex numbers and no inverse STFT: both transforms are written as convolutions with the windowed
sines and cosines. A recording has one level here, where `Denoiser` follows it; up to 3 s that is the same.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..audio import level, rumble
from ..errors import SpeechjemError
from ..features.phase import Spectrum
from ..models import checkpoint
from ..models.speech import SpeechModel
from ..runtime import atomic
from . import frame_graph
from .modes import DescentMode, Steps
from .path import SignalPath

INPUT, OUTPUT = "noisy", "enhanced"


class Graph(nn.Module):
    """The signal path in the mode 'descent' as one module: (channels, samples) -> (channels, samples).

    It is its own transform.

    Args:
        model: of which the graph is made.
        steps: number of descent steps; all that were trained by default.
    """

    analysis: Tensor
    synthesis: Tensor
    envelope: Tensor
    rumble: Tensor

    def __init__(self, model: SpeechModel, steps: int | None = None):
        super().__init__()
        self.model = model
        self.path = SignalPath(model, DescentMode(model, model.jem, Steps(steps)))
        window = model.fbank.window.double().cpu().numpy()
        size = len(window)
        waves = np.fft.rfft(np.eye(size), axis=-1).T * window  # (frequencies, samples)
        inverse = np.fft.irfft(np.eye(size // 2 + 1), axis=-1) * window
        inverse_imaginary = np.fft.irfft(1j * np.eye(size // 2 + 1), axis=-1) * window
        for name, kernels in (
            ("analysis", np.concatenate([waves.real, waves.imag])),
            ("synthesis", np.concatenate([inverse, inverse_imaginary])),
            ("envelope", window[None] ** 2),
            ("rumble", rumble.taps(model.config.fbank.sample_rate)[None]),
        ):
            self.register_buffer(name, torch.tensor(kernels[:, None], dtype=torch.float32))

    def forward(self, noisy: Tensor) -> Tensor:
        """Enhance a recording at the model's rate.

        Args:
            noisy: shape (channels, samples), full scale 1.
        """
        clear = F.conv1d(noisy[:, None], self.rumble, padding=self.rumble.shape[-1] // 2)[:, 0]
        gain = self._level_gain(clear)
        enhanced, _ = self.path.enhance(clear * gain, self)
        return enhanced / gain

    def _level_gain(self, waveform: Tensor) -> Tensor:
        """One gain for all of a recording, shape (channels, 1), by the rule of `level.follow`."""
        config = self.model.config.fbank
        size = round(level.BLOCK * config.sample_rate)
        powers = F.avg_pool1d(waveform.square()[:, None], size, ceil_mode=True)[:, 0]
        count = torch.ones_like(powers).sum(1, keepdim=True)  # which is data to ONNX, and no shape
        place = (count * (level.SHARE / 100) + 1e-3).long()
        shared = powers.clamp_min(1e-12).sort(dim=1).values.gather(1, place)
        return 10 ** ((config.level + level.LOUDER) / 20) / shared.sqrt()

    def analyse(self, waveform: Tensor) -> Spectrum:
        """`Fbank.stft` without complex numbers."""
        half = self.model.fbank.config.window // 2
        padded = F.pad(waveform, (half, half))
        spectrum = F.conv1d(padded[:, None], self.analysis, stride=self.model.fbank.config.hop)
        real, imaginary = spectrum.transpose(1, 2).chunk(2, dim=-1)
        return real, imaginary

    def synthesise(self, spectrum: Spectrum, samples: int) -> Tensor:
        """`Fbank.istft` without complex numbers."""
        hop, half = self.model.fbank.config.hop, self.model.fbank.config.window // 2
        frames = torch.cat(spectrum, -1).transpose(1, 2)
        total = F.conv_transpose1d(frames, self.synthesis, stride=hop)[:, 0]
        weight = F.conv_transpose1d(torch.ones_like(frames[:1, :1]), self.envelope, stride=hop)[:, 0]
        return (total / weight.clamp_min(1e-8))[:, half : half + samples]


def to_onnx(path: Path, model: SpeechModel | str | None = None, steps: int | None = None) -> None:
    """Write the graph; its input `noisy` and output `enhanced` are float32 (channels, samples) of any size.

    Of a causal model it is the graph of one frame (`frame_graph`).

    Args:
        path: file to write.
        model: a loaded model, or the name of one (`checkpoint.locate`); the shipped model by default.
        steps: number of descent steps.

    Raises:
        SpeechjemError: if the packages for it are not installed.
        UsageError: if more steps are asked for than were trained.
    """
    model = checkpoint.given(model, "cpu")
    if model.config.network.causal:
        mode = DescentMode(model, model.jem, Steps(steps))
        frame_graph.write(path, model, mode.steps)
        return
    sizes = {"noisy": {0: torch.export.Dim("channels"), 1: torch.export.Dim("samples", min=1000)}}
    program = exported(Graph(model, steps), (torch.randn(2, 16000),), sizes, (INPUT,), (OUTPUT,))
    atomic.replace_file(path, lambda partial: program.save(str(partial)))


def exported(
    graph: nn.Module,
    examples: tuple[Tensor, ...],
    sizes: dict[str, Any],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> Any:
    """A module as torch.onnx.ONNXProgram.

    Args:
        graph: what to write.
        examples: its inputs, of sizes that may be.
        sizes: which of them vary, by input, as `torch.export` takes them.
        inputs, outputs: their names.

    Raises:
        SpeechjemError: if the packages for it are not installed.
    """
    if find_spec("onnxscript") is None:
        raise SpeechjemError("Writing ONNX needs onnxscript; run: pip install 'speechjem[onnx]'.")
    # It warns of packages that these graphs do not need.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad():
        program = torch.onnx.export(
            graph.eval(), examples, dynamic_shapes=sizes, input_names=inputs, output_names=outputs,
            dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None
    return program
