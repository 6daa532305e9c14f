"""Lay out one's own voices and noise for `run.sh`: a part to train on, and every fifth file to measure on.

python recipes/adapt/local/prepare.py VOICES NOISE DATA --model base

VOICES and NOISE are folders of recordings. DATA gets voices/train and voices/held_back, data directories as
Kaldi has them, the first with the phones that the model hears (ali.ctm), and noise/train and
noise/held_back, links to the files.
"""

import sys
from pathlib import Path

from speechjem import audio
from speechjem.audio.folders import Source
from speechjem.classification import Classifier

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("voices", type=Path)
    parser.add_argument("noise", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="base")
    arguments = parser.parse_args()

    train, held_back = split(arguments.voices)
    write_directory(arguments.data / "voices" / "held_back", held_back)
    write_directory(arguments.data / "voices" / "train", train)
    write_phones(
        arguments.data / "voices" / "train" / "ali.ctm", train, Classifier(arguments.model, device="cpu")
    )
    for part, sources in zip(("train", "held_back"), split(arguments.noise), strict=True):
        folder = arguments.data / "noise" / part
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            link = folder / (name(source) + source.path.suffix)
            link.unlink(missing_ok=True)
            link.symlink_to(source.path.resolve())


def split(folder: Path) -> tuple[list[Source], list[Source]]:
    """All files of a folder but every fifth, and every fifth."""
    sources = sorted(audio.find([folder]), key=name)
    if len(sources) < 5:
        raise SystemExit(
            f"{folder} has {len(sources)} recordings; cut them into 5 or more, to hold some back."
        )
    return [s for n, s in enumerate(sources) if n % 5 != 4], sources[4::5]


def name(source: Source) -> str:
    """What a recording is called in tables: its place in the folder, without blanks."""
    return "-".join("-".join(source.relative.with_suffix("").parts).split())


def write_directory(folder: Path, sources: list[Source]) -> None:
    """A data directory of recordings; who speaks does not matter here."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wav.scp").write_text("".join(f"{name(s)} {s.path.resolve()}\n" for s in sources))
    (folder / "utt2spk").write_text("".join(f"{name(s)} own\n" for s in sources))


def write_phones(path: Path, sources: list[Source], classifier: Classifier) -> None:
    """The alignment of recordings, as a model hears them."""
    with path.open("w") as file:
        for source in sources:
            recording = audio.read(source.path)
            for s in classifier(audio.mono(recording.samples), recording.sample_rate):
                file.write(f"{name(source)} 1 {s.start:.3f} {s.duration:.3f} {s.phone}\n")


if __name__ == "__main__":
    main()
