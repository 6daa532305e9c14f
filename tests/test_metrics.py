"""Measures against known answers, and the reasons where there is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechjem import audio, metrics
from speechjem.errors import InputError, UsageError
from speechjem.metrics import NoValue, Score

RATE = 16000


def speech(seconds: float = 3.0, rate: int = RATE, syllables: float = 2.3) -> np.ndarray:
    """Harmonics of a moving pitch in syllables, with a little breath."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * 120 * time + 4 * np.sin(2 * np.pi * 0.7 * time)
    voice = sum(np.sin(k * phase) / k for k in range(1, 25) if 150 * k < rate / 2)
    envelope = np.sqrt(np.clip(np.sin(2 * np.pi * syllables * time), 0, 1))
    return (0.1 * voice * envelope + 0.001 * noise(len(time))).astype(np.float32)


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count)


def noisy(clean: np.ndarray, snr: float) -> np.ndarray:
    """The signal with white noise at so many dB below it."""
    disturbance = noise(len(clean), seed=1)
    gain = np.linalg.norm(clean) / np.linalg.norm(disturbance) * 10 ** (-snr / 20)
    return (clean + gain * disturbance).astype(np.float32)


# SI-SDR


def orthogonal(snr: float) -> tuple[np.ndarray, np.ndarray]:
    """Whole periods of two sines, which are orthogonal, the second at -snr dB."""
    time = np.arange(RATE) / RATE
    signal, disturbance = np.sin(2 * np.pi * 100 * time), np.sin(2 * np.pi * 250 * time)
    return signal, signal + 10 ** (-snr / 20) * disturbance


@pytest.mark.parametrize("snr", [-20.0, 0.0, 7.5, 60.0])
def test_si_sdr_of_orthogonal_noise_is_its_snr(snr):
    assert metrics.si_sdr(*orthogonal(snr)) == pytest.approx(snr, abs=1e-6)


def test_si_sdr_ignores_scale_sign_and_offset():
    reference, estimate = orthogonal(10)
    for changed in (1e-3 * estimate, -5 * estimate, estimate + 0.7):
        assert metrics.si_sdr(reference, changed) == pytest.approx(10, abs=1e-6)
    assert metrics.si_sdr(reference - 3, estimate) == pytest.approx(10, abs=1e-6)


@pytest.mark.parametrize("gain", [1.0, 0.3, -2.0])
def test_si_sdr_of_a_scaled_copy_has_a_reason(gain):
    with pytest.raises(NoValue, match="^the signals are identical up to scale$"):
        metrics.si_sdr(speech(), np.float32(gain) * speech())


def test_si_sdr_of_the_unrelated_has_a_reason():
    impulses = np.eye(4)
    with pytest.raises(NoValue, match="^the estimate has nothing of the reference$"):
        metrics.si_sdr(impulses[0] - impulses[1], impulses[2] - impulses[3])


# PESQ, STOI, ESTOI


def test_identical_signals_have_the_best_score():
    clean, narrow = speech(), speech(rate=8000)
    assert metrics.pesq_wb(clean, clean, RATE) == pytest.approx(4.644, abs=1e-3)  # P.862.2's maximum
    assert metrics.pesq_nb(narrow, narrow, 8000) == pytest.approx(4.549, abs=1e-3)  # P.862.1's maximum
    assert metrics.stoi(clean, clean, RATE) == pytest.approx(1)
    assert metrics.estoi(clean, clean, RATE) == pytest.approx(1)


@pytest.mark.parametrize("measure", [metrics.pesq_wb, metrics.pesq_nb, metrics.stoi, metrics.estoi])
def test_more_noise_scores_less(measure):
    clean = speech()
    values = [measure(clean, noisy(clean, snr), RATE) for snr in (40, 25, 10, 0)]
    assert values == sorted(values, reverse=True) and values[0] - values[-1] > 0.2


@pytest.mark.parametrize("rate", [48000, 44100])
def test_pesq_wb_of_a_higher_rate_is_that_at_16_khz(rate):
    clean, worse = speech(), noisy(speech(), 20)
    expected = metrics.pesq_wb(clean, worse, RATE)
    raised = [audio.resample(signal, RATE, rate) for signal in (clean, worse)]
    assert metrics.pesq_wb(*raised, rate) == pytest.approx(expected, abs=0.05)


def test_pesq_of_long_signals_is_the_mean_of_pieces():
    """Beyond 50 utterances PESQ's reference code overruns its memory: here 90 in 45 s."""
    clean = speech(45, syllables=2)
    worse = noisy(clean, 15)
    pieces = [slice(start * RATE, (start + 15) * RATE) for start in (0, 15, 30)]
    expected = np.mean([metrics.pesq_wb(clean[piece], worse[piece], RATE) for piece in pieces])
    assert metrics.pesq_wb(clean, worse, RATE) == pytest.approx(expected, abs=1e-6)


def test_pesq_of_long_signals_passes_over_silence():
    clean = np.concatenate([speech(15), np.zeros(15 * RATE, np.float32)])
    worse = np.concatenate([noisy(speech(15), 15), np.zeros(15 * RATE, np.float32)])
    expected = metrics.pesq_wb(clean[: 15 * RATE], worse[: 15 * RATE], RATE)
    assert metrics.pesq_wb(clean, worse, RATE) == pytest.approx(expected, abs=1e-6)


