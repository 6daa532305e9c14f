"""Make data directories of a part of VoiceBank-DEMAND, and what is measured and trained with at 16 kHz.

python local/prepare.py CORPUS test OUT [--nj 2]
python local/prepare.py CORPUS train OUT [--nj 2]

test: of clean_testset_wav and noisy_testset_wav, OUT/test_clean and OUT/test_noisy, data directories of the
files as they are; OUT/test_16k/clean and OUT/test_16k/noisy, the same files at 16 kHz (soxr).
train: of clean_trainset_28spk_wav, noisy_trainset_28spk_wav and trainset_28spk_txt, OUT/train_clean, with
text, and OUT/train_noisy; OUT/noise, noisy minus clean at 16 kHz.
"""

import multiprocessing
import re
import sys
from functools import partial
from pathlib import Path

from speechjem import audio

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
FOLDERS = {"test": "testset", "train": "trainset_28spk"}
Pair = tuple[Path, Path]  # clean, noisy


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("part", choices=FOLDERS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--nj", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    part, out = arguments.part, arguments.out

    try:
        files = pairs(arguments.corpus.resolve(), FOLDERS[part])
        texts = said(arguments.corpus, files) if part == "train" else {}
    except FileNotFoundError as error:
        parser.error(str(error))
    write_directories(files, texts, out, part)
    work = (
        partial(write_noise, out=out / "noise")
        if part == "train"
        else partial(write_pair, out=out / "test_16k")
    )
    with multiprocessing.Pool(arguments.nj) as pool:
        pool.map(work, files)


def pairs(corpus: Path, name: str) -> list[Pair]:
    """Clean and noisy files of a set, sorted."""
    folders = [corpus / f"{kind}_{name}_wav" for kind in ("clean", "noisy")]
    clean, noisy = ({path.name: path for path in folder.glob("*.wav")} for folder in folders)
    if not clean or clean.keys() != noisy.keys():
        raise FileNotFoundError(
            f"{' and '.join(map(str, folders))} do not have the same .wav files; unpack the archives again."
        )
    return [(clean[name], noisy[name]) for name in sorted(clean)]


def said(corpus: Path, files: list[Pair]) -> dict[str, str]:
    """What is said in every utterance of the training set, in capitals, without punctuation."""
    texts = {}
    for clean, _ in files:
        text = (corpus / "trainset_28spk_txt" / f"{clean.stem}.txt").read_text(encoding="utf-8")
        texts[clean.stem] = " ".join(re.findall("[A-Z']+", text.upper().replace("’", "'")))
    return texts


def write_directories(files: list[Pair], texts: dict[str, str], out: Path, part: str) -> None:
    """A data directory of the clean and one of the noisy files."""
    for kind, paths in zip(("clean", "noisy"), zip(*files, strict=True), strict=True):
        tables = {
            "wav.scp": [f"{path.stem} {path}" for path in paths],
            "utt2spk": [f"{path.stem} {path.stem.split('_')[0]}" for path in paths],
            "text": [f"{name} {text}" for name, text in texts.items()],
        }
        folder = out / f"{part}_{kind}"
        folder.mkdir(parents=True, exist_ok=True)
        for table, rows in tables.items():
            if rows:
                (folder / table).write_text("".join(f"{row}\n" for row in rows))


def write_pair(pair: Pair, out: Path) -> None:
    for kind, path in zip(("clean", "noisy"), pair, strict=True):
        recording = audio.read(path)
        samples = audio.resample(recording.samples, recording.sample_rate, RATE)
        audio.write(out / kind / f"{path.stem}.flac", samples, RATE, force=True)


def write_noise(pair: Pair, out: Path) -> None:
    """Noisy minus clean: the noisy files were made by adding noise, at a gain of 1."""
    clean, noisy = map(audio.read, pair)
    noise = audio.resample(noisy.samples - clean.samples, clean.sample_rate, RATE)
    audio.write(out / f"{pair[0].stem}.flac", noise, RATE, force=True)


if __name__ == "__main__":
    main()
