"""Commands that denoise."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from ..runtime import atomic
from .batch import each, progress_bar, threads
from .options import Device, Force, Json, Model, Noise, Scheduler, Seed, Steps, StepSize, Verbose
from .outputs import listed, planned, undone, with_removed, without_outputs, writable

if TYPE_CHECKING:
    from ..runtime.jobs import Job, Outcome


def denoise(
    inputs: Annotated[
        list[Path] | None, typer.Argument(help="Audio files, or folders of them; - is standard input.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Output file, or folder (the tree of an input folder is mirrored); - is standard output.",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="descent (trained steps) or prior (SGLD); the model's better one by default."),
    ] = None,
    steps: Steps = None,
    step_size: StepSize = None,
    noise: Noise = None,
    strength: Annotated[
        float, typer.Option(help="0 leaves the input untouched, 1 is the full effect.")
    ] = 1.0,
    seed: Seed = 0,
    model: Model = None,
    device: Device = "auto",
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Pipes carry 16-bit little-endian samples of one channel, without header."
        ),
    ] = False,
    rate: Annotated[int | None, typer.Option(min=1, help="Sample rate of a raw pipe in Hz.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", min=1, help="Files at once; the number of torch's threads by default."),
    ] = None,
    scheduler: Scheduler = "local",
    removed: Annotated[
        Path | None,
        typer.Option(help="File or folder for what is removed: output + removed = input, up to rounding."),
    ] = None,
    skip_done: Annotated[
        bool,
        typer.Option(
            "--skip-done",
            help="Resume: skip inputs whose outputs exist, are up to date and have these settings.",
        ),
    ] = False,
    force: Force = False,
    as_json: Json = False,
    verbose: Verbose = None,
) -> None:
    """Remove noise from recordings: follow the energy for a few steps from the noisy input.

    Without -o, in.wav becomes in-denoised.wav beside it. Length, sample rate, channels, level, sample format
    and about the bit rate stay. Titles, time codes and markers are kept where the format has a place for
    them; pictures, lyrics and other tags are not.
    """
    from ..audio.pipes import PIPE
    from ..denoising.files import FileDenoiser
    from ..runtime.jobs import LOCAL, run

    inputs = inputs or []
    is_local = scheduler == LOCAL
    _check_inputs(inputs, raw, rate)
    if skip_done and force:
        raise UsageError(
            "--skip-done keeps outputs that exist and --force overwrites them; give one of them."
        )
    if not is_local and (jobs is not None or PIPE in (*inputs, out)):
        raise UsageError("--scheduler is for files, and sets how many are done at once: no --jobs or -.")
    settings: dict[str, Any] = {
        "model": str(Path(model).absolute()) if model and Path(model).exists() else model,
        "mode": mode, "steps": steps, "step_size": step_size, "noise": noise,
        "strength": strength, "seed": seed, "device": device,
    }  # fmt: skip
    tasks, unusable = _tasks(inputs, out, removed)
    if as_json and PIPE in (target for _, target, *_ in tasks):
        raise UsageError("--json reports on stdout; name files to write.")
    work = FileDenoiser(tuple(settings.items()), raw_rate=rate)
    again: set[Job] = set()
    if skip_done:
        tasks, again, changed = undone(tasks, work.label)
        unusable += changed
    ready, refused = writable(tasks, lambda job: force or job in again)
    unusable += refused
    bar = progress_bar("denoising", len(unusable) + len(ready))
    # A job of a lost worker is done again, and may find its output written.
    work = replace(work, force=force or bool(again) or not is_local, progress=bar.at if is_local else None)
    outcomes = run(work, ready, jobs or threads(), scheduler)
    each(itertools.chain(unusable, outcomes), bar, _denoised if as_json else None)


def _check_inputs(inputs: list[Path], raw: bool, rate: int | None) -> None:
    from ..audio.pipes import PIPE

    if not inputs:
        raise UsageError("Give audio files or folders; `speechjem live` is for the microphone.")
    if raw != (rate is not None):
        raise UsageError("--raw and --rate go together: raw samples do not say what their rate is.")
    if raw and inputs != [PIPE]:
        raise UsageError("--raw is for standard input; give - as the only input.")


def _tasks(inputs: list[Path], out: Path | None, removed: Path | None) -> tuple[list[Job], list[Outcome]]:
    """Every input with its outputs, and the files of folders that cannot be used."""
    found, unusable = listed(inputs, [folder for folder in (out, removed) if folder])
    sources = without_outputs(found)
    tasks = planned(sources, inputs, out)
    return (with_removed(tasks, sources, inputs, removed) if removed else tasks), unusable


def _denoised(outcome: Outcome) -> None:
    source, target, *removed = outcome.job
    facts: dict[str, Any] = {"file": str(source)}
    if target != source:
        facts["output"] = str(target)
    if removed:
        facts["removed"] = str(removed[0])
    if outcome.worker:  # also with an error: perhaps only this worker cannot see the file
        facts["worker"] = outcome.worker
    if outcome.error:
        facts["error"] = str(outcome.error)
    else:
        facts |= {"seconds": outcome.value, "elapsed": round(outcome.elapsed, 3)}
    print(json.dumps(facts), flush=True)


def export(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="ONNX file to write.", show_default="speechjem.onnx")
    ] = None,
    ladspa: Annotated[
        Path | None, typer.Option(help="Write this LADSPA plugin instead, for microphones (model: stream).")
    ] = None,
    web: Annotated[
        Path | None,
        typer.Option(help="Write this folder instead, a page that denoises in the browser (model: stream)."),
    ] = None,
    steps: Steps = None,
    model: Model = None,
    force: Force = False,
) -> None:
    """Write the denoiser as one ONNX graph, which runs without torch; as a plugin; or as a page.

    Input and output of the graph are float32 waveforms at 16 kHz, shape (channels, samples). The plugin is
    compiled for the processor of this machine. The page needs a server of files only, such as:
    python -m http.server -d FOLDER
    """
    if (out is not None) + (ladspa is not None) + (web is not None) > 1:
        raise UsageError("One thing is written at a time; give one of --out, --ladspa and --web.")
    if web:
        from ..web import folder

        folder.write(web, model, steps, force)
        print(web)
        return
    if ladspa:
        _export_plugin(ladspa, steps, model, force)
        return
    from ..denoising.graph import to_onnx

    out = out or Path("speechjem.onnx")
    atomic.check_new(out, force)
    to_onnx(out, model, steps)
    print(out)


def _export_plugin(path: Path, steps: int | None, model: str | None, force: bool) -> None:
    from ..ladspa import build
    from ..models import checkpoint

    if steps is not None:
        raise UsageError("A plugin takes the model's steps; leave out --steps.")
    build(checkpoint.load(model or checkpoint.STREAM), path, force)
    print(path)
