"""Speak a small corpus by eSpeak NG, whose phones have times.

pip install espeakng-loader
python local/prepare.py OUT

OUT becomes a data directory with ali.ctm: the sentences below (Harvard sentences, IEEE 1969, lists 1 and 2)
by eight voices.
"""

import ctypes
import sys
from pathlib import Path

import espeakng_loader
import numpy as np
import soundfile

from speechjem import audio, phones

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
SENTENCES = """The birch canoe slid on the smooth planks.
Glue the sheet to the dark blue background.
It's easy to tell the depth of a well.
These days a chicken leg is a rare dish.
Rice is often served in round bowls.
The juice of lemons makes fine punch.
The box was thrown beside the parked truck.
The hogs were fed chopped corn and garbage.
Four hours of steady work faced us.
A large size in stockings is hard to sell.
The boy was there when the sun rose.
A rod is used to catch pink salmon.
The source of the huge river is the clear spring.
Kick the ball straight and follow through.
Help the woman get back to her feet.
A pot of tea helps to pass the evening.
Smoky fires lack flame and heat.
The soft cushion broke the man's fall.
The salt breeze came across from the sea.
The girl at the booth sold fifty bonds.""".splitlines()
# Name, variant of the voice, speed in words a minute, pitch (50 is the voice's own).
VOICES = (
    ("amy", "f1", 160, 55), ("bob", "m1", 170, 45), ("cat", "f2", 180, 50), ("dot", "f3", 165, 60),
    ("eve", "f4", 150, 45), ("gus", "m3", 175, 40), ("hal", "m4", 160, 50), ("ian", "m7", 185, 60),
)  # fmt: skip

# What eSpeak's English has beside the phones that `phones.normalise` reads; some are two of ours.
IPA = {
    "ə": "AH", "ɐ": "AH", "ʌ": "AH", "ɚ": "ER", "ɜː": "ER", "ɑː": "AA", "ɔː": "AO", "ɔ": "AO", "oː": "AO",
    "iː": "IY", "i": "IY", "uː": "UW", "ᵻ": "IH", "ɾ": "D", "ʔ": "T", "aa": "AE", "a": "AE", "ɛ": "EH",
    "əl": "AH L", "n̩": "AH N", "ɛɹ": "EH R", "ɑːɹ": "AA R", "ɔːɹ": "AO R", "oːɹ": "AO R", "ɪɹ": "IH R",
    "ʊɹ": "UH R", "aɪɚ": "AY ER", "": "SIL",
}  # fmt: skip


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _Id),
    ]  # fmt: skip


SYNCHRONOUS, PHONEME_EVENTS_IN_IPA, PHONEME, UTF8 = 2, 3, 7, 1
RATE_PARAMETER, PITCH_PARAMETER = 1, 3
Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Synthesiser:
    """eSpeak NG's library."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        folder = str(espeakng_loader.get_data_path()).encode()
        self.rate = self.library.espeak_Initialize(SYNCHRONOUS, 0, folder, PHONEME_EVENTS_IN_IPA)

    def __call__(self, text: str, voice: str, speed: int, pitch: int) -> tuple[np.ndarray, list]:
        """Samples at `self.rate`, and (seconds, IPA) of every phone's start."""
        pieces, events = [], []

        @Callback
        def receive(samples, count, event):
            if samples and count > 0:
                pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
            place = 0
            while event[place].type != 0:
                if event[place].type == PHONEME:
                    name = event[place].id.string.decode("utf-8", "ignore")
                    events.append((event[place].sample / self.rate, name))
                place += 1
            return 0

        self.library.espeak_SetSynthCallback(receive)
        self.library.espeak_SetVoiceByName(voice.encode())
        self.library.espeak_SetParameter(RATE_PARAMETER, speed, 0)
        self.library.espeak_SetParameter(PITCH_PARAMETER, pitch, 0)
        encoded = text.encode() + b"\0"
        self.library.espeak_Synth(encoded, len(encoded), 0, 1, 0, UTF8, None, None)
        return np.concatenate(pieces).astype(np.float32) / 32768, events


def aligned(events: list, seconds: float) -> list[tuple[float, float, str]]:
    """Start, duration and name of every phone; a sound of two phones is cut in half."""
    found = [(0.0, events[0][0], phones.SILENCE)]
    ends = [start for start, _ in events[1:]] + [seconds]
    for (start, ipa), end in zip(events, ends, strict=True):
        ipa = ipa.strip("ˈˌ")
        names = (IPA[ipa] if ipa in IPA else phones.normalise(ipa)).split()
        edges = np.linspace(start, end, len(names) + 1)
        found += [(a, b - a, name) for a, b, name in zip(edges, edges[1:], names, strict=False)]
    return [(start, duration, name) for start, duration, name in found if duration > 0]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out

    (out / "audio").mkdir(parents=True, exist_ok=True)
    speak = Synthesiser()
    tables: dict[str, list[str]] = {name: [] for name in ("wav.scp", "utt2spk", "text", "ali.ctm")}
    for speaker, variant, speed, pitch in VOICES:
        for number, sentence in enumerate(SENTENCES):
            name = f"{speaker}-{number:02d}"
            spoken, events = speak(sentence, f"en-us+{variant}", speed, pitch)
            samples = audio.resample(spoken, speak.rate, RATE)
            soundfile.write(out / "audio" / f"{name}.wav", samples, RATE)
            tables["wav.scp"].append(f"{name} audio/{name}.wav")
            tables["utt2spk"].append(f"{name} {speaker}")
            tables["text"].append(f"{name} {sentence.strip('.').upper()}")
            tables["ali.ctm"] += [
                f"{name} 1 {start:.3f} {duration:.3f} {phone}"
                for start, duration, phone in aligned(events, len(samples) / RATE)
            ]
    for name, lines in tables.items():
        (out / name).write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
