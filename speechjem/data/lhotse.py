"""Data directories from lhotse's manifests, and back.

lhotse has a converter of its own (`lhotse kaldi`), which leaves alignments behind, puts files that are not
WAV behind ffmpeg, and takes relative paths from where it is run.

A CutSet is denoised by lhotse itself::

    cuts.save_audios("clean/", augment_fn=speechjem.Denoiser())
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import phones
from ..audio import open_file
from ..errors import InputError, SpeechjemError
from . import ctm
from .kaldi import Utterance, read_directory, relocated, write_directories
from .tables import Rows, fields, lines, spk2utt_rows

if TYPE_CHECKING:
    from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet

ALIGNMENT = "phone"  # the type of alignment, as lhotse calls it
SAME = 1e-3  # seconds by which lhotse lets a supervision differ from its recording


def import_manifests(
    recordings: RecordingSet, supervisions: SupervisionSet, directory: Path, alignment: str = ALIGNMENT
) -> list[str]:
    """Write a data directory of lhotse's manifests.

    Beside wav.scp, utt2spk and spk2utt it has text, utt2lang, spk2gender and ali.ctm, if the supervisions
    have such, and segments, unless every supervision is a whole recording of the same name. A supervision
    without a speaker is its own, as Kaldi's manual has it. Relative paths start in the current folder, as
    lhotse's do.

    Args:
        recordings, supervisions: `CutSet.decompose` makes them of cuts.
        directory: to be made.
        alignment: type of the alignments that have the phones.

    Returns:
        Names of the recordings that no supervision has, which are left out.

    Raises:
        InputError: naming the supervision or recording, for what a data directory cannot say: audio that is
            neither a file nor a command, transforms, some of several channels, names with spaces; and for
            phones that are unknown or cannot be where they are. Nothing is written then.
    """
    of_recording = _by_id(recordings)
    of_supervision = _by_id(supervisions)
    if not of_supervision:
        raise InputError("There are no supervisions, and so no utterances.")
    for supervision in of_supervision.values():
        _check(supervision, of_recording.get(supervision.recording_id))
    used = {supervision.recording_id for supervision in of_supervision.values()}
    speakers = {name: supervision.speaker or name for name, supervision in of_supervision.items()}
    tables: dict[str, Rows] = {
        "wav.scp": [[name, _location(of_recording[name], directory)] for name in used],
        "utt2spk": speakers.items(),
        "spk2utt": spk2utt_rows(speakers.items()),
    }
    if not all(
        _is_whole(supervision, of_recording[supervision.recording_id])
        for supervision in of_supervision.values()
    ):
        tables["segments"] = [
            _segment(supervision, of_recording[supervision.recording_id])
            for supervision in of_supervision.values()
        ]
    details = {
        "text": [[name, *fields(s.text)] for name, s in of_supervision.items() if s.text],
        "utt2lang": [[name, s.language] for name, s in of_supervision.items() if s.language],
        "spk2gender": _genders(of_supervision.values(), speakers),
        "ali.ctm": [
            row
            for s in of_supervision.values()
            for row in _alignment(s, of_recording[s.recording_id], alignment)
        ],
    }
    tables |= {name: rows for name, rows in details.items() if rows}
    write_directories(directory.parent, {directory.name: tables})
    return sorted(of_recording.keys() - used)


def export_manifests(directory: Path, allow_pipes: bool = False) -> tuple[RecordingSet, SupervisionSet]:
    """Manifests of a data directory: the recordings of its utterances, and a supervision for each utterance.

    These have what the tables text, utt2spk, utt2lang, spk2gender and ali.ctm say; phones are an alignment of
    type "phone". Paths are absolute.

    Args:
        directory: as in `kaldi.read_directory`.
        allow_pipes: as there; the commands are run, for lhotse wants to know the length.

    Raises:
        InputError: for a recording that cannot be opened, and as `kaldi.read_directory` does.
    """
    lhotse = _lhotse()
    texts, languages, genders = (_column(directory / name) for name in ("text", "utt2lang", "spk2gender"))
    recordings: dict[str, Recording] = {}
    supervisions = []
    for utterance in read_directory(directory, allow_pipes):
        recording = recordings.get(utterance.recording) or _recording(utterance)
        recordings[recording.id] = recording
        end = recording.duration if utterance.end is None else min(utterance.end, recording.duration)
        if end <= utterance.start:
            raise InputError(
                f"{directory}: {utterance.name} starts at {utterance.start:g} s, but {recording.id} lasts "
                f"{recording.duration:.2f} s; correct its segment."
            )
        supervisions.append(
            lhotse.SupervisionSegment(
                utterance.name,
                recording.id,
                utterance.start,
                round(end - utterance.start, 8),
                channel=_channels(utterance, recording),
                text=texts.get(utterance.name),
                language=languages.get(utterance.name),
                speaker=utterance.speaker,
                gender=genders.get(utterance.speaker),
                alignment=_items(utterance),
            )
        )
    return (
        lhotse.RecordingSet.from_recordings(recordings.values()),
        lhotse.SupervisionSet.from_segments(supervisions),
    )


def load(recordings: Path, supervisions: Path) -> tuple[RecordingSet, SupervisionSet]:
    """Read manifests from files of any format that lhotse has.

    Raises:
        InputError: naming the file, if it is no such manifest.
        SpeechjemError: if lhotse is not installed.
    """
    lhotse = _lhotse()
    return _load(recordings, lhotse.RecordingSet), _load(supervisions, lhotse.SupervisionSet)


def _load(path: Path, kind: Any) -> Any:
    from lhotse import load_manifest

    if not path.exists():
        raise InputError(f"No such file: {path}. Check the path.")
    try:
        return load_manifest(path, kind)
    except Exception as error:  # lhotse's reader raises what a damaged file makes it trip over
        raise InputError(
            f"{path} cannot be read as a {kind.__name__}; 'lhotse cut decompose' makes both of cuts."
        ) from error


MANIFESTS = ("recordings.jsonl.gz", "supervisions.jsonl.gz")


def save(folder: Path, recordings: RecordingSet, supervisions: SupervisionSet) -> None:
    """Write both manifests, by the names in `MANIFESTS`, into a folder, which is made if need be.

    Raises:
        InputError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as temporary:
            for name, manifest in zip(MANIFESTS, (recordings, supervisions), strict=True):
                manifest.to_file(Path(temporary) / name)  # lhotse chooses the format by the name
            for name in MANIFESTS:
                os.replace(Path(temporary) / name, folder / name)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}.") from error


