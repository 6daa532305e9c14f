"""The command that makes speech."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..errors import UsageError
from .app import log
from .options import Device, Force, Model, Noise, Seed, StepSize, Verbose
from .outputs import check_picture

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..generation.generator import Generator


def generate(
    phoneme: Annotated[str | None, typer.Option(help="One phone, such as aa.")] = None,
    phonemes: Annotated[
        str | None,
        typer.Option(help="A sequence of phones, such as 'hh ah l ow' or 'həˈloʊ'."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="English text, such as 'Meet me at 5:30.'")] = None,
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
    mode: Annotated[
        str | None,
        typer.Option(
            help="descent (trained steps, then a few of SGLD) or sgld (SGLD alone, as in ST-JEM); "
            "descent by default, if the model was trained for it."
        ),
    ] = None,
    like: Annotated[Path | None, typer.Option(help="Recording of a voice to sound like.")] = None,
    pitch: Annotated[
        float | None,
        typer.Option(help="Mean pitch in Hz; that of --like by default, or else one that --seed draws."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Variation between utterances; the mode's default if not given.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Number of SGLD steps; in mode descent, of those after the trained ones."),
    ] = None,
    step_size: StepSize = None,
    noise: Noise = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            help="In mode sgld, weight of log p(phone | frames) beside the energy; the model's by default."
        ),
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
    """Make speech: steps along the energy, from the mean frames of the phones asked for to frames of speech.

    A chain does not start at noise: the means, smoothed over time, and the harmonics of a pitch are given.
    """
    from .. import audio
    from ..generation.generator import Generator

    _check_asked(phoneme, phonemes, text, seconds, durations)
    targets = [out.with_name(f"{out.stem}-{k + 1}{out.suffix}") for k in range(count)] if count > 1 else [out]
    for target in targets:
        audio.check_target(target, force)
    if picture is not None:
        check_picture(picture, force)
    generator = Generator(
        model, mode=mode, steps=steps, step_size=step_size, noise=noise, guidance=guidance,
        temperature=temperature, like=audio.read(like) if like else None, pitch=pitch, device=device,
    )  # fmt: skip
    chain: list[tuple[Tensor, Tensor]] = []

    def watch(x: Tensor, energy: Tensor) -> None:
        chain.append((x[0], energy[0]))

    chosen: dict[str, Any] = {"seed": seed, "count": count, "watch": watch if picture else None}
    phones = phoneme if phoneme is not None else phonemes
    lengths = _numbers(durations) if durations is not None else seconds
    if text is not None:
        waveforms = _say(generator, text, chosen)
    elif phones is not None:
        waveforms = generator(phones, lengths, **chosen)
    else:
        waveforms = generator.anything(cast(float, seconds), **chosen)
    for target, waveform in zip(targets, waveforms, strict=True):
        audio.write(target, waveform, generator.sample_rate, force=force)
        print(target)
    if picture is not None:
        print(_draw(chain, generator, picture))


def _check_asked(
    phoneme: str | None, phonemes: str | None, text: str | None, seconds: float | None, durations: str | None
) -> None:
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


def _say(generator: Generator, text: str, chosen: dict[str, Any]) -> np.ndarray:
    """Speak a text; its warnings, such as of words that cannot be read, go to the log."""
    with warnings.catch_warnings(record=True) as caught:
        waveforms = generator.say(text, **chosen)
    for warning in caught:
        log.warning("%s", warning.message)
    return waveforms


def _draw(chain: list[tuple[Tensor, Tensor]], generator: Generator, picture: Path) -> Path:
    from .. import plot

    fbank = generator.model.fbank
    states = [fbank.denormalise(x).cpu().numpy() for x, _ in chain]
    return plot.chain(states, [energy.item() for _, energy in chain], fbank.frame_seconds, picture)


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError as error:
        raise UsageError(f"Durations must be numbers with spaces between them, not {text!r}.") from error
