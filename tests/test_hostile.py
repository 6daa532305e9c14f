"""Models, data and names made to do harm: what they ask for is refused, and nothing outside is touched."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support import change_config, changed_weights, make_model, refusal

from speechjem import audio
from speechjem.data import kaldi, validation
from speechjem.energy.langevin import LangevinConfig, with_given
from speechjem.errors import InputError, UsageError
from speechjem.models import checkpoint
from speechjem.training.settings import read_config

RATE = 16000


@pytest.fixture
def folder(tmp_path) -> Path:
    """A sound model."""
    checkpoint.save(make_model(), tmp_path / "model")
    return tmp_path / "model"


def peak() -> int:
    """The most memory that this process ever took, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def speechjem(*words: object, **options: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "speechjem", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", **options)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


# Models


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("network", "channels"), 10**12),
        (("network", "channels"), 16000),  # 6 GB of weights, were they there
        (("network", "hidden"), 16000),
        (("network", "dilations"), [1] * 100),
        (("network", "dilations"), [1] * 100_000),
        (("network", "dilations"), [10**12]),
        (("network", "fine"), 10**9),
        (("fbank", "window"), 10**9),
        (("fbank", "sample_rate"), 10**400),
        (("fbank", "hop"), 0),
        (("descent", "steps"), 10**9),
        (("generate", "steps"), 10**12),
        (("generate", "step_size"), float("nan")),
        (("temperature",), float("inf")),
        (("guidance",), 10**400),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_configuration_that_asks_for_too_much_is_refused_without_memory(folder, keys, value):
    change_config(folder, *keys, value=value)
    before = peak()
    refusal(folder)
    assert peak() - before < 50e6


def test_a_deeply_nested_configuration_is_refused(folder):
    (folder / "config.json").write_text("[" * 100_000)
    assert "not valid JSON" in refusal(folder)


def header(fields: dict[str, object], data: bytes = b"") -> bytes:
    text = json.dumps(fields).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**27) + b"{}",
        header({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}),
        header({"a": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 0]}}),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, bytes(4)),
        header({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    ],
)
def test_weights_whose_header_lies_are_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    before = peak()
    assert "does not hold the weights" in refusal(folder)
    assert peak() - before < 50e6


def test_bytes_after_the_weights_are_refused(folder):
    with (folder / "model.safetensors").open("ab") as file:
        file.write(bytes(100))
    assert "does not hold the weights" in refusal(folder)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_weights_that_are_no_real_numbers_are_refused(folder, dtype):
    changed_weights(folder, lambda weights: weights.update({k: v.to(dtype) for k, v in weights.items()}))
    assert "model.safetensors" in refusal(folder)


def test_weights_of_half_precision_are_good(folder):
    changed_weights(folder, lambda weights: weights.update({k: v.half() for k, v in weights.items()}))
    assert {tensor.dtype for tensor in checkpoint.load(folder).state_dict().values()} == {torch.float32}


def test_a_loaded_model_does_not_need_its_file(folder):
    model = checkpoint.load(folder)
    os.truncate(folder / "model.safetensors", 10)  # memory mapped to it would be gone
    expected = make_model().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


def test_absurd_weights_leave_no_output(folder, tmp_path):
    changed_weights(folder, lambda weights: [weights[name].fill_(3e38) for name in weights])
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.1, 0.1, RATE), RATE)
    code, _, said = speechjem("denoise", tmp_path / "a.wav", "-o", tmp_path / "out.wav", "--model", folder)
    assert code == 1
    assert "NaN or infinite samples" in said
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav", "model"}


def test_more_steps_than_anyone_needs_are_refused():
    with pytest.raises(UsageError, match="'steps' must be from 1 to 100000"):
        with_given(LangevinConfig(), steps=10**9)


@pytest.mark.parametrize(
    "text",
    [
        "model: {network: {channels: 1000000000000}}",
        "energy: {slots: 1000000000000}",
        "batch: 1000000000000",
        "seconds: 1e12",
        "augment: {snr: [0, 5, 10]}",
        "learning_rate: 1" + "0" * 400,
        "updates: " + "1:" * 20_000 + "1",
        "a: " + "[" * 5000,
        "#" * (1 << 17),
        "!!python/object/apply:os.system [touch sprung]",
        "!!python/name:os.system",
    ],
    ids=lambda text: text[:30],
)
def test_a_training_that_asks_for_too_much_or_for_code_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("train.yaml").write_text(text)
    with pytest.raises(InputError, match="train.yaml"):
        read_config(Path("train.yaml"))
    assert os.listdir() == ["train.yaml"]


