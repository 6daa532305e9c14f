"""Corpora too large for memory: tar shards on disk or in object storage, a few of them in memory at a time.

A shard is what WebDataset reads: 00000042.flac beside 00000042.json, which says whose speech it is and, if
it is aligned, its phones in seconds:

    {"utterance": "19-198-0001", "speaker": "19", "phones": [[start, duration, "AA"], ...]}

Every so many updates a process gives up the shard that it has had longest and takes another. Which ones it
has at an update follows from the seed, the update and the number of the process: a training that goes on from
a checkpoint hears what one that was never interrupted would have heard, with nothing to save.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path, PurePosixPath

import fsspec
import numpy as np
import soundfile

from .. import audio, phones
from ..errors import InputError, SpeechjemError
from ..runtime import distributed
from .kaldi import Alignment, Utterance, read_directory
from .recording import Recording, in_memory

RATE = 16000  # of the audio in shards, Hz
AHEAD = 64  # utterances that each job may encode ahead of the writing
UNREADABLE = (
    OSError, tarfile.TarError, soundfile.SoundFileError, ValueError, LookupError, TypeError, SpeechjemError
)  # fmt: skip


def write(
    directory: Path, out: Path, minutes: float = 10.0, jobs: int = 1, allow_pipes: bool = False
) -> list[Path]:
    """Write a data directory as shards of utterances in random order, at 16 kHz, one channel.

    Args:
        directory: Kaldi data directory; utterances may lack an alignment.
        out: folder of the shards, which must not exist yet; it appears when all are complete.
        minutes: speech per shard.
        jobs: threads that read and encode.
        allow_pipes: as in `kaldi.read_directory`.

    Returns:
        The shards: out/000000.tar, out/000001.tar, ...

    Raises:
        InputError: if something cannot be read, or `out` exists.
    """
    if out.exists():
        raise InputError(f"{out} exists; remove it, or choose another folder for the shards.")
    utterances = read_directory(directory, allow_pipes)
    if not utterances:
        raise InputError(f"{directory} has no utterances to write.")
    shuffled = [utterances[place] for place in np.random.default_rng(0).permutation(len(utterances))]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder, ThreadPoolExecutor(jobs) as pool:
        partial = Path(folder) / out.name
        partial.mkdir()
        key = 0
        for number, samples in enumerate(_filled(_encoded(shuffled, pool, jobs * AHEAD), 60 * minutes)):
            with tarfile.open(partial / f"{number:06d}.tar", "w") as tar:
                for flac, described in samples:
                    _add(tar, f"{key:08d}.flac", flac)
                    _add(tar, f"{key:08d}.json", described)
                    key += 1
        os.replace(partial, out)
    return sorted(out.iterdir())


Encoded = tuple[float, bytes, bytes]  # seconds, FLAC, JSON


def _encoded(utterances: list[Utterance], pool: ThreadPoolExecutor, ahead: int) -> Iterator[Encoded]:
    for start in range(0, len(utterances), ahead):
        yield from pool.map(_encode, utterances[start : start + ahead])


def _encode(utterance: Utterance) -> Encoded:
    loaded = utterance.read()
    samples = audio.resample(audio.mono(loaded.samples), loaded.sample_rate, RATE)
    samples = np.round(samples * 32768).clip(-32768, 32767).astype(np.int16)  # reading divides by it
    described: dict[str, object] = {"utterance": utterance.name, "speaker": utterance.speaker}
    if (a := utterance.alignment) is not None:
        described["phones"] = [
            [round(float(start), 4), round(float(end - start), 4), phones.PHONES[label]]
            for start, end, label in zip(a.starts, a.ends, a.labels, strict=True)
        ]
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_16")
    return len(samples) / RATE, file.getvalue(), json.dumps(described).encode()


def _filled(samples: Iterable[Encoded], seconds: float) -> Iterator[list[tuple[bytes, bytes]]]:
    """The samples of each shard, until they have that many seconds."""
    shard: list[tuple[bytes, bytes]] = []
    filled = 0.0
    for length, flac, described in samples:
        shard.append((flac, described))
        filled += length
        if filled >= seconds:
            yield shard
            shard, filled = [], 0.0
    if shard:
        yield shard


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def are_shards(place: str | Path) -> bool:
    """Whether a place names shards, such as shards/*.tar or s3://bucket/*.tar, rather than a folder."""
    return str(place).endswith(".tar")


@dataclass(frozen=True)
class Window:
    """How many shards a process has in memory.

    Attributes:
        shards: their number; eight of 10 minutes take 150 MB. Batches are drawn from all of them.
        updates: number after which one is replaced. A shard of 10 minutes is as long as 37 batches
            of eight excerpts of 2 s.
    """

    shards: int = 8
    updates: int = 40

    def __post_init__(self) -> None:
        if min(self.shards, self.updates) < 1:
            raise ValueError("a window has at least 1 shard, and moves after at least 1 update")


class Shards:
    """Streams shards, shuffled anew in every pass; in a pass, each goes to one process.

    Args:
        pattern: path or URL of any file system that fsspec supports; * matches any name: s3://bucket/train/*.tar.
        sample_rate: of the recordings in Hz.
        seed: of the order.
        window: what is in memory.
        held_out_speakers: speakers to leave out.

    Raises:
        InputError: if nothing is there, or cannot be reached.
    """

    def __init__(
        self,
        pattern: str,
        sample_rate: int,
        seed: int = 0,
        window: Window | None = None,
        held_out_speakers: Iterable[str] = (),
    ):
        try:
            self.files, _, paths = fsspec.get_fs_token_paths(pattern)
        except Exception as error:  # each file system has its own
            raise InputError(f"{pattern} cannot be reached: {error}") from error
        self.paths = sorted(paths)
        if not self.paths or not self.files.exists(self.paths[0]):  # a pattern without * is its own match
            raise InputError(f"No shards at {pattern}; 'speechjem data shard' writes them.")
        self.sample_rate = sample_rate
        self.window = window or Window()
        self.held_out_speakers = frozenset(held_out_speakers)
        self._order = lru_cache(2)(
            lambda epoch: np.random.default_rng([seed, epoch]).permutation(len(self.paths))
        )
        self._start_reader()

    def _start_reader(self) -> None:
        self._process, self._reader = os.getpid(), ThreadPoolExecutor(1)
        self._reading: dict[int, Future[list[Recording]]] = {}

    def present(self, number: int) -> tuple[int, ...]:
        """The shards that the batch of this number is drawn from."""
        return self._present(number)[:-1]

    def at(self, number: int) -> list[Recording]:
        """Their recordings; the next shard is prefetched."""
        if self._process != os.getpid():  # a fork has no threads
            self._start_reader()
        coming = dict.fromkeys(self._present(number))
        for shard in [*self._reading]:
            if shard not in coming:
                del self._reading[shard]
        for shard in coming:
            if shard not in self._reading:
                self._reading[shard] = self._reader.submit(self._read, self.paths[shard])
        return [r for shard in dict.fromkeys(self.present(number)) for r in self._reading[shard].result()]

    def _present(self, number: int) -> tuple[int, ...]:
        """Those shards, and the next one."""
        count = distributed.world_size()
        update, rank = divmod(number, count)
        first = update // self.window.updates
        places = (place * count + rank for place in range(first, first + self.window.shards + 1))
        return tuple(int(self._order(p // len(self.paths))[p % len(self.paths)]) for p in places)

    def _read(self, path: str) -> list[Recording]:
        try:
            with self.files.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
                samples = [_recording(members, self.sample_rate) for members in _samples(tar)]
        except UNREADABLE as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(
                f"The shard {path} cannot be read ({reason}); write or copy it again."
            ) from error
        return [recording for speaker, recording in samples if speaker not in self.held_out_speakers]


Members = dict[str, bytes]


def _samples(tar: tarfile.TarFile) -> Iterator[Members]:
    """Contents by suffix of the neighbouring files of one name."""

    def key(entry: tarfile.TarInfo) -> str:
        path = PurePosixPath(entry.name)
        return str(path.parent / path.name.partition(".")[0])

    def content(entry: tarfile.TarInfo) -> bytes:
        file = tar.extractfile(entry)
        assert file is not None  # it is a regular file
        return file.read()

    for _, entries in groupby((entry for entry in tar if entry.isfile()), key):
        yield {entry.name.rpartition(".")[2].lower(): content(entry) for entry in entries}


def _recording(members: Members, sample_rate: int) -> tuple[str, Recording]:
    """Speaker and speech of a sample."""
    described = json.loads(members["json"])
    samples, rate = soundfile.read(io.BytesIO(members["flac"]), dtype="float32", always_2d=True)
    loaded = audio.Audio(samples.T, rate, "FLAC", "PCM_16")
    recording = in_memory(described["utterance"], loaded, sample_rate, _alignment(described.get("phones")))
    return described["speaker"], recording


def _alignment(rows: list[tuple[float, float, str]] | None) -> Alignment | None:
    if not rows:
        return None
    starts, durations, names = zip(*rows, strict=True)
    labels = [phones.index(name) for name in names]
    return Alignment(np.array(starts), np.array(starts) + np.array(durations), np.array(labels))
