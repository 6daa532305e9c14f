"""The command that denoises the microphone."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json, Model
from .tables import plain, print_table

if TYPE_CHECKING:
    from ..denoising.live import Played


def live(
    heard: Annotated[
        str | None,
        typer.Option("-i", "--input", help="Microphone: its number in --list, or a part of its name."),
    ] = None,
    played: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Output, likewise: a loudspeaker, or a virtual device that other programs record.",
        ),
    ] = None,
    strength: Annotated[
        float, typer.Option(help="0 leaves the input untouched, 1 is the full effect.")
    ] = 1.0,
    model: Model = None,
    show: Annotated[bool, typer.Option("--list", help="List the sound devices.")] = False,
    as_json: Json = False,
) -> None:
    """Denoise the microphone and play it at once, until Ctrl-C.

    The model is 'stream' by default. The load is the share of the time that the work takes.
    """
    from ..denoising import live
    from ..denoising.denoiser import Denoiser
    from ..denoising.streaming import StreamDenoiser
    from ..models.checkpoint import STREAM

    if show:
        _list(as_json)
        return
    denoiser = Denoiser(model or STREAM, strength=strength, device="cpu", precision="float32")
    device = live.open_device(_named(heard), _named(played))
    enhancer = StreamDenoiser(round(device.samplerate), 1, denoiser)
    print(f"Denoising, {1000 * enhancer.latency:.0f} ms late; end with Ctrl-C.", file=sys.stderr)
    done = live.Played()
    show_it = partial(_show, done) if sys.stderr.isatty() else None
    with suppress(KeyboardInterrupt):  # the usual end
        live.run(device, enhancer, round(device.samplerate), done, show_it)
    print(f"\r{_said(done)}.", file=sys.stderr)


def _list(as_json: bool) -> None:
    from ..denoising import live

    rows = live.devices()
    if as_json:
        for row in rows:
            print(json.dumps(row))
    else:
        header = ("number", "name", "inputs", "outputs", "default")
        print_table("sound devices", header, ([plain(row[key]) for key in header] for row in rows))


def _named(device: str | None) -> int | str | None:
    return int(device) if device is not None and device.isdecimal() else device


def _show(done: Played) -> None:
    print(f"\r{_said(done)} ", end="", file=sys.stderr, flush=True)


def _said(done: Played) -> str:
    return f"{done.seconds:.0f} s, load {done.load:.0%}, {done.lost} dropouts"
