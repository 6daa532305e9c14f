"""The log of a training: rows, TensorBoard events and a progress bar."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ..runtime import atomic

SHOWN = {
    "loss": "loss",
    "accuracy": "accuracy",
    "energy_gap": "energy gap",
    "updates_per_second": "updates/s",
}


class TrainingLog:
    """train.jsonl, TensorBoard and the progress bar of a training; a context manager.

    Args:
        out: folder of the training.
        done: updates already made; rows after them are dropped, for they will be written again.
        updates: updates in all.
        progress: whether to draw the bar, on stderr.
    """

    def __init__(self, out: Path, done: int, updates: int, progress: bool):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from torch.utils.tensorboard import SummaryWriter

        self.path = out / "train.jsonl"
        self._drop_rows_after(done)
        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=done)
        self.bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True, markup=False, emoji=False),
            disable=not progress,
        )
        self.task = self.bar.add_task("", total=updates, completed=done)
        self.clock, self.clock_update = time.monotonic(), done

    def _drop_rows_after(self, update: int) -> None:
        if self.path.exists():
            # A killed process may have left half a line, which has no end.
            lines = [line for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            rows = [json.loads(line) for line in lines]
            kept = [row for row in rows if row["update"] <= update and "diverged" not in row]
            text = "".join(json.dumps(row) + "\n" for row in kept)
            atomic.replace_file(self.path, lambda path: path.write_text(text))

    def __enter__(self) -> TrainingLog:
        self.file = self.path.open("a")
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        self.board.close()
        self.file.close()

    def row(self, update: int, metrics: dict[str, Any]) -> None:
        """Write the metrics of an update to all of them."""
        if "loss" in metrics:
            now = time.monotonic()
            metrics["updates_per_second"] = (update - self.clock_update) / (now - self.clock)
            self.clock, self.clock_update = now, update
            shown = " ".join(f"{name} {metrics[key]:.3f}" for key, name in SHOWN.items() if key in metrics)
            self.bar.update(self.task, completed=update, description=shown)
        self.file.write(json.dumps({"update": update, **metrics}) + "\n")
        self.file.flush()
        for name, value in metrics.items():
            self.board.add_scalar(name, value, update)
