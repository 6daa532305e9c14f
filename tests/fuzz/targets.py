"""What is fuzzed: every reader of files that somebody else may have made.

A target writes bytes where a reader expects a file, and reads it the way the commands do. It may give a
result or raise a SpeechjemError; all else is a defect.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from speechjem import audio
from speechjem.data import kaldi, textgrid, validation
from speechjem.energy.descent import DescentConfig
from speechjem.energy.tdnn import NetworkConfig
from speechjem.errors import SpeechjemError
from speechjem.features.fbank import FbankConfig
from speechjem.models import checkpoint
from speechjem.models.speech import ModelConfig, SpeechModel
from speechjem.training import settings

RATE = 8000
MOST = 1 << 24  # samples that are decoded: a small FLAC may be hours of silence
TABLES = {
    "wav.scp": b"u1 a.wav\nu2 sub/b.wav\nu3 /nowhere/c.wav\nu4 d.raw\n",
    "utt2spk": b"u1 anna\nu2 bert\nu3 bert\nu4 bert\n",
    "segments": b"u1 u1 0.0 0.1\nu2 u1 0.05 0.2\nu3 u2 1e-3 1e308\n",
    "ali.ctm": b"u1 1 0.00 0.05 AA\nu1 1 0.05 0.1 s 0.9\nu2 1 0.0 1e308 SIL\n",
}
GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = "AA1"
        intervals [2]:
            xmin = 0.25
            xmax = 1
            text = ""
"""
SHORT_GRID = """File type = "ooTextFile short"
"TextGrid"

0
1
<exists>
1
"IntervalTier"
"phones"
0
1
1
0
1
"S"
"""
JSON_GRID = """{"start": 0, "end": 1, "tiers": {"phones": {"type": "IntervalTier",
"entries": [[0, 0.5, "AA"], [0.5, 1, "S"]]}}}"""
YAML = b"""model: {network: {channels: 16, hidden: 16, dilations: [1, 2]}, descent: {steps: 2}}
data: {labelled: data, held_out_speakers: ["19"]}
energy: {frames: 16, chunks: 4, objective: st-jem, langevin: {steps: 1, noise: 1e-2}}
augment: {snr: [-5, .5]}
updates: 100
learning_rate: 1e-3
start: ~
"""
MODEL = ModelConfig(
    fbank=FbankConfig(bins=10, window=64, hop=32),
    network=NetworkConfig(bins=10, channels=4, hidden=4, dilations=(1,)),
    descent=DescentConfig(steps=1),
)


@dataclass(frozen=True)
class Target:
    """A reader, and valid files to start from.

    Attributes:
        read: writes the bytes below an empty folder, and reads them.
        seeds: makes the valid files.
    """

    read: Callable[[bytes, Path], None]
    seeds: Callable[[], list[bytes]]


def run(target: Target, content: bytes, folder: Path) -> bool:
    """Whether the reader took the content; False if it refused it with a sentence."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            target.read(content, folder)
    except SpeechjemError as error:
        if not str(error).endswith("."):
            raise AssertionError(f"not a sentence: {error}") from error
        return False
    return True


# Audio


def _audio(suffix: str) -> Callable[[bytes, Path], None]:
    def read(content: bytes, folder: Path) -> None:
        path = folder / f"fuzzed{suffix}"
        path.write_bytes(content)
        count = 0
        for chunk in audio.open_file(path).chunks():
            assert np.isfinite(chunk).all()
            count += chunk.size
            if count > MOST:
                break

    return read


def _audio_seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    seeds = []
    for kind, subtype in (
        *(("WAV", s) for s in ("PCM_16", "FLOAT", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")),
        *((k, None) for k in ("FLAC", "OGG", "MP3", "AIFF", "AU", "W64", "RF64", "CAF", "NIST", "VOC")),
        ("OGG", "OPUS"), ("CAF", "ALAC_16"), *((k, None) for k in ("SVX", "PAF", "IRCAM", "MAT5", "WVE")),
    ):  # fmt: skip
        buffer = io.BytesIO()
        channels = 1 if kind in ("WVE", "SVX") or subtype == "GSM610" else 2
        soundfile.write(buffer, rng.uniform(-0.5, 0.5, (400, channels)), RATE, subtype, format=kind)
        seeds.append(buffer.getvalue())
    joined = [2 * seed for seed in seeds if seed.startswith((b"OggS", b"fLaC", b"\xff"))]
    return seeds + joined


# Data directories


@cache
def _recording() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(0).uniform(-0.5, 0.5, RATE // 4), RATE, format="WAV")
    return buffer.getvalue()


def _table(name: str) -> Callable[[bytes, Path], None]:
    def read(content: bytes, folder: Path) -> None:
        (folder / "sub").mkdir(exist_ok=True)
        for path in ("a.wav", "sub/b.wav", "d.raw"):
            (folder / path).write_bytes(_recording())
        for table, seed in TABLES.items():
            (folder / table).write_bytes(content if table == name else seed)
        if name not in ("segments", "ali.ctm"):
            (folder / "segments").unlink()
        with contextlib.suppress(SpeechjemError):
            validation.inspect(folder)
        for utterance in kaldi.read_directory(folder)[:8]:
            with contextlib.suppress(SpeechjemError):
                utterance.read()
        validation.fix(folder)

    return read


def _textgrid(content: bytes, folder: Path) -> None:
    (folder / "wav.scp").write_bytes(b"u1 a.wav\n")
    (folder / "utt2spk").write_bytes(b"u1 anna\n")
    (folder / "u1.TextGrid").write_bytes(content)
    soundfile.write(folder / "a.wav", np.zeros(16000), 16000)
    textgrid.import_alignment(folder, folder)
    kaldi.read_ctm(folder / "ali.ctm")  # what was written can be read


# Settings and models


def _yaml(content: bytes, folder: Path) -> None:
    (folder / "train.yaml").write_bytes(content)
    settings.read_config(folder / "train.yaml")


@cache
def _weights() -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in SpeechModel(MODEL).state_dict().items()})


def _config_text() -> bytes:
    return json.dumps({"format": checkpoint.FORMAT, **asdict(MODEL)}).encode()


def _config(content: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)
    (folder / "model.safetensors").write_bytes(_weights())
    checkpoint.load(folder)


def _safetensors(content: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(_config_text())
    (folder / "model.safetensors").write_bytes(content)
    checkpoint.load(folder)


TARGETS = {
    "audio": Target(_audio(".wav"), _audio_seeds),
    "raw": Target(_audio(".raw"), _audio_seeds),
    **{name: Target(_table(name), lambda seed=seed: [seed]) for name, seed in TABLES.items()},
    "TextGrid": Target(_textgrid, lambda: [g.encode() for g in (GRID, SHORT_GRID, JSON_GRID)]),
    "train.yaml": Target(_yaml, lambda: [YAML]),
    "config.json": Target(_config, lambda: [_config_text()]),
    "model.safetensors": Target(_safetensors, lambda: [_weights()]),
}


def regressions() -> Iterator[tuple[str, Path]]:
    """Inputs that once were defects: name of the target, and file."""
    for path in sorted((Path(__file__).parents[1] / "regressions").glob("*/*")):
        yield path.parent.name, path
