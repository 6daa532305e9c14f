"""Align the phones of a data directory's transcripts with its recordings, by pocketsphinx.

pip install '.[text]'
python recipes/steps/align.py DATA [--nj 2]

Writes DATA/ali.ctm. Words that the CMU dictionary lacks are spelt by the rules of
`speechjem.generation.text`. Inner boundaries are moved 20 ms later, for pocketsphinx's are that much early
beside those of the Montreal Forced Aligner.
An utterance that cannot be aligned is named on stderr and stays without an alignment.
"""

import multiprocessing
import sys
from functools import partial
from pathlib import Path

import common
import numpy as np
from pocketsphinx import Decoder

from speechjem.data.kaldi import Utterance, read_directory
from speechjem.data.tables import lines
from speechjem.generation.text import spell
from speechjem.runtime.atomic import replace_file

RATE = 16000
LATER = 2  # frames of 10 ms
Phones = list[tuple[str, int, int]]  # name, first frame, number of frames


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--nj", type=int, default=1, help="processes")
    arguments = parser.parse_args()

    texts = {fields[0]: " ".join(fields[1:]).lower() for _, fields in lines(arguments.data / "text")}
    utterances = read_directory(arguments.data)
    with multiprocessing.Pool(arguments.nj) as pool:
        rows = []
        for utterance, phones in zip(
            utterances, pool.imap(partial(align, texts=texts), utterances, chunksize=8), strict=True
        ):
            if not phones:
                print(f"{utterance.name} cannot be aligned with its text.", file=sys.stderr)
            rows += [
                f"{utterance.name} 1 {first / 100:.2f} {count / 100:.2f} {name}\n"
                for name, first, count in moved(phones)
            ]
    text = "".join(rows)
    replace_file(arguments.data / "ali.ctm", lambda partial: partial.write_text(text))


def align(utterance: Utterance, texts: dict[str, str]) -> Phones:
    """Phones of an utterance; none if its text does not fit."""
    recording = utterance.read()
    samples = common.mono(recording, RATE)
    raw = np.round(samples.clip(-1, 1) * 32767).astype("<i2").tobytes()
    # Wide beams: a right text shall never be lost.
    decoder = Decoder(samprate=RATE, loglevel="FATAL", bestpath=False, beam=1e-80, wbeam=1e-60, pbeam=1e-80)
    text = texts[utterance.name]
    for word in set(text.split()):
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, " ".join(spell("".join(c for c in word if "a" <= c <= "z"))), False)
    decoder.set_align_text(text)
    heard(decoder, raw)
    if decoder.hyp() is None:
        return []
    decoder.set_alignment()  # the second pass finds the phones of the words
    heard(decoder, raw)
    return [
        ("SIL" if phone.name.startswith("+") else phone.name, phone.start, phone.duration)
        for word in decoder.get_alignment()
        for phone in word
    ]


def heard(decoder: Decoder, raw: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(raw, full_utt=True)
    decoder.end_utt()


def moved(phones: Phones) -> Phones:
    """Phones with inner boundaries later, those that would vanish left at one frame."""
    edges = [first for _, first, _ in phones[1:]]
    end = phones[-1][1] + phones[-1][2] if phones else 0
    edges = [0, *(min(edge + LATER, end - (len(edges) - place)) for place, edge in enumerate(edges)), end]
    return [(name, a, b - a) for (name, _, _), a, b in zip(phones, edges, edges[1:], strict=False) if b > a]


if __name__ == "__main__":
    main()
