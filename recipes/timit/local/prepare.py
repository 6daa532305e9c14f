"""Make data directories of TIMIT (LDC93S1), with its own hand labels.

python local/prepare.py TIMIT OUT

TIMIT is the folder that has TRAIN and TEST, in either letter case. Writes OUT/train (462 speakers) and
OUT/core_test (the 24 speakers of the core test set), both without the two sentences that everyone reads (SA1,
SA2), as is usual. Of TIMIT's 61 labels, closures, pauses and the glottal stop become silence, allophones
their phone.
"""

import sys
from itertools import groupby
from pathlib import Path

from speechjem import phones

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
CORE = (
    "mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 "
    "mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0"
).split()


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("timit", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()

    labels = [path for path in arguments.timit.resolve().rglob("*") if path.suffix.lower() == ".phn"]
    labels = [path for path in labels if not path.stem.lower().startswith("sa")]
    parts = {
        "train": [path for path in labels if path.parts[-4].lower() == "train"],
        "core_test": [path for path in labels if path.parts[-2].lower() in CORE],
    }
    for name, files in parts.items():
        if not files:
            parser.error(
                f"{arguments.timit} has no labels (.PHN) for {name}; give the folder with TRAIN and TEST."
            )
        write(arguments.out / name, files)


def write(out: Path, files: list[Path]) -> None:
    """One data directory of the utterances whose labels are given."""
    out.mkdir(parents=True, exist_ok=True)
    by_name = {f"{path.parent.name}-{path.stem}".lower(): path for path in files}
    tables: dict[str, list[str]] = {"wav.scp": [], "utt2spk": [], "ali.ctm": []}
    for name in sorted(by_name):
        tables["wav.scp"].append(f"{name} {recording(by_name[name])}")
        tables["utt2spk"].append(f"{name} {name.split('-')[0]}")
        tables["ali.ctm"] += [
            f"{name} 1 {start / RATE:.4f} {(end - start) / RATE:.4f} {phone}"
            for start, end, phone in alignment(by_name[name])
        ]
    for table, lines in tables.items():
        (out / table).write_text("".join(f"{line}\n" for line in lines))


def recording(labels: Path) -> Path:
    """The recording beside the labels: X.WAV (NIST SPHERE), or X.WAV.wav where someone converted it."""
    (found,) = [p for p in labels.parent.iterdir() if p.name.lower() == f"{labels.stem}.wav".lower()] or [
        labels.with_name(f"{labels.stem}.WAV.wav")
    ]
    return found


def alignment(path: Path) -> list[tuple[int, int, str]]:
    """First sample, end and phone, neighbours of one phone that are silence made one."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    named = [(int(start), int(end), phones.normalise(label)) for start, end, label in rows]
    merged = []
    for phone, group in groupby(named, key=lambda row: row[2]):
        members = list(group)
        merged += [(members[0][0], members[-1][1], phone)] if phone == phones.SILENCE else members
    return merged


if __name__ == "__main__":
    main()
