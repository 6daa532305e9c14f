"""A progress bar for work on many files."""

from __future__ import annotations

import sys
from pathlib import Path


class Bar:
    """A bar on the terminal: files that are done, and the shares of those at work; a context manager.

    What is printed meanwhile comes above it, or goes where stdout goes. That of a single file vanishes at the
    end.

    Args:
        verb: what is done to the files.
        total: their number.
        shown: whether to draw it, if stderr is a terminal.
    """

    def __init__(self, verb: str, total: int, shown: bool = True):
        from rich.console import Console
        from rich.progress import Progress

        self.total = total
        self._done = 0
        self._shares: dict[Path, float] = {}
        self._progress = Progress(
            console=Console(stderr=True, soft_wrap=True, markup=False, emoji=False),
            transient=total == 1,
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
            disable=not (shown and total and sys.stderr.isatty()),
        )
        self._task = self._progress.add_task(verb, total=total)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def at(self, file: Path, share: float) -> None:
        """Set the finished share of a file, from any thread."""
        self._shares[file] = share
        self._draw()

    def done(self, file: Path) -> None:
        """Count a file as finished."""
        self._shares.pop(file, None)
        self._done += 1
        self._draw()

    def _draw(self) -> None:
        self._progress.update(self._task, completed=self._done + sum(list(self._shares.values())))
