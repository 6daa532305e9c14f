"""Write the man pages of the command line, one a command."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click_man.man import ManPage
from typer.main import get_command

from speechjem import __version__, cli

EXIT_STATUS = f""".SH EXIT STATUS
0 all done; 1 an input failed (each is named on standard error, the others are done); 2 wrong usage;
{cli.INTERRUPTED} interrupted.
"""


def pages(context: Any) -> Iterator[ManPage]:
    """The page of a command, then those of the commands below it."""
    command = context.command
    page = ManPage(context.command_path)
    page.version, page.short_help = __version__, command.get_short_help_str(200)
    page.description, page.synopsis = command.help, " ".join(command.collect_usage_pieces(context))
    page.options = [
        record for p in command.get_params(context) if (record := p.get_help_record(context)) is not None
    ]
    below = getattr(command, "commands", {})
    page.commands = [(name, child.get_short_help_str(200)) for name, child in below.items()]
    yield page
    for name, child in below.items():
        yield from pages(child.context_class(child, parent=context, info_name=name))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = get_command(cli.app)
    for page in pages(command.context_class(command, info_name="speechjem")):
        (folder / f"{page.command.replace(' ', '-')}.1").write_text(f"{page}{EXIT_STATUS}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    main(parser.parse_args().folder)
