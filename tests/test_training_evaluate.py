"""Measures of a model on held-out speech, against counting by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from speechjem import metrics
from speechjem.energy.tdnn import NetworkConfig
from speechjem.models.speech import ModelConfig, SpeechModel
from speechjem.training import evaluate

CONFIG = ModelConfig(network=NetworkConfig(channels=16, hidden=16, dilations=(1, 2)))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = SpeechModel(CONFIG).eval()
    model.fbank.mean.fill_(-4.0)
    model.fbank.std.fill_(4.0)
    with torch.no_grad():  # many different answers
        model.jem.network.output.weight.mul_(20)
    return model


def test_log_posteriors_are_those_of_a_distribution(model, toy_corpus):
    found = evaluate.log_posterior(model, toy_corpus.held_out[0].samples / 32767)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found.astype(np.float64)).sum(1), 1, atol=1e-5)
    assert found.max() <= 0


@pytest.mark.parametrize("samples", [1, 159, 160, 16000])
def test_there_is_a_row_for_every_multiple_of_the_hop(model, samples):
    found = evaluate.log_posterior(model, np.ones(samples))
    assert found.shape == (len(range(0, samples + 1, 160)), 40)


def test_log_posteriors_do_not_depend_on_the_level_of_the_recording(model, toy_corpus):
    samples = toy_corpus.held_out[0].samples / 32767
    quiet, loud = (evaluate.log_posterior(model, factor * samples) for factor in (0.05, 3.0))
    np.testing.assert_allclose(quiet, loud, atol=1e-3)


def test_confusion_counts_the_frames_one_by_one(model, toy_corpus):
    expected = np.zeros((40, 40), int)
    for recording in toy_corpus.held_out:
        for frame, row in enumerate(evaluate.log_posterior(model, recording.samples / 32767)):
            # In samples, as 35 * 0.01 is not 0.35.
            where = recording.alignment
            inside = (np.round(where.starts * 16000) <= 160 * frame) & (
                160 * frame < np.round(where.ends * 16000)
            )
            true = where.labels[inside][0] if inside.any() else 0
            expected[true, int(row.argmax())] += 1
    counts = evaluate.confusion(model, toy_corpus.held_out)
    assert len(np.flatnonzero(expected.sum(0))) > 3  # or there would be little to confuse
    np.testing.assert_array_equal(counts, expected)


def test_speech_without_alignment_is_not_counted(model, toy_corpus):
    both = [*toy_corpus.held_out, *toy_corpus.unlabelled]
    np.testing.assert_array_equal(
        evaluate.confusion(model, both), evaluate.confusion(model, toy_corpus.held_out)
    )


def test_accuracy_is_the_share_of_right_answers():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    counts = np.zeros((3, 3), int)
    for pair in zip(true, predicted, strict=True):
        counts[pair] += 1
    assert evaluate.accuracy(counts) == np.mean(true == predicted)


# Following the denoising


def test_a_probe_is_the_same_for_the_same_seed(toy_corpus):
    probes = [evaluate.DenoiseProbe(toy_corpus, 4, seed) for seed in (0, 0, 1)]
    same, other = (
        [np.array_equal(a[1], b[1]) for a, b in zip(probes[0].pairs, p.pairs, strict=True)]
        for p in probes[1:]
    )
    assert all(same)
    assert not all(other)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_probe_has_0_5_10_and_15_db(toy_corpus, recorded):
    corpus = toy_corpus if recorded else replace(toy_corpus, held_out_noise=[])
    for number, (clean, noisy) in enumerate(evaluate.DenoiseProbe(corpus, 8).pairs):
        snr = 10 * np.log10(np.sum(clean**2) / np.sum((noisy - clean) ** 2))
        assert snr == pytest.approx(5 * (number % 4), abs=0.05)


def test_a_probe_uses_held_out_speech_and_noise_only(toy_corpus):
    training = replace(toy_corpus, labelled=[], unlabelled=[], noise=[])
    for (_, a), (_, b) in zip(
        evaluate.DenoiseProbe(toy_corpus, 4).pairs, evaluate.DenoiseProbe(training, 4).pairs, strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_model_that_moves_nothing_gains_nothing(model, toy_corpus):
    still = SpeechModel(CONFIG).eval()
    still.load_state_dict(model.state_dict())
    still.descent.log_size.data.fill_(-100.0)
    gains = evaluate.DenoiseProbe(toy_corpus, 2).scores(still)
    # Rumble is filtered all the same; there is next to none.
    assert gains == pytest.approx({"pesq_wb_gain": 0, "estoi_gain": 0, "si_sdr_gain": 0}, abs=0.05)


def test_gains_are_the_mean_difference_to_the_noisy_speech(model, toy_corpus):
    from speechjem import Denoiser

    probe = evaluate.DenoiseProbe(toy_corpus, 2)
    denoise = Denoiser(model, mode="descent", device="cpu")
    expected = np.mean(
        [
            metrics.si_sdr(clean, denoise(noisy, 16000)) - metrics.si_sdr(clean, noisy)
            for clean, noisy in probe.pairs
        ]
    )
    assert abs(expected) > 0.001
    assert probe.scores(model)["si_sdr_gain"] == pytest.approx(expected, abs=1e-4)


def test_calibration_error_is_the_distance_of_confidence_and_accuracy():
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.55, 0.55])
    right = np.array([True, True, True, False, True, False])
    # Two bins: four examples, 0.9 against 0.75, and two, 0.55 against 0.5.
    assert evaluate.calibration_error(confidence, right) == pytest.approx((4 * 0.15 + 2 * 0.05) / 6)
    assert evaluate.calibration_error(np.ones(3), np.array([True, True, True])) == 0


def test_drawn_from_its_own_posterior_a_class_is_calibrated():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.1, 1.0, 200_000)
    assert evaluate.calibration_error(confidence, rng.random(200_000) < confidence) < 0.01
