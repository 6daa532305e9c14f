"""Make a data directory of LibriSpeech folders, or of another data directory, with absolute paths.

python recipes/steps/prepare_librispeech.py SOURCE [SOURCE ...] OUT

A SOURCE has LibriSpeech's READER/CHAPTER/*.flac and *.trans.txt; or one has wav.scp, utt2spk, text and,
if it is aligned, ali.ctm.
"""

import shutil
from pathlib import Path

import common

from speechjem.data.tables import lines


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()

    sources, out = [source.resolve() for source in arguments.sources], arguments.out
    directory = sources[0] if (sources[0] / "wav.scp").exists() else None
    found = {source: [] if directory else list(source.rglob("*.flac")) for source in sources}
    for source, recordings in found.items():
        if not directory and not recordings:
            parser.error(f"{source} has neither a wav.scp nor LibriSpeech's .flac files.")
    out.mkdir(parents=True, exist_ok=True)
    if directory:
        copy(directory, out)
    else:
        write(found, out)


def copy(directory: Path, out: Path) -> None:
    """The same data directory elsewhere."""
    for name in ("utt2spk", "text", "ali.ctm", "segments"):
        if (directory / name).exists():
            shutil.copy(directory / name, out / name)
    rows = (f"{key} {directory / path}\n" for _, (key, path) in lines(directory / "wav.scp", 1))
    (out / "wav.scp").write_text("".join(sorted(rows)))


def write(found: dict[Path, list[Path]], out: Path) -> None:
    """A data directory of the recordings of LibriSpeech's folders."""
    recordings = sorted((path.stem, path) for paths in found.values() for path in paths)
    transcripts = [path.read_text() for source in found for path in source.rglob("*.trans.txt")]
    tables = {
        "wav.scp": [f"{name} {path}" for name, path in recordings],
        "utt2spk": [f"{name} {name.split('-')[0]}" for name, _ in recordings],
        "text": sorted(line for text in transcripts for line in text.splitlines()),
    }
    for table, rows in tables.items():
        (out / table).write_text("".join(f"{row}\n" for row in rows))


if __name__ == "__main__":
    main()
