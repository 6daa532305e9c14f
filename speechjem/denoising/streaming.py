"""Denoising while the recording is still going on, with a fixed delay and bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..audio.bands import AnyRate, Enhanced
from ..audio.blocks import Fifo
from ..audio.waveform import MOST_CHANNELS, as_array
from ..errors import InputError, UsageError
from ..features.fbank import Fbank
from ..features.phase import Spectrum
from ..runtime.device import own_modes
from .denoiser import Denoiser

BLOCK = 4  # frames whose gain is fixed at once
AHEAD = 1  # frames beyond them that are heard
PAST = 100  # frames before them that are heard
LEVEL_SECONDS = 3.0  # how long the running level remembers
_NOW = slice(-BLOCK - AHEAD, -AHEAD)  # frames of those that are heard


class StreamDenoiser:
    """Enhances a stream: push blocks of any size, get blocks back, flush at the end.

    What comes out is what went in, `latency` later, whatever the sizes of the blocks; all blocks together
    are as long as the input. A gain is decided from the last second and the next few frames, and the level
    of the stream so far stands in for that of the recording: the result is worse than `Denoiser`'s. The
    rumble filter, which would delay too much, is left out: the gain lowers rumble, less sharply.

    Args:
        sample_rate: in Hz.
        channels: their number; each is enhanced by itself.
        denoiser: settings and model; the shipped model's by default.

    Raises:
        UsageError: for an impossible rate or number of channels.

    Examples:
        >>> import numpy as np
        >>> stream = StreamDenoiser(16000)
        >>> pieces = [stream.push(block) for block in np.zeros((10, 1, 800), np.float32)] + [stream.flush()]
        >>> np.concatenate(pieces, axis=1).shape
        (1, 8000)
    """

    def __init__(self, sample_rate: int, channels: int = 1, denoiser: Denoiser | None = None):
        if sample_rate < 1 or not 1 <= channels <= MOST_CHANNELS:
            raise UsageError(f"A stream of {channels} channels at {sample_rate} Hz is impossible.")
        denoiser = denoiser or Denoiser()
        config = denoiser.model.config.fbank
        self.channels = channels
        self.latency = (config.hop * (BLOCK + AHEAD - 1) + config.window) / config.sample_rate
        """Longest time in seconds between a sample and its enhanced version, at the model's rate.

        At other rates two resampling filters add some milliseconds.
        """
        self._denoiser, self._sample_rate = denoiser, sample_rate
        self._begin()

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take a block and give the samples that are ready, possibly none.

        Args:
            samples: array or tensor, shape (channels, any number).

        Raises:
            InputError: if the shape is another, or a sample is not finite.
        """
        block = as_array(samples)
        if block.ndim != 2 or len(block) != self.channels or not np.isfinite(block).all():
            raise InputError(
                f"A block must have finite samples of shape ({self.channels}, samples), not {block.shape}; "
                "transpose it (block.T) where channels come last."
            )
        return self._enhancer.push(block.astype(np.float32))

    def flush(self) -> np.ndarray:
        """End the stream and give the samples that were kept back; what is pushed then is another stream."""
        rest = self._enhancer.flush()
        self._begin()
        return rest

    def _begin(self) -> None:
        core = _FrameByFrame(self._denoiser, self.channels)
        inner_rate = self._denoiser.model.config.fbank.sample_rate
        self._enhancer = AnyRate(core, self._sample_rate, inner_rate, self.channels)


