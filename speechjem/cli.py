"""The command line: one short function a command. Computation is elsewhere.

Exit codes: 0 all done, 1 an input failed (each is named on stderr), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import signal
import sys
import warnings
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO, cast

import typer

from . import __version__
from .errors import InputError, ModelError, SpeechjemError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from .audio import Source
    from .classification import Segment
    from .cluster import Job, Outcome
    from .denoising import Denoiser
    from .metrics import Score
    from .progress import Bar

app = typer.Typer(
    help="Speech enhancement and synthesis with one network: a phoneme classifier read as an energy model.",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

WHICH = "Model folder, or org/name[@revision] on the Hugging Face hub; the shipped model by default."
Model = Annotated[str | None, typer.Option(help=WHICH)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Workers = Annotated[
    int, typer.Option(min=0, help="Processes that draw batches ahead, for a GPU; changes no result.")
]
Steps = Annotated[int | None, typer.Option(help="Number of steps; the model's by default.")]
StepSize = Annotated[
    float | None,
    typer.Option(help="SGLD step size; in denoising by descent, a factor on the trained sizes."),
]
Noise = Annotated[float | None, typer.Option(help="Noise added at each step.")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite outputs that exist.")]
AllowPipes = Annotated[
    bool, typer.Option("--allow-pipes", help="Take commands in wav.scp; only from those whom you trust.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
Scheduler = Annotated[
    str,
    typer.Option(
        help="Dask scheduler whose workers do the work: tcp://host:8786, or its .json file; "
        "local for this machine."
    ),
]


log = logging.getLogger("speechjem")


def _set_verbosity(verbose: bool | None) -> None:
    if verbose is not None:
        log.setLevel(logging.INFO if verbose else logging.ERROR)


Verbose = Annotated[
    bool | None,
    typer.Option(
        "-v/-q",
        "--verbose/--quiet",
        callback=_set_verbosity,
        expose_value=False,
        show_default=False,
        help="Tell of every file when it is done, or of nothing but errors: no progress bar, no notes.",
    ),
]

INTERRUPTED = 130
SHOWN = 20  # problems of a data directory


def main() -> NoReturn:
    """Entry point: errors become a sentence on stderr and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as tidily as Ctrl-C does
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files may be any bytes
    handler = _Stderr()
    handler.setFormatter(_OneLine("speechjem: %(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.WARNING)
    try:
        try:
            app(standalone_mode=True)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except UsageError as error:
        _complain(error)
        sys.exit(2)
    except SpeechjemError as error:
        _complain(error)
        sys.exit(1)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:  # typer turns Ctrl-C into this
            _complain(
                "Interrupted; what was finished is complete. A training goes on with the same command, "
                "denoising with --skip-done."
            )
        raise
    except OSError as error:
        name = error.filename or "The output"
        _complain(f"{name} cannot be written ({error.strerror}); free space, or choose another place.")
        sys.stdout = None  # else Python tries once more at exit, and complains
        sys.exit(1)
    sys.exit(0)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at the time: a progress bar takes its place, to stay below."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)


class _OneLine(logging.Formatter):
    """Names come from others: what a terminal would obey is spelt out."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _complain(message: object) -> None:
    log.error("%s", message)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"speechjem {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
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
    rate: Annotated[int | None, typer.Option(help="Sample rate of a raw pipe in Hz.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option("-j", "--jobs", help="Files at once; as many as torch has threads by default."),
    ] = None,
    scheduler: Scheduler = "local",
    live: Annotated[
        bool, typer.Option("--live", help="Denoise the microphone and play it, until Ctrl-C.")
    ] = False,
    skip_done: Annotated[
        bool, typer.Option("--skip-done", help="Leave out inputs whose outputs exist: go on with a corpus.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
    verbose: Verbose = None,
) -> None:
    """Remove noise from recordings: follow the energy for a few steps from the noisy input.

    Without -o, in.wav becomes in-denoised.wav beside it. Length, sample rate, channels and level stay.
    """
    from . import audio, cluster, pipes
    from .denoising import Denoiser, FileDenoiser

    if bool(inputs) == live:
        raise UsageError("Give audio files or folders, or --live for the microphone.")
    inputs = inputs or []
    if raw != (rate is not None):
        raise UsageError("--raw and --rate go together: raw samples do not say what their rate is.")
    if raw and inputs != [pipes.PIPE]:
        raise UsageError("--raw is for standard input; give - as the only input.")
    if rate is not None and rate < 1:
        raise UsageError(f"A sample rate of {rate} Hz is impossible; give it in Hz.")
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} jobs can do nothing; give at least 1.")
    if skip_done and force:
        raise UsageError(
            "--skip-done keeps outputs that exist and --force overwrites them; give one of them."
        )
    is_local = scheduler == cluster.LOCAL
    if not is_local and (live or jobs is not None or pipes.PIPE in (*inputs, out)):
        raise UsageError(
            "--scheduler is for files, and sets how many are done at once: no --live, --jobs or -."
        )
    tasks = [] if live else _outputs(audio.find(inputs), inputs, out)
    if as_json and (live or pipes.PIPE in (target for _, target in tasks)):
        raise UsageError("--json reports on stdout; name files to write.")
    settings: dict[str, Any] = {
        "model": str(Path(model).absolute()) if model and Path(model).exists() else model,
        "mode": mode, "steps": steps, "step_size": step_size, "noise": noise,
        "strength": strength, "seed": seed, "device": device,
    }  # fmt: skip
    if live:
        _live(Denoiser(**settings))
        return

    if skip_done:
        tasks = _undone(tasks)
    ready, refused = _writable(tasks, force)
    bar = _bar("denoising", len(tasks))
    work = FileDenoiser(
        tuple(settings.items()),
        force=force or not is_local,  # what a lost worker had is done again, over what it may have written
        raw_rate=rate,
        progress=bar.at if is_local else None,
    )
    outcomes = cluster.run(work, ready, jobs or _threads(), scheduler)
    _each(itertools.chain(refused, outcomes), bar, _denoised if as_json else None)


def _denoised(outcome: Outcome) -> None:
    source, target = outcome.job
    facts: dict[str, Any] = {"file": str(source), "output": str(target)}
    if outcome.error:
        facts["error"] = str(outcome.error)
    else:
        facts |= {"seconds": outcome.value, "elapsed": round(outcome.elapsed, 3), "worker": outcome.worker}
    print(json.dumps(facts), flush=True)


def _undone(tasks: list[Job]) -> list[Job]:
    """What has no output yet; an output is complete or absent."""
    # An input is nobody's output: where it would be written over, that is refused.
    undone = [(source, target) for source, target in tasks if source == target or not target.exists()]
    if len(undone) < len(tasks):
        log.warning("%d of %d outputs exist; they stay as they are.", len(tasks) - len(undone), len(tasks))
    return undone


def _writable(tasks: list[Job], force: bool) -> tuple[list[Job], list[Outcome]]:
    """What can be written, and why the rest cannot."""
    from . import audio, pipes
    from .cluster import Outcome

    ready, refused = [], []
    for source, target in tasks:
        try:
            if target != pipes.PIPE:
                audio.check_target(target, force)
            ready.append((source, target))
        except InputError as error:
            refused.append(Outcome((source, target), error=error))
    return ready, refused


def _live(denoiser: Denoiser) -> None:
    from . import live
    from .streaming import StreamDenoiser

    enhancer = StreamDenoiser(live.RATE, 1, denoiser)
    device = live.open_device()
    print(
        f"Denoising the microphone, {1000 * enhancer.latency:.0f} ms late; end with Ctrl-C.", file=sys.stderr
    )
    live.run(device, enhancer)


@app.command()
def export(
    out: Annotated[Path, typer.Option("-o", "--out", help="ONNX file to write.")] = Path("speechjem.onnx"),
    steps: Steps = None,
    model: Model = None,
    force: Force = False,
) -> None:
    """Write the denoiser as one ONNX graph, which runs without torch.

    Its input and output are float32 waveforms at 16 kHz, shape (channels, samples).
    """
    from .export import to_onnx

    if out.exists() and not force:
        raise InputError(f"{out} exists; pass --force to overwrite it.")
    to_onnx(out, model, steps)
    print(out)


@app.command()
def generate(
    phoneme: Annotated[str | None, typer.Option(help="One phone, such as aa.")] = None,
    phonemes: Annotated[
        str | None,
        typer.Option(help="A sequence of phones, such as 'hh ah l ow'."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="English words, such as 'hello world'.")] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Output file; with -n 3: out-1.wav ... out-3.wav.")
    ] = Path("out.wav"),
    seconds: Annotated[
        float | None,
        typer.Option(help="Duration of every phone, or, with nothing else given, of speech without text."),
    ] = None,
    durations: Annotated[
        str | None,
        typer.Option(help="Duration of each phone of a sequence in seconds, such as '0.1 0.08 0.1 0.3'."),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", help="Number of utterances.")] = 1,
    like: Annotated[Path | None, typer.Option(help="Recording of a voice to sound like.")] = None,
    pitch: Annotated[float | None, typer.Option(help="Pitch in Hz; that of --like by default.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="How much utterances differ; the model's by default.")
    ] = None,
    steps: Steps = None,
    step_size: StepSize = None,
    noise: Noise = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Weight of log p(phone | frames) beside the energy; the model's by default."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Picture of the chain to write, such as chain.png.")
    ] = None,
    seed: Seed = 0,
    model: Model = None,
    device: Device = "auto",
    force: Force = False,
    verbose: Verbose = None,
) -> None:
    """Make speech: SGLD from noise on the energy of the phones or words asked for."""
    from . import audio, plot
    from .generation import Generator

    given = [value for value in (phoneme, phonemes, text) if value is not None]
    if len(given) > 1 or (not given and seconds is None):
        raise UsageError(
            "Give one of --phoneme, --phonemes, --text, or --seconds alone; "
            "'speechjem phones' lists the names of the phones."
        )
    if seconds is not None and (durations is not None or text is not None):
        raise UsageError("--seconds is for every phone: it goes neither with --durations nor with --text.")
    if durations is not None and phonemes is None:
        raise UsageError("--durations needs --phonemes, whose durations they are.")
    targets = [out.with_name(f"{out.stem}-{k + 1}{out.suffix}") for k in range(count)] if count > 1 else [out]
    for target in targets:
        audio.check_target(target, force)
    if picture is not None:
        _check_picture(picture, force)
    generator = Generator(
        model, steps=steps, step_size=step_size, noise=noise, guidance=guidance,
        temperature=temperature, like=audio.read(like) if like else None, pitch=pitch, device=device,
    )  # fmt: skip
    chain: list[tuple[Tensor, Tensor]] = []

    def watch(x: Tensor, energy: Tensor) -> None:
        chain.append((x[0], energy[0]))

    chosen: dict[str, Any] = {"seed": seed, "count": count, "watch": watch if picture else None}
    if text is not None:
        with warnings.catch_warnings(record=True) as caught:
            waveforms = generator.say(text, **chosen)
        for warning in caught:
            log.warning("%s", warning.message)
    elif given:
        lengths = _numbers(durations) if durations is not None else seconds
        waveforms = generator(given[0], lengths, **chosen)
    else:
        waveforms = generator.anything(cast(float, seconds), **chosen)
    for target, waveform in zip(targets, waveforms, strict=True):
        audio.write(target, waveform, generator.sample_rate, force=force)
        print(target)
    if picture is not None:
        fbank = generator.model.fbank
        states = [fbank.denormalise(x).cpu().numpy() for x, _ in chain]
        print(plot.chain(states, [energy.item() for _, energy in chain], fbank.frame_seconds, picture))


@app.command()
def demo(
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is reached from this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any that is free.")] = 7860,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    model: Model = None,
) -> None:
    """Serve a page for the browser: denoise, generate and find phones. Ends with Ctrl-C."""
    from .demo import server

    def ready(url: str) -> None:
        print(f"{url} (end with Ctrl-C)", flush=True)
        if show:
            webbrowser.open(url)

    server.serve(model, host, port, ready)


Edited = Annotated[
    Path | None, typer.Option("-o", "--out", help="Output file; in-inpainted.wav or in-converted.wav.")
]


@app.command()
def inpaint(
    source: Annotated[Path, typer.Argument(help="Audio file.")],
    start: Annotated[float, typer.Option("--from", help="Start of the gap in seconds.")],
    end: Annotated[float, typer.Option("--to", help="End of the gap in seconds.")],
    out: Edited = None,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    force: Force = False,
) -> None:
    """Fill a gap in a recording, such as a lost packet, from what is around it."""
    from .editing import Editor

    editor = Editor(model, steps=steps, seed=seed)
    _edit(source, out, "inpainted", lambda x, rate: editor.inpaint(x, rate, start, end), force)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Audio file.")],
    old: Annotated[str, typer.Option("--from", help="Phone to turn, such as s.")],
    new: Annotated[str, typer.Option("--to", help="Phone to turn it into, such as sh.")],
    out: Edited = None,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    force: Force = False,
) -> None:
    """Turn one phone of a recording, wherever it is heard, into another."""
    from .editing import Editor

    editor = Editor(model, steps=steps, seed=seed)
    _edit(source, out, "converted", lambda x, rate: editor.convert(x, rate, old, new), force)


def _edit(
    source: Path,
    out: Path | None,
    suffix: str,
    change: Callable[[np.ndarray, int], np.ndarray],
    force: bool,
) -> None:
    """Read, change and write one recording."""
    from . import audio

    target = out or source.with_name(f"{source.stem}-{suffix}{source.suffix}")
    audio.check_target(target, force)
    recording = audio.read(source)
    audio.write(
        target, change(recording.samples, recording.sample_rate), recording.sample_rate,
        subtype=recording.subtype, force=force,
    )  # fmt: skip
    print(target)


@app.command("plot")
def plot_recording(
    source: Annotated[Path, typer.Argument(help="Audio file.")],
    denoised: Annotated[
        Path | None, typer.Argument(help="What came out of it; denoised now, and not kept, by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Picture to write; in-plot.png by default.")
    ] = None,
    model: Model = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Draw a recording before and after denoising: waveform, log-mel, gain, phones, energy."""
    from . import audio, plot
    from .classification import Classifier
    from .denoising import Denoiser

    target = out or source.with_name(f"{source.stem}-plot.png")
    _check_picture(target, force)
    classifier = Classifier(model, device=device)
    before = audio.read(source)
    if denoised:
        after = audio.read(denoised)
    else:
        samples = Denoiser(classifier.model, device=device)(before.samples, before.sample_rate)
        after = replace(before, samples=samples)
    print(plot.overview(before, after, classifier, target))


def _check_picture(path: Path, force: bool) -> None:
    """For asking before a long computation."""
    from . import plot

    plot.picture_format(path)
    if path.exists() and not force:
        raise InputError(f"{path} exists; pass --force to overwrite it.")


@app.command()
def score(
    reference: Annotated[Path, typer.Argument(help="Clean recording, or a folder of them.")],
    degraded: Annotated[
        Path, typer.Argument(help="Recording to judge, or a folder; files are matched by name.")
    ],
    scheduler: Scheduler = "local",
    as_json: Json = False,
    verbose: Verbose = None,
) -> None:
    """Score recordings against clean references: PESQ, STOI, ESTOI and SI-SDR (dB)."""
    from . import cluster, metrics

    rows: dict[Job, dict[str, Score]] = {}

    def report(outcome: Outcome) -> None:
        if outcome.error:
            return
        scores = rows[outcome.job] = outcome.value
        if as_json:
            values = {name: s.value for name, s in scores.items()}
            reasons = {name: s.reason for name, s in scores.items() if s.reason}
            print(json.dumps({"file": str(outcome.job[1]), **values, "reasons": reasons}), flush=True)

    pairs = metrics.pairs(reference, degraded)
    try:
        outcomes = cluster.run(metrics.score_files, pairs, scheduler=scheduler)
        _each(outcomes, _bar("scoring", len(pairs)), report)
    finally:
        if rows and not as_json:
            _score_table({str(pair[1]): rows[pair] for pair in pairs if pair in rows})


@app.command()
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
    from . import audio, cluster
    from .classification import Classifier

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
            _print_table(name, ("start (s)", "duration (s)", "phone", "probability"), (
                (f"{s.start:.2f}", f"{s.duration:.2f}", s.phone, f"{s.probability:.2f}") for s in segments
            ))  # fmt: skip

    sources = [(source.path, source.relative) for source in audio.find(inputs)]
    _each(cluster.run(work, sources), _bar("classifying", len(sources)), report)


@app.command("train")
def train_model(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    labelled: Annotated[
        str | None, typer.Option(help="Kaldi data directory with ali.ctm, or shards, such as 'shards/*.tar'.")
    ] = None,
    unlabelled: Annotated[str | None, typer.Option(help="Folder of more clean speech, or shards.")] = None,
    noise: Annotated[str | None, typer.Option(help="Folder of noise.")] = None,
    held_out: Annotated[str | None, typer.Option(help="Kaldi data directory to measure on.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder of the training; exp/NAME of the configuration by default."),
    ] = None,
    device: Device = "auto",
    workers: Workers = 0,
    allow_pipes: AllowPipes = False,
    verbose: Verbose = None,
) -> None:
    """Train a model, or go on with a training that was interrupted (same command)."""
    from . import distributed
    from .settings import read_config, with_data
    from .train import train

    folder = out or Path("exp") / config.stem
    settings = with_data(
        read_config(config), labelled=labelled, unlabelled=unlabelled, noise=noise, held_out=held_out
    )
    train(
        settings,
        folder,
        device=device,
        workers=workers,
        allow_pipes=allow_pipes,
        progress=log.isEnabledFor(logging.WARNING),
    )
    if distributed.rank() == 0:
        print(folder / "model")


@app.command("train-images")
def train_image_model(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    folder: Annotated[str | None, typer.Option("--data", help="Folder of the images' files.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder of the training; exp/NAME of the configuration by default."),
    ] = None,
    device: Device = "auto",
    workers: Workers = 0,
) -> None:
    """Train a model of images by the same objective, or go on with a training that was interrupted."""
    from . import distributed
    from .settings import read_image_config, with_data
    from .train_images import train

    target = out or Path("exp") / config.stem
    train(with_data(read_image_config(config), folder=folder), target, device=device, workers=workers)
    if distributed.rank() == 0:
        print(target / "model")


data = typer.Typer(help="Check, mend, split, convert and pack Kaldi data directories.", no_args_is_help=True)
app.add_typer(data, name="data")
Directory = Annotated[Path, typer.Argument(help="Data directory, with wav.scp and utt2spk.")]


@data.command("validate")
def validate_data(directory: Directory, allow_pipes: AllowPipes = False, as_json: Json = False) -> None:
    """Name everything that is wrong with a data directory, with file and line."""
    from .data import validation

    report = validation.inspect(directory, allow_pipes)
    if as_json:
        print(json.dumps(vars(report)))
        raise typer.Exit(1 if report.problems else 0)
    for problem in report.problems[:SHOWN]:
        _complain(problem)
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

    The tables as they were stay in its folder .backup.
    """
    from .data import validation

    for name in validation.fix(directory):
        _complain(f"{name} is left out: not all tables have it.")
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
    from .data import split

    done = split.split(directory, out, split.parse_parts(parts), seed, per_utt)
    for name in done.unknown:
        _complain(f"{directory / name} is not split: it is no table that is known.")
    if done.left_out:
        _complain(f"{done.left_out} utterances are in no part, for the shares add up to less than 1.")
    for name, (utterances, speakers) in done.parts.items():
        print(f"{out / name}: {utterances} utterances, {speakers} speakers")


@data.command("import-ctm")
def import_ctm(
    ctm_file: Annotated[Path, typer.Argument(metavar="FILE", help="CTM of utterances or of recordings.")],
    directory: Directory,
    phone_map: Annotated[
        Path | None,
        typer.Option("--map", help="Table 'PHONE OURS', for phones that are spelt in another way."),
    ] = None,
    force: Force = False,
) -> None:
    """Make the phone alignment, ali.ctm, from a CTM of another tool."""
    from .data import ctm

    target = _alignment_target(directory, force)
    for notice in ctm.import_alignment(directory, ctm_file, phone_map):
        _complain(notice)
    print(target)


@data.command("from-lhotse")
def from_lhotse(
    recordings: Annotated[Path, typer.Argument(help="Manifest of recordings.")],
    supervisions: Annotated[Path, typer.Argument(help="Manifest of supervisions.")],
    directory: Annotated[Path, typer.Argument(help="Data directory to make.")],
    alignment: Annotated[str, typer.Option(help="Type of the alignments that have the phones.")] = "phone",
) -> None:
    """Make a data directory of lhotse's manifests, with the phone alignments of supervisions."""
    from .data import lhotse

    for name in lhotse.import_manifests(*lhotse.load(recordings, supervisions), directory, alignment):
        _complain(f"Recording {name} has no supervision, and is left out.")
    print(directory)


@data.command("to-lhotse")
def to_lhotse(
    directory: Directory,
    folder: Annotated[Path, typer.Argument(help="Folder of the manifests.")],
    allow_pipes: AllowPipes = False,
    force: Force = False,
) -> None:
    """Make lhotse's manifests, recordings.jsonl.gz and supervisions.jsonl.gz, of a data directory."""
    from .data import lhotse

    targets = [folder / name for name in lhotse.MANIFESTS]
    for target in targets:
        if target.exists() and not force:
            raise InputError(f"{target} exists; pass --force to overwrite it.")
    lhotse.save(folder, *lhotse.export_manifests(directory, allow_pipes))
    for target in targets:
        print(target)


@data.command("import-textgrid")
def import_textgrid(
    directory: Directory,
    folder: Annotated[Path, typer.Argument(help="Folder of TextGrids, each called like its utterance.")],
    tier: Annotated[str, typer.Option(help="Interval tier that has the phones.")] = "phones",
    force: Force = False,
) -> None:
    """Make the phone alignment, ali.ctm, from Praat's TextGrids."""
    from .data import textgrid

    target = _alignment_target(directory, force)
    for name in textgrid.import_alignment(directory, folder, tier):
        _complain(f"{name} has no TextGrid, and stays without an alignment.")
    print(target)


@data.command("shard")
def shard_data(
    directory: Directory,
    out: Annotated[Path, typer.Argument(help="Folder of the shards, which must not be there yet.")],
    shard_minutes: Annotated[float, typer.Option(help="Speech in a shard.")] = 10.0,
    jobs: Annotated[int, typer.Option("-j", "--jobs", help="Utterances to read and encode at once.")] = 1,
    allow_pipes: AllowPipes = False,
) -> None:
    """Write a data directory as tar shards, for 'train --labelled OUT/*.tar' of more than fits into memory.

    They are WebDataset's: NUMBER.flac at 16 kHz and NUMBER.json with the speaker and the phones.
    """
    from .data import shards

    if shard_minutes <= 0 or jobs < 1:
        raise UsageError("--shard-minutes must be more than 0, and --jobs at least 1.")
    written = shards.write(directory, out, shard_minutes, jobs, allow_pipes)
    print(f"{out}: {len(written)} shards, {sum(path.stat().st_size for path in written) / 1e6:.1f} MB")


def _alignment_target(directory: Path, force: bool) -> Path:
    target = directory / "ali.ctm"
    if target.exists() and not force:
        raise InputError(f"{target} exists; pass --force to overwrite it.")
    return target


models = typer.Typer(help="List, describe and verify models.", no_args_is_help=True)
app.add_typer(models, name="models")
ModelName = Annotated[str | None, typer.Argument(help=WHICH)]


@models.command("list")
def list_models(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders to look for models in.")] = None,
    as_json: Json = False,
) -> None:
    """List the shipped model, those in the given folders, and those downloaded from the hub."""
    from . import catalogue

    rows, failures = [], 0
    for name, folder in catalogue.find(folders or []):
        try:
            facts = catalogue.describe(folder)
        except ModelError as error:
            _complain(error)
            failures += 1
            continue
        rows.append({"name": name, **{key: facts[key] for key in catalogue.LISTED}})
    if as_json:
        for row in rows:
            print(json.dumps(row))
    else:
        header = ("name", *catalogue.LISTED)
        _print_table("models", header, ([_plain(row[key]) for key in header] for row in rows))
    if failures:
        raise typer.Exit(1)


@models.command("verify")
def verify_model(model: ModelName = None, as_json: Json = False) -> None:
    """Load a model safely, compare its sha256 with what is stated, and run it once."""
    from . import catalogue

    facts = catalogue.verify(model)
    if as_json:
        print(json.dumps(facts))
    else:
        _print_table("sound", ("part", "found"), facts.items())


@models.command("info")
@app.command()
def info(model: ModelName = None, as_json: Json = False) -> None:
    """Describe a model: card, licence, size, checksum, settings."""
    from . import catalogue

    facts = catalogue.describe(model)
    if as_json:
        print(json.dumps(facts))
    else:
        _print_table("model", ("setting", "value"), ((key, _plain(value)) for key, value in facts.items()))


@app.command()
def phones(as_json: Json = False) -> None:
    """List the phones: ARPAbet name, IPA symbol, a word."""
    from .phones import TABLE

    if as_json:
        for phone in TABLE:
            print(json.dumps(phone._asdict()))
        return
    _print_table("phones", ("name", "IPA", "as in"), TABLE)


def _outputs(sources: list[Source], inputs: list[Path], out: Path | None) -> list[tuple[Path, Path]]:
    """Input and output path of every file."""
    from .audio import SUFFIXES
    from .pipes import PIPE

    if PIPE in inputs and len(inputs) > 1:
        raise UsageError("Standard input (-) must be the only input.")
    if PIPE in (*inputs, out):
        if len(sources) > 1 or inputs[0].is_dir():
            raise UsageError("Standard output (-) takes one recording; give -o FOLDER.")
        return [(inputs[0], out or PIPE)]
    if out is None and any(path.is_dir() for path in inputs):
        raise UsageError("Give -o FOLDER for where the outputs of a folder shall go.")
    is_file = out is not None and out.suffix.lower() in SUFFIXES and not out.is_dir()
    if is_file and (len(sources) > 1 or inputs[0].is_dir()):
        raise UsageError(f"{out} is one file, but there are several inputs; give -o FOLDER.")
    targets: dict[Path, Path] = {}
    for source in sources:
        relative = source.relative
        if relative.suffix.lower() not in SUFFIXES:
            relative = relative.with_suffix(".wav")
        if out is None:
            target = source.path.with_name(f"{relative.stem}-denoised{relative.suffix}")
        else:
            target = out if is_file else out / relative
        if target in targets:
            raise UsageError(
                f"{targets[target]} and {source.path} would both be written to {target}; rename one."
            )
        targets[target] = source.path
    return [(source, target) for target, source in targets.items()]


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _bar(verb: str, total: int) -> Bar:
    """A progress bar, unless every file is told of, or nothing."""
    from .progress import Bar

    return Bar(verb, total, shown=log.level == logging.WARNING)


def _each(outcomes: Iterator[Outcome], bar: Bar, report: Callable[[Outcome], None] | None = None) -> None:
    """Report what becomes of every job; name the ones that fail, and exit with 1 if there are any."""
    failures = done = 0
    try:
        with bar:
            for outcome in outcomes:
                bar.done(outcome.job[0])
                if outcome.error is not None:
                    _complain(outcome.error)
                    failures += 1
                else:
                    log.info("%s: done in %.1f s", outcome.job[0], outcome.elapsed)
                    done += 1
                if report:
                    report(outcome)
    except KeyboardInterrupt:
        _complain(f"{done} of {bar.total} files are done.")
        raise
    if failures:
        if bar.total > 1:
            _complain(f"{failures} of {bar.total} files failed; the others are done.")
        raise typer.Exit(1)


def _plain(value: Any) -> str:
    """A setting as a reader would write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "not stated" if value is None else str(value)


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError as error:
        raise UsageError(f"Durations must be numbers with spaces between them, not {text!r}.") from error


def _print_table(title: str, header: tuple[str, ...], rows: Iterable[Iterable[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    # A pipe has no width to fit into: leave the columns as wide as they are.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _score_table(rows: dict[str, dict[str, Score]]) -> None:
    names = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    body = [[file, *(_cell(scores.get(name)) for name in names)] for file, scores in rows.items()]
    if len(rows) > 1:
        body.append([f"mean of {len(rows)}", *_means(rows, names)])
    _print_table("scores", ("file", *names), body)
    reasons = sorted({f"{n}: {s.reason}" for scores in rows.values() for n, s in scores.items() if s.reason})
    for reason in reasons:
        print(f"none for {reason}")


def _cell(score: Score | None) -> str:
    return "" if score is None else "none" if score.value is None else f"{score.value:.3f}"


def _means(rows: dict[str, dict[str, Score]], names: list[str]) -> Iterator[str]:
    for name in names:
        values = [s[name].value for s in rows.values() if name in s and s[name].value is not None]
        yield f"{sum(v for v in values if v is not None) / len(values):.3f}" if values else "none"
