"""Waveforms in and out, piece by piece.

`files` reads, writes and finds audio files, `joined` finds where they end (`mpeg` for MP3); `resampling`
changes rates; `pipes` are standard input and output. `blocks` regroups a recording of any length, `bands`
brings an enhancer of one rate to any other, `rumble` is a high-pass filter. Others use the names below as
`audio.read(...)`, the other modules by name.
"""

from .files import SUFFIXES, Audio, AudioFile, Source, check_target, find, open_file, read, write
from .resampling import mono, resample, resample_chunks

__all__ = [
    "SUFFIXES",
    "Audio",
    "AudioFile",
    "Source",
    "check_target",
    "find",
    "mono",
    "open_file",
    "read",
    "resample",
    "resample_chunks",
    "write",
]
