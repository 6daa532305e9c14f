"""Commands on Kaldi data directories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError, UsageError
from ..runtime import atomic
from .app import complain
from .options import AllowPipes, Force, Json, Seed

data = typer.Typer(help="Check, mend, split, convert and pack Kaldi data directories.", no_args_is_help=True)


SHOWN = 20  # problems of a data directory


PhoneMap = Annotated[
    Path | None, typer.Option("--map", help="Table with lines 'PHONE OURS', for other names of phones.")
]
Directory = Annotated[Path, typer.Argument(help="Data directory, with wav.scp and utt2spk.")]


@data.command("validate")
def validate_data(directory: Directory, allow_pipes: AllowPipes = False, as_json: Json = False) -> None:
    """Name everything that is wrong with a data directory, with file and line."""
    from ..data import validation

    report = validation.inspect(directory, allow_pipes)
    if as_json:
        print(json.dumps(vars(report)))
        raise typer.Exit(1 if report.problems else 0)
    for problem in report.problems[:SHOWN]:
        complain(problem)
    if report.problems:
        more = len(report.problems) - SHOWN
        rest = f"{more} more problems; " if more > 0 else ""
        raise InputError(
            f"{rest}{directory} is not valid. 'speechjem data fix' sorts it, and drops what a table lacks."
        )
    facts = f"{report.utterances} utterances, {report.speakers} speakers, {report.hours:.2f} hours"
    print(f"{directory}: {facts}")


@data.command("fix")
def fix_data(directory: Directory) -> None:
    """Sort the tables of a data directory, and leave out utterances that not all of them have.

    They go from utt2*, feats.scp, ali.ctm too, as do lost speakers and recordings from spk2* and reco2*.
    The tables as they were stay in its folder .backup.
    """
    from ..data import validation

    mended = validation.fix(directory)
    for name in mended.left_out:
        complain(f"{name} is left out: not all tables have it.")
    for name in mended.unknown:
        complain(f"{directory / name} stays as it is: it is no table that is known.")
    print(directory)


@data.command("split")
def split_data(
    directory: Directory,
    out: Annotated[Path, typer.Argument(help="Folder of the parts.")],
    parts: Annotated[
        list[str], typer.Argument(help="Names and shares, as train=0.9 dev=0.1; or a number of equal parts.")
    ],
    per_utt: Annotated[bool, typer.Option("--per-utt", help="Let a speaker be in several parts.")] = False,
    seed: Seed = 0,
) -> None:
    """Write parts of a data directory, each a data directory; no speaker is in two of them."""
    from ..data import split

    done = split.split(directory, out, split.parse_parts(parts), seed, per_utt)
    for name in done.unknown:
        complain(f"{directory / name} is not split: it is no table that is known.")
    if done.left_out:
        complain(f"{done.left_out} utterances are in no part, for the shares add up to less than 1.")
    for name, (utterances, speakers) in done.parts.items():
        print(f"{out / name}: {utterances} utterances, {speakers} speakers")


@data.command("import-ctm")
def import_ctm(
    ctm_file: Annotated[Path, typer.Argument(metavar="FILE", help="CTM of utterances or of recordings.")],
    directory: Directory,
    phone_map: PhoneMap = None,
    force: Force = False,
) -> None:
    """Make the phone alignment, ali.ctm, from a CTM of another tool."""
    from ..data import ctm

    target = _alignment_target(directory, force)
    for notice in ctm.import_alignment(directory, ctm_file, phone_map):
        complain(notice)
    print(target)


@data.command("import-textgrid")
def import_textgrid(
    directory: Directory,
    folder: Annotated[Path, typer.Argument(help="Folder of TextGrids, each named as its utterance.")],
    tier: Annotated[str, typer.Option(help="Interval tier that has the phones.")] = "phones",
    phone_map: PhoneMap = None,
    force: Force = False,
) -> None:
    """Make the phone alignment, ali.ctm, from Praat's TextGrids."""
    from ..data import textgrid

    target = _alignment_target(directory, force)
    for name in textgrid.import_alignment(directory, folder, tier, phone_map):
        complain(f"{name} has no TextGrid, and stays without an alignment.")
    print(target)


@data.command("from-lhotse")
def from_lhotse(
    recordings: Annotated[Path, typer.Argument(help="Manifest of recordings.")],
    supervisions: Annotated[Path, typer.Argument(help="Manifest of supervisions.")],
    directory: Annotated[Path, typer.Argument(help="Data directory to make.")],
    alignment: Annotated[str, typer.Option(help="Type of the alignments that have the phones.")] = "phone",
) -> None:
    """Make a data directory of lhotse's manifests, with the phone alignments of supervisions."""
    from ..data import lhotse

    for name in lhotse.import_manifests(*lhotse.load(recordings, supervisions), directory, alignment):
        complain(f"Recording {name} has no supervision, and is left out.")
    print(directory)


@data.command("to-lhotse")
def to_lhotse(
    directory: Directory,
    folder: Annotated[Path, typer.Argument(help="Folder of the manifests.")],
    allow_pipes: AllowPipes = False,
    force: Force = False,
) -> None:
    """Make lhotse's manifests, recordings.jsonl.gz and supervisions.jsonl.gz, of a data directory."""
    from ..data import lhotse

    targets = [folder / name for name in lhotse.MANIFESTS]
    for target in targets:
        atomic.check_new(target, force)
    lhotse.save(folder, *lhotse.export_manifests(directory, allow_pipes))
    for target in targets:
        print(target)


@data.command("shard")
def shard_data(
    directory: Directory,
    out: Annotated[Path, typer.Argument(help="Folder of the shards, which must not exist yet.")],
    shard_minutes: Annotated[float, typer.Option(help="Minutes of speech per shard.")] = 10.0,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=1, help="Utterances to read and encode at once.")
    ] = 1,
    allow_pipes: AllowPipes = False,
) -> None:
    """Write a data directory as tar shards, for 'train --labelled OUT/*.tar' of more than fits into memory.

    They are WebDataset's: NUMBER.flac at 16 kHz and NUMBER.json with the speaker and the phones.
    """
    from ..data import shards

    if not shard_minutes > 0:
        raise UsageError("--shard-minutes must be more than 0.")
    written = shards.write(directory, out, shard_minutes, jobs, allow_pipes)
    print(f"{out}: {len(written)} shards, {sum(path.stat().st_size for path in written) / 1e6:.1f} MB")


def _alignment_target(directory: Path, force: bool) -> Path:
    target = directory / "ali.ctm"
    atomic.check_new(target, force)
    return target
