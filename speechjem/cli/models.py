"""Commands on models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ModelError
from .app import complain
from .options import Json, ModelName
from .tables import plain, print_table

models = typer.Typer(help="List, describe and verify models.", no_args_is_help=True)


@models.command("list")
def list_models(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders to look for models in.")] = None,
    as_json: Json = False,
) -> None:
    """List the shipped models, those in the given folders, and those downloaded from the hub."""
    from .. import catalogue

    rows, failures = [], 0
    for name, folder in catalogue.find(folders or []):
        try:
            facts = catalogue.describe(folder)
        except ModelError as error:
            complain(error)
            failures += 1
            continue
        rows.append({"name": name, **{key: facts[key] for key in catalogue.LISTED}})
    if as_json:
        for row in rows:
            print(json.dumps(row))
    else:
        header = ("name", *catalogue.LISTED)
        print_table("models", header, ([plain(row[key]) for key in header] for row in rows))
    if failures:
        raise typer.Exit(1)


@models.command("verify")
def verify_model(model: ModelName = None, as_json: Json = False) -> None:
    """Load a model safely, compare its sha256 with what is stated, and run it once."""
    from .. import catalogue

    facts = catalogue.verify(model)
    if as_json:
        print(json.dumps(facts))
    else:
        print_table("sound", ("part", "found"), facts.items())


@models.command("info")
def info(model: ModelName = None, as_json: Json = False) -> None:
    """Describe a model: card, licence, size, checksum, settings."""
    from .. import catalogue

    facts = catalogue.describe(model)
    if as_json:
        print(json.dumps(facts))
    else:
        print_table("model", ("setting", "value"), ((key, plain(value)) for key, value in facts.items()))
