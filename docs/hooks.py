"""What the documentation takes from elsewhere in the repository while it is built.

README files of recipes and models, and what they show, keep their places, so that their links work here too;
the help of the commands, the notebook and the denoised sample are made anew; equations become MathML.
"""

from __future__ import annotations

import functools
import html
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TAKEN = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "examples/*.ipynb",
    "models/*/*.png",
    "models/*/README.md",
    "recipes/**/*.png",
    "recipes/*.md",
    "recipes/*/README.md",
    "recipes/*/RESULTS.md",
    "samples/*.flac",
    "samples/*.png",
    "samples/README.md",
    "tests/ROBUSTNESS.md",
)


def on_files(files: Any, config: Any) -> None:
    """Add the pages and pictures that are not in docs/."""
    from mkdocs.structure.files import File

    for pattern in TAKEN:
        for path in sorted(ROOT.glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    made = {"reference/commands.md": commands(), "samples/denoised.flac": denoised(), **notebook()}
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))


def on_page_content(content: str, **_: Any) -> str:
    """Write equations, which arithmatex has marked, as MathML: to see them, nothing is fetched or run."""
    content = re.sub(r'<span class="arithmatex">\\\((.*?)\\\)</span>', _math("inline"), content, flags=re.S)
    return re.sub(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', _math("block"), content, flags=re.S)


def _math(display: str) -> Any:
    from latex2mathml.converter import convert

    return lambda found: convert(html.unescape(found[1].strip()), display=display)


@functools.cache
def commands() -> str:
    """The help of all commands, without the lists of commands, which are in the table of contents."""
    words = [sys.executable, "-m", "typer", "speechjem.cli", "utils", "docs", "--name", "speechjem"]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    text = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+", "", text)
    return text.replace("# `speechjem`", "# All commands", 1)


@functools.cache
def denoised() -> bytes:
    """The shipped sample, denoised by the shipped model."""
    import soundfile

    import speechjem

    noisy, rate = soundfile.read(ROOT / "samples" / "noisy.flac")
    buffer = io.BytesIO()
    soundfile.write(buffer, speechjem.denoise(noisy, rate), rate, format="FLAC")
    return buffer.getvalue()


@functools.cache
def notebook() -> dict[str, str | bytes]:
    """The tour with its outputs, as it lies in examples/."""
    from nbconvert import MarkdownExporter

    text, resources = MarkdownExporter().from_filename(str(ROOT / "examples" / "tour.ipynb"))
    pictures = {f"examples/{name}": content for name, content in resources["outputs"].items()}
    return {"examples/tour.md": text, **pictures}
