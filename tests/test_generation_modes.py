"""Generation by trained steps: its voices, its pitch, its seeds, and what it refuses."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from speechjem.audio import Audio
from speechjem.energy.tdnn import NetworkConfig
from speechjem.errors import UsageError
from speechjem.generation import modes
from speechjem.generation.generator import Generator
from speechjem.generation.voice import Voice
from speechjem.models.speaking import told_size
from speechjem.models.speech import ModelConfig, SpeechModel

BINS, RATE = 80, 16000
CONFIG = ModelConfig(network=NetworkConfig(channels=16, hidden=16, dilations=(1, 2), told=told_size(BINS)))


@pytest.fixture(scope="module")
def model():
    """Untrained steps, but with means, harmonics, voices of which each has its pitch, and bigrams."""
    torch.manual_seed(0)
    model = SpeechModel(CONFIG).eval().requires_grad_(False)
    model.fbank.mean.fill_(-6.0)
    model.fbank.std.fill_(2.0)
    model.starts.mean[1:] = 0.3 * torch.randn(39, BINS)
    model.starts.mean[0] = -3.0
    model.speaking.measure(model.fbank)
    deviation = torch.randn(400, 1)
    tilt = deviation * torch.linspace(-0.5, 0.5, BINS)
    voices = torch.cat([tilt, 5.0 + 0.2 * deviation, 0.2 + 0 * deviation], 1)
    model.speaking.measure_voices(voices)
    model.speaking.measure_bigrams([torch.tensor([0, 0, 1, 1, 22, 0, 1])])
    return model


@pytest.fixture(scope="module")
def generator(model):
    return Generator(model, steps=1, step_size=0.0)


def told_pitch(generator, seed=0, count=1, phones="aa iy", **settings):
    """The comb in the start of the chains, which says what pitch they are to have, and the start."""
    seen = []
    generator(phones, 0.4, seed=seed, count=count, watch=lambda x, energy: seen.append(x))
    return seen


def test_models_that_speak_do_so_by_default_and_others_sample(model):
    plain = SpeechModel(ModelConfig(network=NetworkConfig(channels=16, hidden=16, dilations=(1, 2))))
    assert Generator(model).mode == "descent"
    assert Generator(model, mode="sgld").mode == "sgld"
    assert Generator(plain).mode == "sgld"
    with pytest.raises(UsageError, match="no trained steps of generation; choose the mode 'sgld'"):
        Generator(plain, mode="descent")


def test_a_chain_has_the_trained_steps_and_those_of_the_sampler(model):
    generator = Generator(model, steps=2)
    assert generator.steps == CONFIG.speak.steps + 2
    assert len(told_pitch(generator)) == 1 + generator.steps


def test_the_energy_that_is_watched_is_that_of_the_steps(model):
    """A small step along the gradient lowers it."""
    torch.manual_seed(0)
    steep = SpeechModel(CONFIG).requires_grad_(False)
    steep.load_state_dict(model.state_dict())
    torch.nn.init.normal_(steep.jem.network.told.weight, std=0.05)
    steep.speaking.log_size.fill_(np.log(0.05))
    energies = []
    Generator(steep, step_size=0.01, noise=0.0)(
        "s p iy ch", watch=lambda x, energy: energies.append(energy.item())
    )
    assert (np.diff(energies) < 0).all()


def test_seeds_draw_voices_and_the_same_seed_the_same(generator):
    a, b, c = (generator("aa iy", seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert a.shape != c.shape or not np.allclose(a, c, atol=0.01)
    first, second = generator("aa", 0.3, seed=1, count=2)
    assert not np.allclose(first, second, atol=0.01)


def test_a_given_pitch_is_the_mean_of_the_pitch(model):
    contours = torch.linspace(-1, 1, 101)[None]
    voices = modes.voices(model, 1, 0, 1.0, None, 120.0)
    pitch = modes.pitch_of(contours, voices, torch.ones(101, dtype=torch.bool))
    assert pitch.log().mean().exp().item() == pytest.approx(120.0, rel=1e-4)
    assert modes.pitch_of(contours, voices, torch.zeros(101, dtype=torch.bool)).count_nonzero() == 0


def test_frames_move_more_around_the_same_mean():
    """A formant that comes and goes, five ripples over the bins, and a slope that does."""
    ripple, slope = (np.cos(np.pi * k * (np.arange(BINS) + 0.5) / BINS) for k in (10, 2))
    comes = np.sin(np.linspace(0, 20 * np.pi, 400, endpoint=False))[:, None]
    before = (3.0 + comes * (ripple + slope)).astype(np.float32)
    after = modes.as_lively_as_speech(before)
    assert after.dtype == np.float32
    assert after.mean(0) == pytest.approx(before.mean(0), abs=1e-4)
    assert (after - 3.0) @ ripple == pytest.approx(1.3 * (before - 3.0) @ ripple, abs=1e-3)
    assert (after - 3.0) @ slope == pytest.approx(1.1 * (before - 3.0) @ slope, abs=1e-3)


def test_a_pitch_of_one_s_choice_falls(model):
    voiced = torch.arange(101) != 50
    pitch = modes.falling(120.0, voiced)
    assert pitch[voiced].mean().item() == pytest.approx(120.0, rel=1e-3)
    assert pitch[50] == 0
    assert (pitch[voiced].diff() < 0).all()


@pytest.mark.parametrize("mode", modes.MODES)
def test_the_pitch_that_is_asked_for_is_heard(model, mode):
    waveform = Generator(model, mode=mode, pitch=120.0, temperature=0.0, step_size=0.0)("aa", 1.0)[0]
    found = librosa.yin(waveform, fmin=60, fmax=400, sr=RATE)
    assert np.median(found) == pytest.approx(120.0, rel=0.05)


def test_a_given_pitch_gets_the_vocal_tract_that_goes_with_it(model):
    """Here the tilt of a voice is 2.5 times its distance from the mean logarithm of the pitch."""
    for pitch in (120.0, 190.0):
        voices = modes.voices(model, 8, 3, 1.0, None, pitch)
        expected = (np.log(pitch) - model.speaking.voice[-2].item()) / 0.2
        tilt = (voices[:, BINS - 1] - voices[:, 0]).mean().item()
        assert tilt == pytest.approx(expected, abs=0.3)


def test_a_voice_to_sound_like_brings_its_offset_pitch_and_liveliness(model):
    like = Voice(-20.0, torch.arange(BINS) / 40.0, 150.0, 0.3)
    voices = modes.voices(model, 2, 0, 1.0, like, like.pitch)
    assert torch.allclose(voices[0], torch.cat([like.offset, torch.tensor([np.log(150.0), 0.3]).float()]))
    assert torch.equal(voices[0], voices[1])
    whispered = modes.voices(model, 1, 0, 1.0, Voice(-20.0, like.offset, None), None)[0]
    assert torch.allclose(whispered[-2:], model.speaking.voice[-2:])


def test_at_no_temperature_all_voices_are_the_mean_one(model):
    voices = modes.voices(model, 2, 5, 0.0, None, None)
    assert torch.allclose(voices, model.speaking.voice.expand(2, -1))


def test_what_is_asked_for_lasts_as_long_as_asked_for(generator):
    assert generator("aa", 0.1).shape == (1, 1600)
    assert generator("sil aa sil", [0.2, 0.3, 0.2], count=2).shape == (2, 11200)
    assert generator.anything(1.7, seed=4).shape == (1, 27200)


def test_speech_without_text_has_phones_that_follow_each_other(generator):
    sounds = generator._any_sounds(2.0, 0)
    pairs = {(a.phone, b.phone) for a, b in zip(sounds, sounds[1:], strict=False)}
    assert pairs <= {("SIL", "AA"), ("AA", "M"), ("M", "SIL")}
    assert {s.accented for s in sounds if s.phone == "AA"} == {True, False}
    assert not any(s.accented for s in sounds if s.phone == "M")


def test_the_level_is_that_of_the_voice(model):
    rng = np.random.default_rng(0)
    quiet = Generator(
        model, like=Audio((0.003 * rng.standard_normal(RATE)).astype(np.float32), RATE, "WAV", "PCM_16")
    )
    level = 20 * np.log10(np.sqrt(np.mean(quiet("aa", 0.5) ** 2)))
    assert level == pytest.approx(20 * np.log10(0.003), abs=0.2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "prior"}, "no mode 'prior'; choose descent or sgld"),
        ({"guidance": 2.0}, "belongs to the mode 'sgld'"),
        ({"pitch": 20.0}, "No voice has a pitch"),
        ({"temperature": -1.0}, "must be a number of at least 0"),
        ({"steps": 0}, "At least 1 step"),
    ],
)
def test_wrong_settings_are_refused(model, settings, message):
    with pytest.raises(UsageError, match=message):
        Generator(model, **settings)