def _lhotse() -> Any:
    try:
        import lhotse
    except ImportError as error:
        raise SpeechjemError("Manifests need lhotse; run: pip install 'speechjem[lhotse]'.") from error
    return lhotse


def _by_id(manifest: Any) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for item in manifest:
        if item.id in items:
            raise InputError(f"The manifest has two of the name {item.id}; rename one.")
        items[item.id] = item
    return items


def _check(supervision: SupervisionSegment, recording: Recording | None) -> None:
    """Refuse what a data directory cannot represent."""
    name = f"Supervision {supervision.id}"
    for word in filter(None, (supervision.id, supervision.recording_id, supervision.speaker)):
        if fields(word) != [word]:
            raise InputError(f"{name}: {word!r} has spaces; names in a data directory have none.")
    if recording is None:
        raise InputError(f"{name}: there is no recording {supervision.recording_id}.")
    if not (-SAME <= supervision.start < supervision.end <= recording.duration + SAME):
        raise InputError(
            f"{name}: {supervision.start:g} to {supervision.end:g} s is not within its recording, "
            f"which lasts {recording.duration:.2f} s."
        )
    channels = sorted(_of(supervision))
    if channels != sorted(recording.channel_ids) and (
        len(channels) > 1 or channels[0] not in recording.channel_ids
    ):
        raise InputError(
            f"{name} is of channel {channels} of {recording.channel_ids}, but a data directory has "
            f"one channel or all; {REMEDY}"
        )


def _of(supervision: SupervisionSegment) -> set[int]:
    """The channels that a supervision is of."""
    return set(supervision.channel if isinstance(supervision.channel, list) else [supervision.channel])


