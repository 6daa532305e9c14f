"""Denoise a microphone and play it at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import SpeechjemError
from .streaming import StreamDenoiser

BLOCK_SECONDS = 0.02


@dataclass
class Played:
    """Statistics of a live session.

    Attributes:
        seconds: of sound from the microphone.
        busy: seconds that its enhancement took.
        lost: blocks before which samples were lost, because this machine is too slow.
    """

    seconds: float = 0.0
    busy: float = 0.0
    lost: int = 0

    @property
    def load(self) -> float:
        """Share of the time that the enhancement takes; above 1 it cannot keep up."""
        return self.busy / self.seconds if self.seconds else 0.0


def devices() -> list[dict[str, Any]]:
    """The sound devices: number, name, inputs and outputs (channels), and which are the defaults.

    Raises:
        SpeechjemError: if the package or its library is missing.
    """
    sounddevice = _sounddevice()
    heard, played = sounddevice.default.device
    return [
        {
            "number": number,
            "name": device["name"],
            "inputs": device["max_input_channels"],
            "outputs": device["max_output_channels"],
            "default": " ".join(
                word for word, default in (("input", heard), ("output", played)) if default == number
            ),
        }
        for number, device in enumerate(sounddevice.query_devices())
    ]


def open_device(heard: int | str | None = None, played: int | str | None = None) -> Any:
    """A microphone and a loudspeaker as one sounddevice.Stream, started, at the microphone's usual rate.

    Args:
        heard: number of the microphone, or a part of its name; the default one by default.
        played: the same of the loudspeaker, which may be another program's input.

    Raises:
        SpeechjemError: if the package, its library or a device is missing.
    """
    sounddevice = _sounddevice()
    try:
        rate = sounddevice.query_devices(heard, "input")["default_samplerate"]
        stream = sounddevice.Stream(samplerate=rate, channels=1, dtype="float32", device=(heard, played))
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:  # ValueError: no device has that name
        raise SpeechjemError(
            f"No sound device can be opened ({error}); connect a microphone and a loudspeaker, and choose "
            "among what `speechjem live --list` shows."
        ) from error
    return stream


def _sounddevice() -> Any:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the package is there, PortAudio is not
        raise SpeechjemError(
            f"Live denoising needs sounddevice and PortAudio ({error}); run: pip install 'speechjem[live]', "
            "and install PortAudio from your system (on Debian: apt install libportaudio2)."
        ) from error
    return sounddevice


def run(
    device: Any, enhancer: StreamDenoiser, rate: int, played: Played, report: Callable[[], None] | None = None
) -> None:
    """Read, enhance and write blocks until the device has no more or the user interrupts.

    Args:
        device: has `read(frames)`, which gives samples of shape (frames, 1) and whether some were lost, and
            `write(samples)`, as sounddevice.Stream has; a read of fewer frames ends it.
        enhancer: a stream of one channel.
        rate: of both, in Hz.
        played: says what was done, block by block.
        report: called after each block.

    Raises:
        SpeechjemError: if the device fails meanwhile.
    """
    size = round(BLOCK_SECONDS * rate)
    while True:
        samples, lost = _tried(device.read, size)
        begin = time.perf_counter()
        # What a driver makes up, such as NaN, is not to stay in the stream.
        enhanced = enhancer.push(np.nan_to_num(samples.T, nan=0.0, posinf=0.0, neginf=0.0))
        played.busy += time.perf_counter() - begin
        played.seconds += len(samples) / rate
        played.lost += bool(lost)
        _tried(device.write, np.ascontiguousarray(enhanced.T))
        if report:
            report()
        if len(samples) < size:
            _tried(device.write, np.ascontiguousarray(enhancer.flush().T))
            return


def _tried(use: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return use(argument)
    except Exception as error:  # sounddevice's own error is known only where it can be imported
        raise SpeechjemError(
            f"The sound device failed ({error}); see that it is still connected, and start again."
        ) from error