def test_pesq_of_a_muted_piece_has_a_reason():
    clean = speech(30)
    muted = np.concatenate([clean[: 15 * RATE], np.zeros(15 * RATE, np.float32)])
    with pytest.raises(NoValue, match="^the estimate is silent where the reference is not$"):
        metrics.pesq_wb(clean, muted, RATE)


def test_shapes_must_agree():
    with pytest.raises(InputError, match="have shapes .* give two of the same"):
        metrics.si_sdr(np.ones((2, 10)), np.ones((2, 10)))
    with pytest.raises(InputError, match="have shapes .* give two of the same"):
        metrics.stoi(np.ones(10), np.ones(9), RATE)


# Score


def test_score_has_either_a_value_or_a_reason():
    for wrong in ({}, {"value": 1.0, "reason": "both"}):
        with pytest.raises(ValueError, match="either a value or a reason"):
            Score(**wrong)


def test_score_at_16_khz():
    scores = metrics.score(speech(), noisy(speech(), 20), RATE)
    assert list(scores) == ["pesq_wb", "stoi", "estoi", "si_sdr"]
    assert all(type(entry.value) is float and entry.reason is None for entry in scores.values())
    assert scores["si_sdr"].value == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("rate", [8000, 11025])
def test_score_below_16_khz_is_narrow_band(rate):
    clean = speech(rate=rate)
    scores = metrics.score(clean, noisy(clean, 20), rate)
    assert list(scores) == ["pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr"]
    assert scores["pesq_wb"] == Score(reason="needs 16 kHz audio")
    assert 1 < scores["pesq_nb"].value < 4.5


def test_score_below_8_khz_has_no_pesq():
    clean = speech(rate=4000)
    scores = metrics.score(clean, noisy(clean, 20), 4000)
    assert scores["pesq_nb"] == Score(reason="needs 8 kHz audio")


CLEAN, SILENCE, CLICK = speech(1.0), np.zeros(RATE, np.float32), np.zeros(RATE, np.float32)
CLICK[8000] = 1
BREATH = CLEAN[-5000:]  # enough for PESQ's buffer, too little for an utterance
EVERY = ("pesq_wb", "stoi", "estoi", "si_sdr")
LITTLE = {"stoi": "needs at least 0.4 s of speech", "estoi": "needs at least 0.4 s of speech"}


@pytest.mark.parametrize(
    ("reference", "estimate", "reasons"),
    [
        (SILENCE, CLEAN, dict.fromkeys(EVERY, "the reference is silent")),
        (CLEAN, SILENCE, dict.fromkeys(EVERY, "the estimate is silent")),
        (CLEAN, SILENCE + 0.3, dict.fromkeys(EVERY, "the estimate is silent")),
        (CLEAN[:0], CLEAN[:0], dict.fromkeys(EVERY, "the reference is silent")),
        (CLEAN[:1], CLEAN[:1], dict.fromkeys(EVERY, "the reference is silent")),
        (CLEAN, SILENCE * np.nan, dict.fromkeys(EVERY, "the estimate has NaN or infinite samples")),
        (CLEAN[:3000], noisy(CLEAN[:3000], 10), {"pesq_wb": "PESQ needs at least 0.25 s", **LITTLE}),
        (BREATH, noisy(BREATH, 10), {"pesq_wb": "PESQ found no speech", **LITTLE, "si_sdr": None}),
        (CLICK, noisy(CLICK, 10), {**LITTLE, "si_sdr": None}),
        (CLEAN, CLEAN, {"pesq_wb": None, "stoi": None, "si_sdr": "the signals are identical up to scale"}),
    ],
)
def test_score_gives_reasons(reference, estimate, reasons):
    scores = metrics.score(reference, estimate, RATE)
    assert {name: scores[name].reason for name in reasons} == reasons
    json.dumps([entry.value for entry in scores.values()], allow_nan=False)


def test_score_cuts_a_small_difference():
    clean = speech()
    worse = noisy(clean, 20)
    expected = metrics.si_sdr(clean[:-1000], worse[:-1000])
    assert metrics.score(clean, worse[:-1000], RATE)["si_sdr"].value == pytest.approx(expected)
    assert metrics.score(clean[:-1000], worse, RATE)["si_sdr"].value == pytest.approx(expected)


def test_score_refuses_a_large_difference():
    with pytest.raises(InputError, match="The lengths differ by 0.12 s; give signals of the"):
        metrics.score(speech(), speech()[:-2000], RATE)


# Files