class _FrameByFrame:
    """The stream at the model's rate, and its transform: `BLOCK` frames are enhanced and overlap-added.

    Frame t is centred on sample t * hop, as in `fbank`.
    """

    def __init__(self, denoiser: Denoiser, channels: int):
        self.denoiser, self.channels = denoiser, channels
        self.fbank = denoiser.model.fbank
        self.hop, self.window = self.fbank.config.hop, self.fbank.config.window
        self.generator = torch.Generator(denoiser.device).manual_seed(denoiser.seed)
        self.heard = Fifo(channels)  # from frame `first` on
        self.first, self.frame = 0, 0  # `frame` is the next one to enhance
        self.running = _RunningLevel(self.fbank, channels)
        self.level = np.ones((channels, 1), np.float32)
        self.sum = np.zeros((channels, self.window - self.hop), np.float32)
        self.weight = np.zeros(self.window - self.hop, np.float32)
        self.upper = np.ones((channels, 2), np.float32)
        self.skip = self.window // 2  # the first frame begins half a window before the first sample
        self.kept = 0  # samples received and not yet given back

    def push(self, samples: np.ndarray) -> Enhanced:
        self.heard.push(samples)
        self.kept += samples.shape[1]
        pieces = [np.zeros((2, self.channels, 0), np.float32)]
        while self.heard.length >= self._end():
            pieces.append(self._advance())
        enhanced, gain = np.concatenate(pieces, axis=2)
        self.kept -= enhanced.shape[1]
        return enhanced, gain

    def flush(self) -> Enhanced:
        kept = self.kept
        silence = np.zeros((self.channels, self._end() + BLOCK * self.hop), np.float32)
        enhanced, gain = self.push(silence)
        return enhanced[:, :kept], gain[:, :kept]

    def _end(self) -> int:
        """Samples that must have been heard before the next frames can be enhanced."""
        return (self.frame + BLOCK + AHEAD - 1 - self.first) * self.hop + self.window // 2

    @own_modes()
    @torch.no_grad()
    def _advance(self) -> np.ndarray:
        """Enhance the next frames; gives enhanced samples and gains, shape (2, channels, samples)."""
        heard = self.heard.peek(self._end())
        self.level = self.running.update(heard if self.frame == 0 else heard[:, -BLOCK * self.hop :])
        waveform = torch.from_numpy(heard).to(self.denoiser.device)
        enhanced, gain = self.denoiser.path.enhance(waveform, self, self.generator)
        samples = enhanced.cpu().numpy()
        upper = self._interpolate(gain[:, _NOW, gain.shape[-1] // 2 :].mean(-1).cpu().numpy())
        self.frame += BLOCK
        first = max(0, self.frame - PAST - 2)
        self.heard.pop((first - self.first) * self.hop)
        self.first = first
        skip, self.skip = self.skip, 0
        return np.stack([samples, upper]).astype(np.float32)[..., skip:]

    def analyse(self, waveform: Tensor) -> Spectrum:
        """Frames that are heard: those that are enhanced now, the past before them and the look-ahead."""
        spectrum = self.fbank.stft(waveform * torch.from_numpy(self.level).to(waveform.device))
        edge = 0 if self.first == 0 else 2  # frames that would need samples no longer kept
        spectrum = spectrum[:, edge : self.frame - self.first + BLOCK + AHEAD]
        return spectrum.real, spectrum.imag

    def synthesise(self, spectrum: Spectrum, samples: int) -> Tensor:
        """Samples that the frames of now complete."""
        now = torch.complex(*spectrum)[:, _NOW].cpu().numpy() / self.level[..., None]
        return torch.from_numpy(self._overlap_add(now))

    def _overlap_add(self, spectrum: np.ndarray) -> np.ndarray:
        """The samples that no later frame reaches."""
        window = self.fbank.window.cpu().numpy()
        total = np.pad(self.sum, ((0, 0), (0, BLOCK * self.hop)))
        weight = np.pad(self.weight, (0, BLOCK * self.hop))
        for number, frame in enumerate(np.fft.irfft(spectrum, axis=-1).swapaxes(0, 1)):
            place = slice(number * self.hop, number * self.hop + self.window)
            total[:, place] += frame * window
            weight[place] += window**2
        count = BLOCK * self.hop
        self.sum, self.weight = total[:, count:], weight[count:]
        whole: np.ndarray = total[:, :count] / weight[:count].clip(1e-8)
        return whole

    def _interpolate(self, upper: np.ndarray) -> np.ndarray:
        """Gains of frames as gains of the samples that `_overlap_add` gives."""
        upper = np.concatenate([self.upper, upper], axis=1)
        self.upper = upper[:, -2:]
        places = 2 + (np.arange(BLOCK * self.hop) - self.window // 2) / self.hop
        return np.stack([np.interp(places, np.arange(len(row)), row) for row in upper])


class _RunningLevel:
    """Level of about the last `LEVEL_SECONDS`, or of all there was when that is less."""

    def __init__(self, fbank: Fbank, channels: int):
        self.fbank = fbank
        self.power = np.zeros((channels, 1))
        self.count = 0.0

    def update(self, samples: np.ndarray) -> np.ndarray:
        """Take new samples, and give each channel's factor to the model's level, shape (channels, 1)."""
        count = samples.shape[1]
        forget = np.exp(-count / (LEVEL_SECONDS * self.fbank.config.sample_rate))
        self.power = forget * self.power + np.square(samples, dtype=np.float64).sum(1, keepdims=True)
        self.count = forget * self.count + count
        return self.fbank.level_gain_of(torch.from_numpy(self.power / self.count)).numpy().astype(np.float32)
