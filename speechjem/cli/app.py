"""The app and its entry point: results go to stdout, messages to stderr."""

from __future__ import annotations

import codecs
import io
import logging
import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from .. import __version__
from ..errors import SpeechjemError, UsageError
from ..runtime.jobs import installed

app = typer.Typer(
    help="Speech enhancement and synthesis with one network: a phoneme classifier read as an energy model.",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

log = logging.getLogger("speechjem")
INTERRUPTED = 130  # exit code


def main() -> NoReturn:
    """Entry point: errors become a sentence on stderr and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    _open_standard_streams()
    codecs.register_error("spell-out", _spell_out)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="spell-out")
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
        complain(error)
        sys.exit(2)
    except SpeechjemError as error:
        complain(error)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if installed("torch"):
            raise
        complain(f"This needs {error.name}, which this small installation lacks; run: pip install speechjem.")
        sys.exit(1)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:  # typer turns Ctrl-C into this
            complain(
                "Interrupted; what was finished is complete. The same command resumes a training, "
                "--skip-done a denoising."
            )
        raise
    except OSError as error:
        name = error.filename or "The output"
        complain(f"{name} cannot be written ({error.strerror}); free space, or choose another place.")
        sys.stdout = None  # else Python flushes it again at exit, and reports the error again
        sys.exit(1)
    sys.exit(0)


def _open_standard_streams() -> None:
    """Open the standard streams that are closed: the next file that is opened would get their output.

    Reading standard input and writing standard output remain errors; messages are lost.
    """
    for number, (name, flags) in enumerate(
        {"stdin": os.O_WRONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}.items()
    ):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115  # stays open


def _spell_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """Escapes for what cannot be encoded: names of files may be any bytes, terminals may lack letters."""
    assert isinstance(error, UnicodeEncodeError)
    part = error.object[error.start : error.end]
    if all("\udc80" <= sign <= "\udcff" for sign in part):
        return part.encode("ascii", "surrogateescape"), error.end
    return part.encode("ascii", "backslashreplace"), error.end


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]  # takes none before Python 3.11
    """Writes to the current sys.stderr: a progress bar replaces it, so that messages appear above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr  # setStream would flush the one before, which may be closed
        super().emit(record)


class _OneLine(logging.Formatter):
    """Escapes control characters: a file name must not command the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def complain(message: object) -> None:
    """Say on stderr what is wrong."""
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
