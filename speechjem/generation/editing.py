"""Editing recordings by the energy: fill a gap, or turn one phone into another.

Both are chains that start at the frames of the recording, and of which only some frames may move; the network
hears all of them, so that what is new fits what is there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .. import audio, phones
from ..classification import Classifier
from ..energy.langevin import sample, with_given
from ..errors import InputError, UsageError
from ..models import checkpoint
from ..models.speech import SpeechModel
from ..runtime.device import choose_device, own_modes

LONGEST_GAP = 1.0  # seconds; more is not repair but invention
AROUND = 2.0  # seconds on either side that are heard
ITERATIONS = 60  # of Griffin-Lim in a gap
STEP_SIZE = 0.1  # half of generation's, because the start is nearer to the end
LOUDEST = 3.0  # nepers of amplitude, 26 dB, that a conversion may add or take away


class Editor:
    """Fills gaps and converts phones in recordings of any sample rate and number of channels.

    What changes is computed at the model's rate and added to the recording; all else stays to the sample.

    Args:
        model: a loaded model, or the name of one (`checkpoint.locate`); the shipped model by default.
        steps: of SGLD; by default as many as generation has.
        seed: of its noise.
        device: 'auto', 'cpu', 'cuda' or 'mps'.

    Raises:
        UsageError: for less than one step, or a device that is not there.
        ModelError: if the model cannot be loaded.
    """

    def __init__(
        self,
        model: SpeechModel | str | None = None,
        *,
        steps: int | None = None,
        seed: int = 0,
        device: str = "auto",
    ):
        self.device = choose_device(device)
        self.model = checkpoint.given(model, self.device)
        self.sampler = with_given(self.model.config.generate, steps=steps, step_size=STEP_SIZE)
        self.seed = seed

    @own_modes()
    def inpaint(self, samples: np.ndarray, sample_rate: int, start: float, end: float) -> np.ndarray:
        """Fill a gap, such as a lost packet, from what is around it; what was in it is not looked at.

        A gap that reaches beyond the end of the recording makes it go on.

        Args:
            samples: array or tensor, shape (samples,) or (channels, samples).
            sample_rate: in Hz.
            start, end: of the gap, in seconds.

        Returns:
            float32, the same shape, or longer by what lies beyond the end.

        Raises:
            UsageError: if the gap is empty, longer than a second, or starts outside of the recording.
            InputError: as `audio.waveform`.
        """
        samples = audio.waveform(samples)
        length = samples.shape[-1] / sample_rate
        if not (0 <= start < end and start <= length):
            raise UsageError(
                f"There is no gap from {start:g} to {end:g} s in {length:g} s of audio; "
                "it must start before it ends, and inside."
            )
        if end - start > LONGEST_GAP:
            raise UsageError(f"A gap of {end - start:g} s is too long; at most {LONGEST_GAP:g} s are filled.")
        gap = slice(round(start * sample_rate), round(end * sample_rate))
        beyond = max(0, gap.stop - samples.shape[-1])
        emptied = np.pad(np.asarray(samples, np.float32), [(0, 0)] * (samples.ndim - 1) + [(0, beyond)])
        emptied[..., gap] = 0.0

        def fill(waveform: Tensor) -> Tensor:
            rate = self.model.config.fbank.sample_rate
            return self._filled(waveform, round(start * rate), round(end * rate))

        filled = self._changed(emptied, sample_rate, fill)
        emptied[..., gap] = filled[..., gap]
        return emptied

    @own_modes()
    def convert(self, samples: np.ndarray, sample_rate: int, source: str, target: str) -> np.ndarray:
        """Turn one phone, wherever the model hears it, into another, and leave the voice.

        Args:
            samples, sample_rate: as in `inpaint`.
            source, target: names of phones.

        Returns:
            float32, the same shape.

        Raises:
            UsageError: for an unknown phone.
            InputError: if the model does not hear the phone in the recording, or as `audio.waveform`.
        """
        samples = audio.waveform(samples)
        old, new = phones.index(source), phones.index(target)
        rate = self.model.config.fbank.sample_rate
        heard = Classifier(self.model, device=self.device.type)(samples, sample_rate)
        if not any(segment.phone == phones.PHONES[old] for segment in heard):
            others = " ".join(sorted({segment.phone for segment in heard}))
            raise InputError(f"No {phones.PHONES[old]} is heard in it; there are: {others}.")
        labels = torch.tensor([phones.index(segment.phone) for segment in heard])
        ends = torch.tensor([segment.start + segment.duration for segment in heard])

        def change(waveform: Tensor) -> Tensor:
            times = torch.arange(self.model.fbank.frames(len(waveform))) * self.model.fbank.frame_seconds
            path = labels[torch.searchsorted(ends, times).clamp(max=len(labels) - 1)].to(self.device)
            for segment in heard:
                if segment.phone == phones.PHONES[old]:
                    first = round(segment.start * rate)
                    last = round((segment.start + segment.duration) * rate)
                    waveform = self._converted(waveform, path, first, last, new)
            return waveform

        return self._changed(np.array(samples, np.float32), sample_rate, change)

    def _changed(
        self, samples: np.ndarray, sample_rate: int, change: Callable[[Tensor], Tensor]
    ) -> np.ndarray:
        """The recording plus what `change` adds to each channel at the model's rate and level."""
        rate = self.model.config.fbank.sample_rate
        outputs = []
        for channel in np.atleast_2d(samples):
            inner = torch.from_numpy(audio.resample(channel, sample_rate, rate).astype(np.float32))
            inner = inner.to(self.device)
            level = self.model.fbank.level_gain(inner)
            added = (change(inner * level) / level - inner).cpu().numpy()
            outer = audio.resample(added, rate, sample_rate)[: len(channel)]
            outputs.append(channel + np.pad(outer, (0, len(channel) - len(outer))))
        return np.stack(outputs).reshape(samples.shape).astype(np.float32)

    def _around(self, first: int, last: int, samples: int) -> tuple[int, int]:
        """Samples to look at for a change from `first` to `last`, whole frames."""
        hop = self.model.config.fbank.hop
        margin = round(AROUND / self.model.fbank.frame_seconds) * hop
        return max(0, first - margin) // hop * hop, min(samples, last + margin)

    def _filled(self, waveform: Tensor, first: int, last: int) -> Tensor:
        """A waveform of the model's level whose samples from `first` to `last` are new."""
        begin, end = self._around(first, last, len(waveform))
        piece, gap = waveform[begin:end], slice(first - begin, last - begin)
        fbank = self.model.fbank
        power = fbank.stft(piece).abs().square()
        touched = _touched(gap, len(power), fbank.config.hop, fbank.config.window).to(self.device)
        power = _bridged(power, touched)
        start = fbank.normalise(fbank.log_mel(power))
        x = self._chain(start, touched.float())
        magnitude = (power * (fbank.std * (x - start) @ fbank.spread).exp()).sqrt()
        piece = self._with_phase(piece, gap, magnitude, touched)
        return torch.cat([waveform[:begin], piece, waveform[end:]])

    def _with_phase(self, piece: Tensor, gap: slice, magnitude: Tensor, touched: Tensor) -> Tensor:
        """Griffin-Lim inside a gap, all other samples being known."""
        fbank, inside = self.model.fbank, torch.zeros_like(piece, dtype=torch.bool)
        inside[gap] = True
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(len(piece), generator=generator).to(self.device)
        guess = torch.where(inside, 0.01 * noise, piece)
        for _ in range(ITERATIONS):
            spectrum = fbank.stft(guess)
            moved = torch.polar(magnitude, spectrum.angle())
            spectrum = torch.where(touched[:, None], moved, spectrum)
            guess = torch.where(inside, fbank.istft(spectrum, len(piece)), piece)
        return guess

    def _converted(self, waveform: Tensor, path: Tensor, first: int, last: int, phone: int) -> Tensor:
        """A waveform of the model's level with another phone from sample `first` to `last`.

        Args:
            path: phone of every frame, as heard.
        """
        fbank = self.model.fbank
        begin, end = self._around(first, last, len(waveform))
        spectrum = fbank.stft(waveform[begin:end])
        hop, frames = fbank.config.hop, len(spectrum)
        labels = path[begin // hop :][:frames].clone()
        inside = torch.zeros(frames, device=self.device)
        inside[round((first - begin) / hop) : round((last - begin) / hop)] = 1.0
        changed = inside > 0
        before = fbank.normalise(fbank.log_mel(spectrum))
        means = self.model.starts.mean
        start = before + inside[:, None] * (means[phone] - means[labels])
        labels[changed] = phone
        x = self._chain(start, inside, labels)
        gain = (0.5 * fbank.std * (x - before) @ fbank.spread).clamp(-LOUDEST, LOUDEST).exp()
        piece = fbank.istft(spectrum * gain, end - begin)
        return torch.cat([waveform[:begin], piece, waveform[end:]])

    def _chain(self, start: Tensor, moving: Tensor, labels: Tensor | None = None) -> Tensor:
        """SGLD from frames (frames, bins) of which those may move where `moving` is 1."""
        guidance = 0.0 if labels is None else self.model.config.guidance
        wanted = None if labels is None else labels[None]
        mask = moving[None, :, None]
        generator = torch.Generator(self.device).manual_seed(self.seed)

        def gradient(x: Tensor) -> Tensor:
            return mask * self.model.jem.gradient(start + mask * (x - start), wanted, guidance)

        x = sample(gradient, start[None], self.sampler, generator)[0]
        return start + mask[0] * (x - start)


def _touched(gap: slice, frames: int, hop: int, window: int) -> Tensor:
    """Which frames have samples of the gap in their window."""
    centre = torch.arange(frames) * hop
    touched: Tensor = (centre + window // 2 > gap.start) & (centre - window // 2 < gap.stop)
    return touched


def _bridged(power: Tensor, touched: Tensor) -> Tensor:
    """Power spectra, the touched frames interpolated in dB: (frames, frequencies) to the same."""
    known = (~touched).nonzero()[:, 0]
    if len(known) == 0:
        raise InputError("Nothing is left of the recording beside the gap; give a longer one.")
    place = touched.nonzero()[:, 0]
    after = torch.searchsorted(known, place)
    left, right = known[(after - 1).clamp(min=0)], known[after.clamp(max=len(known) - 1)]
    share = torch.where(right > left, (place - left) / (right - left).clamp(min=1), 0.0)[:, None]
    logarithm = power.clamp_min(1e-9).log()
    bridged = power.clone()
    bridged[place] = ((1 - share) * logarithm[left] + share * logarithm[right]).exp()
    return bridged
