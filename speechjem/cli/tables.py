"""Tables on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..metrics import Score


def print_table(title: str, header: tuple[str, ...], rows: Iterable[Iterable[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    # A pipe has no width to fit into: leave the columns as wide as they are. Names may look like markup.
    Console(width=None if sys.stdout.isatty() else 200, markup=False, emoji=False).print(table)


def plain(value: Any) -> str:
    """A setting as a reader would write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "not stated" if value is None else str(value)


def print_scores(rows: dict[str, dict[str, Score]]) -> None:
    names = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    body = [[file, *(_cell(scores.get(name)) for name in names)] for file, scores in rows.items()]
    if len(rows) > 1:
        body.append([f"mean of {len(rows)}", *_means(rows, names)])
    print_table("scores", ("file", *names), body)
    reasons = sorted({f"{n}: {s.reason}" for scores in rows.values() for n, s in scores.items() if s.reason})
    for reason in reasons:
        print(f"none for {reason}")


def _cell(score: Score | None) -> str:
    return "" if score is None else "none" if score.value is None else f"{score.value:.3f}"


def _means(rows: dict[str, dict[str, Score]], names: list[str]) -> Iterator[str]:
    """The mean of each measure, and of how many files it is where some have no value."""
    for name in names:
        values = [s[name].value for s in rows.values() if name in s]
        found = [value for value in values if value is not None]
        of = "" if len(found) == len(rows) else f" of {len(found)}"
        yield f"{sum(found) / len(found):.3f}{of}" if found else "none"
