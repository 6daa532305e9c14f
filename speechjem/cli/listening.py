"""Commands that describe a recording: phones, scores, pictures."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .batch import each, progress_bar
from .options import Device, Force, Json, Model, Scheduler, Verbose
from .outputs import check_picture, collect, listed
from .tables import print_scores, print_table

if TYPE_CHECKING:
    from ..classification import Segment
    from ..metrics import Score
    from ..runtime.jobs import Job, Outcome


def classify(
    inputs: Annotated[list[Path], typer.Argument(help="Audio files, or folders of them.")],
    ctm: Annotated[
        bool, typer.Option("--ctm", help="Kaldi CTM on stdout: utterance 1 start duration PHONE.")
    ] = False,
    as_json: Json = False,
    model: Model = None,
    device: Device = "auto",
    verbose: Verbose = None,
) -> None:
    """Say which phones a recording has, and when."""
    from .. import audio
    from ..classification import Classifier
    from ..runtime import jobs

    if ctm and as_json:
        raise UsageError("Give either --ctm or --json.")
    classifier = Classifier(model, device=device)

    def work(source: Path, _: Path) -> list[Segment]:
        recording = audio.read(source)
        return classifier(recording.samples, recording.sample_rate)

    def report(outcome: Outcome) -> None:
        if outcome.error:
            return
        name, segments = outcome.job[1].with_suffix("").as_posix(), outcome.value
        if ctm:
            print("".join(f"{name} 1 {s.start:.3f} {s.duration:.3f} {s.phone}\n" for s in segments), end="")
        elif as_json:
            print(json.dumps({"utterance": name, "phones": [vars(s) for s in segments]}))
        else:
            print_table(name, ("start (s)", "duration (s)", "phone", "probability"), (
                (f"{s.start:.2f}", f"{s.duration:.2f}", s.phone, f"{s.probability:.2f}") for s in segments
            ))  # fmt: skip

    sources, unusable = listed(inputs)
    tasks = [(source.path, source.relative) for source in sources]
    bar = progress_bar("classifying", len(unusable) + len(tasks))
    each(itertools.chain(unusable, jobs.run(work, tasks)), bar, report)


def phones(as_json: Json = False) -> None:
    """List the phones: ARPAbet name, IPA symbol, a word."""
    from ..phones import TABLE

    if as_json:
        for phone in TABLE:
            print(json.dumps(phone._asdict()))
        return
    print_table("phones", ("name", "IPA", "as in"), TABLE)


def score(
    recordings: Annotated[
        list[Path],
        typer.Argument(
            metavar="REFERENCE DEGRADED",
            help="Clean recording and recording to judge, or two folders, whose files are matched by name; "
            "with --no-reference, recordings to judge, and folders of them.",
        ),
    ],
    no_reference: Annotated[
        bool, typer.Option("--no-reference", help="Judge recordings whose clean speech is not known: DNSMOS.")
    ] = False,
    scheduler: Scheduler = "local",
    as_json: Json = False,
    verbose: Verbose = None,
) -> None:
    """Score recordings against clean references: PESQ, STOI, ESTOI and SI-SDR (dB); or, without any, DNSMOS.

    DNSMOS P.835 predicts what listeners would say, 1 (bad) to 5, of speech, background and the whole. It
    cannot tell whether the words are still those that were said, and knows nothing above 8 kHz.
    """
    from .. import metrics
    from ..runtime import jobs

    rows: dict[Job, dict[str, Score]] = {}

    def report(outcome: Outcome) -> None:
        if outcome.error:
            return
        scores = rows[outcome.job] = outcome.value
        if as_json:
            values = {name: s.value for name, s in scores.items()}
            reasons = {name: s.reason for name, s in scores.items() if s.reason}
            print(json.dumps({"file": str(outcome.job[-1]), **values, "reasons": reasons}), flush=True)

    unusable: list[Outcome] = []
    tasks: list[Job]
    if no_reference:
        metrics.check_dnsmos()
        sources, unusable = listed(recordings)
        tasks = [(source.path,) for source in sources]
    elif len(recordings) == 2:
        reference, degraded = recordings
        tasks = list(metrics.pairs(reference, degraded, collect(unusable)))
    else:
        raise UsageError(
            "Give a clean reference and the recording to judge; or --no-reference for recordings alone."
        )
    try:
        work = metrics.dnsmos_file if no_reference else metrics.score_files
        outcomes = jobs.run(work, tasks, scheduler=scheduler)
        bar = progress_bar("scoring", len(unusable) + len(tasks))
        each(itertools.chain(unusable, outcomes), bar, report)
    finally:
        if rows and not as_json:
            print_scores({str(task[-1]): rows[task] for task in tasks if task in rows})


def plot_recording(
    source: Annotated[Path, typer.Argument(help="Audio file.")],
    denoised: Annotated[
        Path | None, typer.Argument(help="Its denoised version; by default it is denoised now, and not kept.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Picture to write; in-plot.png by default.")
    ] = None,
    model: Model = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Draw a recording before and after denoising: waveform, log-mel, gain, phones, energy."""
    from .. import audio, plot
    from ..classification import Classifier
    from ..denoising.denoiser import Denoiser

    target = out or source.with_name(f"{source.stem}-plot.png")
    check_picture(target, force)
    classifier = Classifier(model, device=device)
    before = audio.read(source)
    if denoised:
        after = audio.read(denoised)
    else:
        samples = Denoiser(classifier.model, device=device)(before.samples, before.sample_rate)
        after = replace(before, samples=samples)
    print(plot.overview(before, after, classifier, target))