def _segment(supervision: SupervisionSegment, recording: Recording) -> list[str]:
    """A line of segments; the channel is its place among those of the recording."""
    times = f"{max(supervision.start, 0.0):.6f}", f"{supervision.end:.6f}"
    channels = recording.channel_ids
    one = [] if _of(supervision) == set(channels) else [str(channels.index(*_of(supervision)))]
    return [supervision.id, supervision.recording_id, *times, *one]


REMEDY = "save such audio by itself first (CutSet.save_audios)."


def _location(recording: Recording, directory: Path) -> str:
    """The entry of wav.scp."""
    types = [source.type for source in recording.sources]
    if recording.transforms or types not in (["file"], ["command"]):
        raise InputError(f"Recording {recording.id} is not one file or command without transforms; {REMEDY}")
    source = recording.sources[0].source
    return relocated(source if types == ["file"] else f"{source} |", Path(), directory)


def _is_whole(supervision: SupervisionSegment, recording: Recording) -> bool:
    edges = max(abs(supervision.start), abs(supervision.end - recording.duration))
    return bool(
        supervision.id == recording.id and edges <= SAME and _of(supervision) == set(recording.channel_ids)
    )


def _genders(supervisions: Iterable[SupervisionSegment], speakers: dict[str, str]) -> list[list[str]]:
    """Lines of spk2gender, m or f as in Kaldi; none unless all speakers have one."""
    genders = {speakers[s.id]: (s.gender or "")[:1].lower() for s in supervisions}
    return [[*line] for line in genders.items()] if set(genders.values()) <= {"m", "f"} else []


def _alignment(supervision: SupervisionSegment, recording: Recording, kind: str) -> list[list[str]]:
    """Lines of ali.ctm; times in lhotse are those in the recording."""
    marks = []
    for item in (supervision.alignment or {}).get(kind, []):
        place = f"Supervision {supervision.id}, {kind} at {item.start:g} s"
        phone = ctm.normalised(item.symbol or phones.SILENCE, place)
        marks.append(ctm.Mark(item.start, item.end, phone, place))
    found = ctm.checked(marks, recording.duration)
    return ctm.rows(supervision.id, ctm.within(found, max(supervision.start, 0.0), supervision.end))


def _recording(utterance: Utterance) -> Recording:
    """The recording that an utterance is in; a pipe is run."""
    from lhotse import AudioSource, Recording

    if isinstance(utterance.audio, str):
        audio = replace(utterance, start=0.0, end=None, channel=None).read()
        kind, source = "command", utterance.audio.rstrip("| ")
        rate, (channels, frames) = audio.sample_rate, audio.samples.shape
    else:
        file = open_file(utterance.audio)
        kind, source = "file", str(utterance.audio.resolve())
        rate, channels, frames = file.sample_rate, file.channels, file.frames
    sources = [AudioSource(kind, list(range(channels)), source)]
    return Recording(utterance.recording, sources, rate, frames, frames / rate)


def _channels(utterance: Utterance, recording: Recording) -> int | list[int]:
    if utterance.channel is None:
        return list(recording.channel_ids) if recording.num_channels > 1 else 0
    if utterance.channel >= recording.num_channels:
        raise InputError(f"{recording.id} has no channel {utterance.channel} for {utterance.name}.")
    return utterance.channel


def _items(utterance: Utterance) -> dict[str, list[Any]] | None:
    """The alignment of a supervision."""
    from lhotse.supervision import AlignmentItem

    if utterance.alignment is None:
        return None
    found = utterance.alignment
    return {
        ALIGNMENT: [
            AlignmentItem(phones.PHONES[label], round(utterance.start + start, 8), round(end - start, 8))
            for start, end, label in zip(
                found.starts.tolist(), found.ends.tolist(), found.labels.tolist(), strict=True
            )
        ]
    }


def _column(path: Path) -> dict[str, str]:
    """A table that may be missing, or have keys without a value."""
    return {key: " ".join(value) for _, (key, *value) in lines(path, 1)} if path.exists() else {}
