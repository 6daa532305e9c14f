"""The denoiser as a torch module, for pipelines of torch and torchaudio.

    pipeline = torch.nn.Sequential(torchaudio.transforms.Resample(44100, 16000), speechjem.DenoiseTransform())

For NumPy arrays, any sample rate and long recordings there is `Denoiser`, whose call with samples and sample
rate is also that of the transforms of audiomentations and pedalboard.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..audio import check_shape
from ..errors import InputError
from ..models import checkpoint
from ..models.speech import SpeechModel
from .graph import Graph


class DenoiseTransform(nn.Module):
    """Denoises batches of waveforms by descent, in single precision, differentiably.

    It gives what `Denoiser` gives in mode 'descent', strength 1 and precision 'float32', but each waveform in
    one piece, so that memory grows with the length, and with one level, as a waveform of up to 3 s has it.
    Waveforms do not influence each other. Silence that is appended for the sake of a batch counts when the
    level of a waveform is measured.

    The weights are frozen; `requires_grad_()` trains them with whatever the pipeline is trained for. They are
    shared with a model that is given, and move and are saved with this module.

    Args:
        model: a loaded model, or the name of one (see `checkpoint.locate`); the shipped model by default.
        steps: number of descent steps; all that were trained by default.

    Attributes:
        sample_rate: that waveforms must have, in Hz.

    Raises:
        UsageError: if more steps are asked for than were trained.
        ModelError: if the model cannot be loaded.

    Examples:
        >>> import torch
        >>> denoise = DenoiseTransform()
        >>> denoise(torch.zeros(2, 1, denoise.sample_rate)).shape
        torch.Size([2, 1, 16000])
    """

    def __init__(self, model: SpeechModel | str | None = None, steps: int | None = None):
        super().__init__()
        model = checkpoint.given(model)
        self.graph = Graph(model, steps)
        self.sample_rate = model.config.fbank.sample_rate

    def forward(self, waveforms: Tensor) -> Tensor:
        """Denoise waveforms.

        Args:
            waveforms: float32, shape (samples,), (batch, samples), (batch, channels, samples) or with more
                leading dimensions; at `sample_rate`, full scale 1.

        Returns:
            The same shape.

        Raises:
            InputError: if there are no samples, channels come last, or they are no tensor in single
                precision.
        """
        if not isinstance(waveforms, Tensor):
            raise InputError(f"{type(waveforms).__name__} is no tensor; give torch.from_numpy(samples).")
        if waveforms.numel() == 0 or waveforms.dtype != self.graph.analysis.dtype:
            raise InputError(
                f"Waveforms of shape {tuple(waveforms.shape)} and type {waveforms.dtype} cannot be denoised; "
                f"give some samples in {self.graph.analysis.dtype}."
            )
        check_shape(waveforms.shape[-2:])
        enhanced: Tensor = self.graph(waveforms.reshape(-1, waveforms.shape[-1]))
        return enhanced.reshape(waveforms.shape)