def save(path: Path, *channels: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    soundfile.write(path, np.stack(channels, axis=1), rate, subtype="FLOAT")
    return path


def test_score_files_averages_channels(tmp_path):
    clean, first, second = speech(), noisy(speech(), 10), noisy(speech(), 20)
    scores = metrics.score_files(
        save(tmp_path / "r.wav", clean, clean), save(tmp_path / "e.wav", first, second)
    )
    alone = [metrics.score(clean, estimate, RATE) for estimate in (first, second)]
    for name, entry in scores.items():
        assert entry.value == pytest.approx((alone[0][name].value + alone[1][name].value) / 2, abs=1e-6)


def test_score_files_has_the_reason_of_any_channel(tmp_path):
    clean, worse = speech(), noisy(speech(), 10)
    reference = save(tmp_path / "r.wav", clean, clean)
    scores = metrics.score_files(reference, save(tmp_path / "e.wav", worse, 0 * worse))
    assert set(scores.values()) == {Score(reason="the estimate is silent")}


@pytest.mark.parametrize(
    ("channels", "count", "rate", "message"),
    [
        (1, RATE, 8000, "{estimate} and {reference} have 8000 and 16000 Hz; resample one of them."),
        (2, RATE, RATE, "{estimate} and {reference} have 2 and 1 channels; make them the same."),
        (1, RATE // 2, RATE, "{estimate} and {reference}: The lengths differ by 0.50 s; give signals of"),
    ],
)
def test_score_files_refuses(tmp_path, channels, count, rate, message):
    reference = save(tmp_path / "r.wav", speech(1))
    estimate = save(tmp_path / "e.wav", *[speech(1)[:count]] * channels, rate=rate)
    with pytest.raises(InputError) as caught:
        metrics.score_files(reference, estimate)
    assert str(caught.value).startswith(message.format(reference=reference, estimate=estimate))


def test_score_files_names_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="No such file: .*missing.wav. Check the path."):
        metrics.score_files(tmp_path / "missing.wav", tmp_path / "missing.wav")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_pairs_of_two_files(tmp_path):
    touch(tmp_path, "a.wav", "b.wav")
    assert metrics.pairs(tmp_path / "a.wav", tmp_path / "b.wav") == [(tmp_path / "a.wav", tmp_path / "b.wav")]


def test_pairs_of_two_folders_match_without_suffix(tmp_path):
    clean = touch(tmp_path / "clean", "a.wav", "sub/a.flac", "unused.wav")
    enhanced = touch(tmp_path / "enhanced", "a.flac", "sub/a.wav")
    assert metrics.pairs(clean, enhanced) == [
        (clean / "a.wav", enhanced / "a.flac"),
        (clean / "sub" / "a.flac", enhanced / "sub" / "a.wav"),
    ]


def test_pairs_names_every_estimate_without_reference(tmp_path):
    clean = touch(tmp_path / "clean", "a.wav")
    enhanced = touch(tmp_path / "enhanced", "a.wav", "b.wav", "sub/a.wav")
    with pytest.raises(InputError) as caught:
        metrics.pairs(clean, enhanced)
    assert f"for {enhanced / 'b.wav'}, {enhanced / 'sub' / 'a.wav'}; add" in str(caught.value)


def test_pairs_refuses_two_references_for_one(tmp_path):
    clean = touch(tmp_path / "clean", "a.flac", "a.wav")
    enhanced = touch(tmp_path / "enhanced", "a.ogg")
    with pytest.raises(InputError, match="a.flac and .*a.wav differ only in suffix; keep one"):
        metrics.pairs(clean, enhanced)


def test_pairs_that_differ_in_suffix_only_are_told_apart_by_it(tmp_path):
    clean = touch(tmp_path / "clean", "a.flac", "a.wav")
    assert metrics.pairs(clean, clean) == [(clean / name, clean / name) for name in ("a.flac", "a.wav")]


def test_pairs_are_matched_beside_what_has_no_partner(tmp_path):
    clean = touch(tmp_path / "clean", "a.wav", "b.flac", "b.wav", "unused.wav")
    enhanced = touch(clean / "enhanced", "a.wav", "b.ogg", "c.wav", "d.m4a")
    refused = {}
    found = metrics.pairs(clean, enhanced, lambda path, error: refused.update({path.name: str(error)}))
    assert found == [(clean / "a.wav", enhanced / "a.wav")]
    assert "ffmpeg" in refused.pop("d.m4a")
    assert "no reference" in refused.pop("c.wav")
    assert "keep one" in refused.pop("b.ogg")
    assert not refused


def test_pairs_refuses_a_file_and_a_folder(tmp_path):
    touch(tmp_path, "a.wav")
    with pytest.raises(UsageError, match="are a file and a folder; give two of a kind."):
        metrics.pairs(tmp_path / "a.wav", tmp_path)


def test_pairs_names_a_missing_path(tmp_path):
    with pytest.raises(InputError, match="No such file or folder: .*missing. Check the path."):
        metrics.pairs(tmp_path, tmp_path / "missing")


# DNSMOS; its values are compared with its package's in test_demo.py


def test_dnsmos_has_a_reason_for_silence_and_where_its_package_is_missing(monkeypatch):
    silence = metrics.dnsmos(np.zeros(RATE), RATE)
    assert {s.reason for s in silence.values()} == {"the recording is silent"}
    monkeypatch.setitem(sys.modules, "speechmos", None)
    missing = metrics.dnsmos(speech(), RATE)
    assert set(missing) == set(silence) == {"dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl"}
    assert all("pip install" in s.reason for s in missing.values())