# Data directories


def data(folder: Path, **tables: str) -> Path:
    soundfile.write(folder / "a.wav", np.zeros(RATE), RATE)
    for name, text in ({"wav_scp": "u1 a.wav\n", "utt2spk": "u1 anna\n"} | tables).items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


@pytest.mark.parametrize("times", ["0 1e308", "1e307 1e308", "0.5 1e300"])
def test_a_segment_of_astronomic_length_ends_with_its_recording(tmp_path, times):
    (utterance,) = kaldi.read_directory(data(tmp_path, segments=f"u1 u1 {times}\n"))
    if times.startswith("1e307"):
        with pytest.raises(InputError, match="no samples for u1"):
            utterance.read()
    else:
        assert utterance.read().samples.shape[1] == RATE * (1 - float(times.split()[0]))


def test_a_recording_without_header_is_a_problem_with_file_and_line(tmp_path):
    data(tmp_path, wav_scp="u1 a.raw\n")
    (tmp_path / "a.raw").write_bytes(bytes(100))
    assert [p.split(" ", 1)[0] for p in validation.inspect(tmp_path).problems] == [f"{tmp_path}/wav.scp:1:"]


def test_a_table_that_never_ends_is_refused(tmp_path):
    data(tmp_path)
    (tmp_path / "utt2spk").unlink()
    (tmp_path / "utt2spk").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="utt2spk is a pipe or a device"):
        kaldi.read_directory(tmp_path)


def test_names_that_lead_elsewhere_are_names_and_no_paths(tmp_path):
    """No command writes a file that is called like an utterance; fixing keeps inside the directory."""
    (tmp_path / "data").mkdir()
    data(tmp_path / "data", wav_scp="../../x a.wav\n/etc/x a.wav\n", utt2spk="../../x ../../y\n/etc/x anna\n")
    assert validation.fix(tmp_path / "data").left_out == []
    assert [u.name for u in kaldi.read_directory(tmp_path / "data")] == ["../../x", "/etc/x"]
    assert os.listdir(tmp_path) == ["data"]


def test_a_pipe_in_disguise_is_refused(tmp_path):
    for line in ("u1 touch sprung |", "u1 touch sprung|", "u1 touch sprung |  ", "u1 touch sprung\t|"):
        with pytest.raises(InputError, match="is a pipe"):
            kaldi.read_directory(data(tmp_path, wav_scp=line + "\n"))
    (utterance,) = kaldi.read_directory(data(tmp_path, wav_scp="u1 | touch sprung; $(touch sprung)\n"))
    with pytest.raises(InputError, match="No such file"):
        utterance.read()
    assert not list(tmp_path.rglob("sprung"))


# Names and links


def test_links_are_read_but_never_written_through(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    soundfile.write(tmp_path / "speech.wav", np.zeros(RATE // 10), RATE)
    secret = tmp_path / "secret.wav"
    secret.write_text("precious")
    (tmp_path / "in" / "a.wav").symlink_to("../speech.wav")
    (tmp_path / "in" / "loop").symlink_to(".")
    (tmp_path / "in" / "dangling.wav").symlink_to("nowhere")
    (tmp_path / "out" / "a.wav").symlink_to(secret)
    found = audio.find([tmp_path / "in"])
    assert [str(source.relative) for source in found] == ["a.wav"]
    audio.write(tmp_path / "out" / "a.wav", audio.read(found[0].path).samples, RATE, force=True)
    assert secret.read_text() == "precious"
    assert not (tmp_path / "out" / "a.wav").is_symlink()


def test_a_name_that_a_terminal_would_obey_is_spelt_out(tmp_path):
    code, _, said = speechjem("denoise", tmp_path / "a\x1b[2J\nspeechjem: all done.wav")
    assert code == 1
    assert "\x1b" not in said and len(said.splitlines()) == 1
    assert r"a\x1b[2J\nspeechjem: all done.wav" in said


def test_a_name_that_is_not_utf_8_comes_out_as_it_went_in(tmp_path):
    name = os.fsdecode(b"h\xf6re.wav")
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE // 10), RATE)
    os.rename(tmp_path / "a.wav", tmp_path / name)
    code, printed, said = speechjem("classify", "--ctm", tmp_path, env=os.environ | {"PYTHONUTF8": "1"})
    assert (code, said) == (0, "")
    assert printed.split()[0] == os.fsdecode(b"h\xf6re")
