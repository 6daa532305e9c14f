"""Suffixes of recordings: which are written, which are read, and which need another tool."""

from __future__ import annotations

import shlex
from pathlib import Path

CONTAINERS = {
    ".wav": "WAV",
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".opus": "OGG",
    ".mp3": "MP3",
    ".aiff": "AIFF",
    ".aif": "AIFF",
    ".au": "AU",
    ".w64": "W64",
    ".rf64": "RF64",
    ".caf": "CAF",
    ".wave": "WAV",
    ".bwf": "WAV",
    ".oga": "OGG",
    ".aifc": "AIFF",
    ".snd": "AU",
    ".sph": "NIST",
    ".nist": "NIST",
    ".voc": "VOC",
}
"""The container, as soundfile names it, that is written for a suffix (lower case, with the dot)."""

SUFFIXES = tuple(CONTAINERS)
"""Suffixes of the audio files that are written; they are read, too."""

MUTE = frozenset(("AU", "MP3", "NIST", "VOC", "W64"))
"""Containers in which libsndfile has no place for the program that made the file."""

READ = frozenset((*SUFFIXES, ".mp1", ".mp2"))
"""Suffixes of the audio files that are looked for in folders."""

HEADERLESS = frozenset((".pcm", ".raw"))
FOREIGN = HEADERLESS | frozenset(
    ".3ga .3gp .aac .ac3 .adts .amr .ape .asf .avi .awb .dff .dsf .dts .eac3 .f4a .flv .gsm .m4a .m4b "
    ".m4r .m4v .mka .mkv .mov .mp4 .mpc .mpeg .mpg .mpga .qcp .ra .rm .shn .spx .tta .vob .webm .weba .wma "
    ".wmv .wv".split()
)
"""Suffixes of recordings and films that soundfile does not read."""


def is_foreign(path: Path) -> bool:
    """Whether the suffix is of a format that another tool has to convert."""
    return path.suffix.lower() in FOREIGN


def conversion(path: Path) -> str:
    """How to convert a file of a foreign format."""
    source, target = shlex.quote(str(path)), shlex.quote(str(path.with_suffix(".wav")))
    if path.suffix.lower() in HEADERLESS:
        command = f"ffmpeg -f s16le -ar 16000 -ac 1 -i {source} {target}"
        return f"say what it holds (one channel of 16 bits at 16 kHz: {command})"
    return f"convert it (ffmpeg -i {source} {target})"
