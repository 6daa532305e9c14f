"""Work on many files: progress, messages and the exit code."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from .app import complain, log

if TYPE_CHECKING:
    from ..runtime.jobs import Outcome
    from .progress import Bar


def threads() -> int:
    """Default number of files at once."""
    from ..runtime.jobs import installed

    if not installed("torch"):
        return os.cpu_count() or 1
    import torch

    return torch.get_num_threads()


def progress_bar(verb: str, total: int) -> Bar:
    """A progress bar, which is shown with neither --verbose nor --quiet."""
    from .progress import Bar

    return Bar(verb, total, shown=log.level == logging.WARNING)


def each(outcomes: Iterator[Outcome], bar: Bar, report: Callable[[Outcome], None] | None = None) -> None:
    """Report every outcome; name the jobs that fail, and exit with 1 if there are any."""
    failures = done = 0
    try:
        with bar:
            for outcome in outcomes:
                bar.done(outcome.job[0])
                if outcome.error is not None:
                    complain(outcome.error)
                    failures += 1
                else:
                    log.info("%s: done in %.1f s", outcome.job[0], outcome.elapsed)
                    done += 1
                if report:
                    report(outcome)
    except KeyboardInterrupt:
        complain(f"{done} of {bar.total} files are done.")
        raise
    if failures:
        if bar.total > 1:
            complain(f"{failures} of {bar.total} files failed; the others are done.")
        raise typer.Exit(1)
