"""Waveforms in and out, piece by piece.

`files` reads and writes audio files and their `tags`, as `encoding` says; `joined` finds where they end
(`mpeg` for MP3); `folders` finds them, by the suffixes of `formats`; `resampling` changes rates; `pipes` are
standard input and output; `waveform` checks the samples that callers give. `blocks` regroups a recording of
any length, `bands` brings an enhancer of one rate to any other, `rumble` is a high-pass filter. Others use
the names below as `audio.read(...)`, the other modules by name.
"""

from .files import Audio, AudioFile, check_target, open_file, read, software, write
from .folders import Source, find
from .formats import SUFFIXES
from .resampling import mono, resample, resample_chunks
from .waveform import as_array, check_shape, waveform

__all__ = [
    "SUFFIXES",
    "Audio",
    "AudioFile",
    "Source",
    "as_array",
    "check_shape",
    "check_target",
    "find",
    "mono",
    "open_file",
    "read",
    "resample",
    "resample_chunks",
    "software",
    "waveform",
    "write",
]
