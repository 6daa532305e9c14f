"""Denoise what a microphone hears and play it at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpeechjemError
from .streaming import StreamDenoiser

BLOCK_SECONDS = 0.04
RATE = 16000  # Hz, the model's: no resampling, no more delay


def open_device() -> Any:
    """The default microphone and loudspeaker as one sounddevice.Stream, started.

    Raises:
        SpeechjemError: if the package, its library or a device is missing.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the package is there, PortAudio is not
        raise SpeechjemError(
            f"Live denoising needs sounddevice and PortAudio ({error}); run: pip install 'speechjem[live]', "
            "and install PortAudio from your system (on Debian: apt install libportaudio2)."
        ) from error
    try:
        stream = sounddevice.Stream(samplerate=RATE, channels=1, dtype="float32")
        stream.start()
    except sounddevice.PortAudioError as error:
        raise SpeechjemError(
            f"No sound device can be opened ({error}); connect a microphone and a loudspeaker."
        ) from error
    return stream


def run(device: Any, enhancer: StreamDenoiser) -> int:
    """Read, enhance and write blocks until the device has no more or the user interrupts.

    Args:
        device: has `read(frames)`, which gives samples of shape (frames, 1) and whether some were lost, and
            `write(samples)`, as sounddevice.Stream has; a read of fewer frames ends it.
        enhancer: a stream of one channel at the device's rate.

    Returns:
        The number of blocks before which samples were lost, because this machine is too slow.
    """
    size, late = round(BLOCK_SECONDS * RATE), 0
    while True:
        samples, lost = device.read(size)
        late += bool(lost)
        device.write(np.ascontiguousarray(enhancer.push(samples.T).T))
        if len(samples) < size:
            device.write(np.ascontiguousarray(enhancer.flush().T))
            return late
