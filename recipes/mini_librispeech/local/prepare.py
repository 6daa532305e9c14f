"""Make a data directory of a LibriSpeech folder, or of another data directory, with absolute paths.

python local/prepare.py SOURCE OUT

SOURCE has either wav.scp, utt2spk, text and perhaps ali.ctm, or LibriSpeech's READER/CHAPTER/*.flac and
*.trans.txt.
"""

import argparse
import shutil
from pathlib import Path

from speechjem.data.kaldi import lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()

    source, out = arguments.source.resolve(), arguments.out
    out.mkdir(parents=True, exist_ok=True)
    if (source / "wav.scp").exists():
        recordings = {fields[0]: source / " ".join(fields[1:]) for _, fields in lines(source / "wav.scp")}
        for name in ("utt2spk", "text", "ali.ctm", "segments"):
            if (source / name).exists():
                shutil.copy(source / name, out / name)
    else:
        recordings = {path.stem: path for path in source.rglob("*.flac")}
        transcripts = [path.read_text() for path in source.rglob("*.trans.txt")]
        rows = sorted(line for text in transcripts for line in text.splitlines())
        (out / "text").write_text("".join(f"{row}\n" for row in rows))
        speakers = (f"{name} {name.split('-')[0]}\n" for name in sorted(recordings))
        (out / "utt2spk").write_text("".join(speakers))
    if not recordings:
        parser.error(f"{source} has neither a wav.scp nor LibriSpeech's .flac files.")
    (out / "wav.scp").write_text("".join(f"{name} {recordings[name]}\n" for name in sorted(recordings)))


if __name__ == "__main__":
    main()
