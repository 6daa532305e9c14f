"""Gaps and conversions: what must not change stays; what does is judged by STOI, levels and spectra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from pystoi import stoi
from support import DEVICES

from speechjem import classify, load_model
from speechjem.classification import Classifier
from speechjem.errors import InputError, UsageError
from speechjem.generation.editing import Editor

RATE = 16000
CLEAN = soundfile.read(Path(__file__).parents[1] / "samples" / "clean.flac", dtype="float32")[0][: 4 * RATE]
GAPS = [(t, t + 0.05) for t in np.arange(0.5, 3.5, 0.3)]


@pytest.fixture(scope="module")
def editor():
    return Editor()


def edges(gap, rate=RATE):
    return slice(round(gap[0] * rate), round(gap[1] * rate))


@pytest.mark.parametrize("device", DEVICES)
def test_the_editor_works_on_a_device_and_leaves_the_model_where_it_was(device):
    model = load_model()
    editor = Editor(model, steps=1, device=device)
    filled = editor.inpaint(CLEAN, RATE, *GAPS[2])
    converted = editor.convert(CLEAN, RATE, "s", "sh")
    assert np.isfinite(filled).all()
    assert (converted != CLEAN).any()
    assert model.fbank.mean.device.type == "cpu"


def test_gaps_are_filled_better_than_with_silence_or_noise_of_the_level_around(editor):
    rng = np.random.default_rng(0)
    silent, noisy, filled = CLEAN.copy(), CLEAN.copy(), CLEAN.copy()
    for gap in GAPS:
        inside = edges(gap)
        around = np.concatenate([CLEAN[inside.start - 400 : inside.start], CLEAN[inside.stop :][:400]])
        silent[inside] = 0.0
        noisy[inside] = around.std() * rng.standard_normal(inside.stop - inside.start)
        filled = editor.inpaint(filled, RATE, *gap)
    assert stoi(CLEAN, filled, RATE) > stoi(CLEAN, silent, RATE) + 0.01
    assert stoi(CLEAN, filled, RATE) > stoi(CLEAN, noisy, RATE) + 0.03
    levels = [10 * np.log10(np.mean(filled[edges(g)] ** 2) / np.mean(CLEAN[edges(g)] ** 2)) for g in GAPS]
    assert abs(np.median(levels)) < 6


def test_steps_in_a_gap_go_down_the_energy():
    """What one step fills has more energy than what ten do."""
    classifier = Classifier()
    energies = []
    for steps in (1, 10):
        filled = CLEAN.copy()
        for gap in GAPS[:4]:
            filled = Editor(classifier.model, steps=steps).inpaint(filled, RATE, *gap)
        energy = classifier.frames(filled, RATE).energy
        energies.append(np.mean([energy[round(100 * a) : round(100 * b) + 1].mean() for a, b in GAPS[:4]]))
    assert energies[1] < energies[0] - 0.1


def test_what_was_in_the_gap_is_not_looked_at_and_all_else_stays(editor):
    other = CLEAN.copy()
    other[edges(GAPS[2])] = 0.3
    filled = editor.inpaint(CLEAN, RATE, *GAPS[2])
    assert (filled == editor.inpaint(other, RATE, *GAPS[2])).all()
    outside = np.ones(len(CLEAN), bool)
    outside[edges(GAPS[2])] = False
    assert (filled[outside] == CLEAN[outside]).all()


@pytest.mark.parametrize("gap", [(0.0, 0.1), (3.9, 4.0), (1.0, 1.5)])
def test_gaps_at_the_ends_and_long_ones(editor, gap):
    filled = editor.inpaint(CLEAN, RATE, *gap)
    assert filled.shape == CLEAN.shape
    assert np.isfinite(filled).all()
    assert np.abs(filled).max() <= 2 * np.abs(CLEAN).max()


@pytest.mark.parametrize("start", [2.3, 2.35])
def test_a_recording_goes_on_beyond_its_end(editor, start):
    cut = CLEAN[: round(2.35 * RATE)]
    longer = editor.inpaint(cut, RATE, start, 2.55)
    assert longer.shape == (round(2.55 * RATE),)
    assert (longer[: round(start * RATE)] == cut[: round(start * RATE)]).all()
    before, after = (np.mean(longer[edges(e)] ** 2) for e in ((start - 0.05, start), (start, start + 0.05)))
    assert abs(10 * np.log10(after / before)) < 10
    # It is the sound before that goes on: silence does not.
    quiet = editor.inpaint(0 * cut, RATE, start, 2.55)
    assert np.mean(quiet[edges((start, 2.55))] ** 2) < 1e-3 * after


def test_stereo_at_another_rate(editor):
    stereo = np.random.default_rng(0).standard_normal((2, 44100)).astype(np.float32) * 0.05
    filled = editor.inpaint(stereo, 44100, 0.4, 0.5)
    assert filled.shape == stereo.shape
    assert (filled[:, : 44100 * 4 // 10 - 1] == stereo[:, : 44100 * 4 // 10 - 1]).all()
    assert 0.005 < filled[:, edges((0.4, 0.5), 44100)].std() < 0.1


def test_a_converted_fricative_is_duller_and_the_rest_stays(editor):
    heard = [s for s in classify(CLEAN, RATE) if s.phone == "S" and s.duration > 0.05]
    assert heard
    converted = editor.convert(CLEAN, RATE, "s", "sh")
    spans = [edges((s.start + 0.02, s.start + s.duration - 0.02)) for s in heard]
    assert all(centroid(converted[span]) < centroid(CLEAN[span]) - 300 for span in spans)
    again = [s for s in classify(converted, RATE) if s.phone == "SH"]
    assert len(again) > len([s for s in classify(CLEAN, RATE) if s.phone == "SH"])
    far = np.ones(len(CLEAN), bool)
    for s in classify(CLEAN, RATE):
        if s.phone == "S":
            far[edges((max(0, s.start - 0.1), s.start + s.duration + 0.1))] = False
    # Resampling and the STFT's inverse leave the rest to rounding.
    np.testing.assert_allclose(converted[far], CLEAN[far], atol=1e-5)


def centroid(samples):
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
    power[frequency < 1000] = 0
    return frequency @ power / power.sum()


@pytest.mark.parametrize(
    ("gap", "message"),
    [
        ((1.35, 1.2), "start before it ends"),
        ((1.0, 1.0), "start before it ends"),
        ((-1.0, 0.5), "and inside"),
        ((4.1, 4.5), "and inside"),
        ((float("nan"), 1.0), "no gap"),
        ((1.0, 2.5), "too long"),
    ],
)
def test_impossible_gaps_are_refused(editor, gap, message):
    with pytest.raises(UsageError, match=message):
        editor.inpaint(CLEAN, RATE, *gap)


def test_a_gap_that_leaves_nothing_is_refused(editor):
    with pytest.raises(InputError, match="Nothing is left"):
        editor.inpaint(CLEAN[:8000], RATE, 0.0, 0.5)


def test_phones_that_are_unknown_or_not_heard_are_refused(editor):
    with pytest.raises(UsageError, match="There is no phone"):
        editor.convert(CLEAN, RATE, "xx", "s")
    with pytest.raises(InputError, match="No ZH is heard"):
        editor.convert(CLEAN[:4000], RATE, "zh", "s")
