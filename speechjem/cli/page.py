"""The command that serves the page."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from .options import Model


def demo(
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is reached from this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 7860,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    model: Model = None,
) -> None:
    """Serve a page for the browser: denoise, generate and find phones. Ends with Ctrl-C."""
    from ..demo import server

    def ready(url: str) -> None:
        print(f"{url} (end with Ctrl-C)", flush=True)
        if show:
            webbrowser.open(url)

    server.serve(model, host, port, ready)
