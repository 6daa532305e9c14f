"""The documentation does what it says: its commands run, and what it names exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest
import yaml
from support import BLOCK, blocks, follow

import speechjem

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECIPES = sorted((ROOT / "recipes").rglob("*.md"))


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_one_that_is_run(page):
    languages = {language for language, _ in BLOCK.findall(page.read_text())}
    assert languages <= {"bash", "pycon", "python"}
    for code in blocks(page, "pycon") + blocks(page, "python"):  # which pytest runs as doctests
        assert code.startswith(">>> ")


# The tutorial's longest command is the tiny recipe: test_recipes.py follows it where that is run.
FOLLOWED = [page for page in PAGES if blocks(page, "bash") and page.name != "tutorial.md"]


@pytest.mark.parametrize("page", FOLLOWED, ids=name)
def test_commands_of_a_page_run_one_after_the_other(page, run, tmp_path):
    follow(page, run, tmp_path)


def test_the_tour_runs_and_is_small():
    path = ROOT / "examples" / "tour.ipynb"
    assert path.stat().st_size < 300_000
    notebook = nbformat.read(path, as_version=4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    nbclient.NotebookClient(notebook, timeout=None).execute(cwd=path.parent)


def test_the_reference_has_every_public_name():
    text = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    documented = set(re.findall(r"^::: speechjem\.(.+)$", text, re.MULTILINE))
    for module, attribute in speechjem._HOME.values():
        assert {module, f"{module}.{attribute}"} & documented


def test_the_navigation_has_every_page():
    text = re.sub(r"!!python/name:\S+", "", (ROOT / "mkdocs.yml").read_text())
    nav = str(yaml.safe_load(text)["nav"])
    written = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    beside = [name(page) for page in RECIPES if page.name == "README.md"]  # which lead to their results
    assert [page for page in written + beside if page not in nav] == []


def test_the_version_is_the_same_everywhere():
    assert f'version = "{speechjem.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert speechjem.__version__ in (ROOT / "CHANGELOG.md").read_text()


def test_every_command_and_option_has_its_man_page(tmp_path):
    script = ROOT / "packaging" / "man.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    text = (tmp_path / "speechjem.1").read_text()
    listed = re.findall(r"See \\fBspeechjem-(\w+)\(1\)", text)
    assert {"denoise", "generate", "score", "train"} <= set(listed)
    assert all((tmp_path / f"speechjem-{command}.1").exists() for command in listed)
    page = (tmp_path / "speechjem-denoise.1").read_text().replace("\\-", "-")
    help_text = subprocess.run(
        [sys.executable, "-m", "speechjem", "denoise", "--help"], check=True, capture_output=True, text=True,
        env=os.environ | {"COLUMNS": "200"},
    ).stdout  # fmt: skip
    for option in re.findall(r"--[a-z-]+", help_text):
        assert option in page
    assert "EXIT STATUS" in page


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md", *RECIPES], ids=name)
def test_prose_fits_a_screen(page):
    """Tables, commands and references may be longer than 120 characters."""
    lines = page.read_text().splitlines()
    fenced = np.cumsum([line.startswith("```") for line in lines]) % 2 == 1
    prose = [line for line, inside in zip(lines, fenced, strict=True) if not inside]
    assert not [line for line in prose if len(line) > 120 and not re.match(r" *\||    |\[\^", line)]
