"""Model folders: what comes back, what a failure leaves, and what is refused with which sentence."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import resource

import pytest
import torch
from support import MODEL, Trap, change_config, changed_weights, make_model, refusal

from speechjem.errors import ModelError
from speechjem.models import checkpoint
from speechjem.models.speech import SpeechModel


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(make_model(), tmp_path / "model")
    return tmp_path / "model"


def outputs(model: SpeechModel) -> list[torch.Tensor]:
    waveform = torch.randn(1, 4000, generator=torch.Generator().manual_seed(1))
    x = model.fbank(waveform)
    steps = [state for state, _ in model.descent.steps(model.jem, x, 2)]
    return [x, model.jem.logits(x), *steps, model.gain(steps[-1], x)]


# What comes back


def test_a_loaded_model_gives_the_same_outputs(folder):
    for before, after in zip(outputs(make_model()), outputs(checkpoint.load(folder)), strict=True):
        assert torch.equal(before, after)


def test_a_loaded_model_has_the_same_configuration(folder):
    assert checkpoint.load(folder).config == MODEL


def test_a_loaded_model_is_ready_for_use(folder):
    model = checkpoint.load(folder)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_folder_is_found_from_any_working_directory(folder, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert checkpoint.load(folder).config == MODEL
    assert checkpoint.load("../model").config == MODEL


def test_the_shipped_model_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    before = checkpoint.shipped_folder()
    monkeypatch.chdir(tmp_path)
    assert checkpoint.shipped_folder() == before
    assert before.is_absolute()
    assert before.is_dir()


def test_the_folder_can_be_moved(folder, tmp_path):
    folder.rename(tmp_path / "moved here")
    assert checkpoint.load(tmp_path / "moved here").config == MODEL


def test_saving_makes_folders_and_only_two_files(tmp_path):
    checkpoint.save(make_model(), tmp_path / "a" / "b")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_saving_again_replaces_the_model(folder):
    checkpoint.save(make_model(1), folder)
    assert torch.equal(outputs(checkpoint.load(folder))[1], outputs(make_model(1))[1])


# What a failure leaves


def test_a_write_that_fails_half_way_leaves_the_old_model(folder):
    before = (folder / "model.safetensors").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))  # as a full disk
    try:
        with pytest.raises(Exception, match="(?i)file too large"):
            checkpoint.save(make_model(1), folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (folder / "model.safetensors").read_bytes() == before
    assert len(list(folder.iterdir())) == 2


def test_who_is_reading_the_old_model_goes_on_with_it(folder):
    before = (folder / "model.safetensors").read_bytes()
    with (folder / "model.safetensors").open("rb") as reader:
        start = reader.read(100)
        checkpoint.save(make_model(1), folder)
        assert start + reader.read() == before


def test_the_checksum_of_the_weights_is_stated_and_compared(folder):
    weights = (folder / "model.safetensors").read_bytes()
    sha256 = hashlib.sha256(weights).hexdigest()
    assert json.loads((folder / "config.json").read_text())["sha256"] == sha256
    assert checkpoint.check_sha256(folder) == (sha256, "config.json")
    (folder / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(ModelError, match=f"config.json states {sha256}"):
        checkpoint.check_sha256(folder)


# What is refused


def test_a_missing_folder_is_refused(tmp_path):
    assert str(tmp_path / "none") in refusal(tmp_path / "none")


def test_a_folder_without_configuration_is_refused(folder):
    (folder / "config.json").unlink()
    assert "no config.json" in refusal(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"phones: [AA]", b"\xff\xfe{}"])
def test_a_configuration_that_is_not_json_is_refused(folder, content):
    (folder / "config.json").write_bytes(content)
    assert "not valid JSON" in refusal(folder)


@pytest.mark.parametrize("content", ["{}", '{"format": "another-model-2"}', "[]", "null", '"text"'])
def test_a_foreign_format_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    assert checkpoint.FORMAT in refusal(folder)


@pytest.mark.parametrize("keys", [("surprise",), ("network", "surprise"), ("generate", "surprise")])
def test_an_unknown_key_is_refused_by_name(folder, keys):
    change_config(folder, *keys, value=1)
    assert "'surprise'" in refusal(folder)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("network", "channels"), "16"),
        (("network", "channels"), 16.5),
        (("network", "channels"), True),
        (("network", "channels"), None),
        (("network", "dilations"), 1),
        (("network", "dilations"), ["1"]),
        (("fbank", "floor"), "small"),
        (("fbank", "floor"), False),
        (("phones",), "AA"),
        (("phones",), {"AA": 1}),
        (("denoise_mode",), 1),
        (("network",), [1, 2]),
        (("generate",), None),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(folder, keys, value):
    change_config(folder, *keys, value=value)
    assert repr(keys[-1]) in refusal(folder)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("network", "channels"), -1),
        (("network", "channels"), 10**12),
        (("network", "classes"), 39),
        (("network", "bins"), 40),
        (("phones",), ["AA"]),
        (("descent", "steps"), 0),
        (("network", "dilations"), [1, -1]),
        (("network", "dilations"), [1, 10**6]),
        (("fbank", "window"), 10**10),
        (("fbank", "hop"), 0),
        (("fbank", "hop"), 300),
        (("fbank", "sample_rate"), 1),
        (("fbank", "high"), 9000),
        (("fbank", "floor"), 0),
        (("fbank", "level"), float("nan")),
        (("generate", "steps"), 10**9),
        (("denoise_mode",), "magic"),
    ],
)
def test_impossible_sizes_are_refused(folder, keys, value):
    change_config(folder, *keys, value=value)
    assert "config.json" in refusal(folder)


def test_a_whole_number_is_good_where_a_fraction_is_expected(folder):
    change_config(folder, "fbank", "level", value=-20)
    assert checkpoint.load(folder).config.fbank.level == -20.0


def test_missing_weights_are_refused(folder):
    (folder / "model.safetensors").unlink()
    assert "model.safetensors" in refusal(folder)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[:100], lambda b: b[:-4], lambda b: b"\0" * len(b)]
)
def test_damaged_weights_are_refused(folder, damage):
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert "model.safetensors" in refusal(folder)


def test_weights_of_another_shape_are_refused(folder, tmp_path):
    network = dataclasses.replace(MODEL.network, channels=8)
    checkpoint.save(SpeechModel(dataclasses.replace(MODEL, network=network)), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")
    assert "size mismatch" in refusal(folder)


def test_an_absent_weight_is_refused_by_name(folder):
    changed_weights(folder, lambda weights: weights.pop("descent.log_size"))
    assert "descent.log_size" in refusal(folder)


def test_an_additional_weight_is_refused_by_name(folder):
    changed_weights(folder, lambda weights: weights.update(surprise=torch.zeros(1)))
    assert "surprise" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["jem.network.output.bias", "fbank.std"])
def test_weights_that_are_not_finite_are_refused(folder, name, value):
    changed_weights(folder, lambda weights: weights[name].__setitem__(3, value))
    assert "not finite" in refusal(folder)


# Nothing is unpickled


@pytest.mark.parametrize("write", [lambda trap, path: path.write_bytes(pickle.dumps(trap)), torch.save])
def test_a_pickle_in_place_of_weights_is_never_unpickled(folder, tmp_path, write):
    trap = Trap(tmp_path / "sprung")
    write(trap, folder / "model.safetensors")
    refusal(folder)
    assert not trap.path.exists()


def test_the_trap_would_spring(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").is_dir()


def test_a_model_that_is_given_stays_where_it_is():
    model = make_model()
    assert checkpoint.given(model) is model
    assert checkpoint.given(model, "cpu") is model
    moved = checkpoint.given(model, "meta")  # stands for another device
    assert {tensor.device.type for tensor in moved.state_dict().values()} == {"meta"}
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
