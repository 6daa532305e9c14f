"""Phones of a real recording against its words, and the bookkeeping of segments."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch

import speechjem
from speechjem.audio import blocks
from speechjem.classification import Classifier
from speechjem.errors import InputError

RATE = 16000
# CMU dictionary's pronunciation of the sample: "He was not an ill disposed young man, unless to be
# rather cold hearted and rather selfish is to be ill disposed."
WORDS = (
    "HH IY W AA Z N AA T AE N IH L D IH S P OW Z D Y AH NG M AE N AH N L EH S T UW B IY R AE DH ER "
    "K OW L D HH AA R T AH D AH N D R AE DH ER S EH L F IH SH IH Z T UW B IY IH L D IH S P OW Z D"
).split()


@pytest.fixture(scope="module")
def sample():
    path = Path(__file__).parents[1] / "samples" / "clean.flac"
    return soundfile.read(path, dtype="float32")[0]


@pytest.fixture(scope="module")
def classifier():
    return Classifier()


def edits(a, b):
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, old = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(row[-1] + 1, old[j] + 1, old[j - 1] + (x != y)))
    return row[-1]


def test_most_phones_of_a_sentence_are_heard(sample, classifier):
    heard = [s.phone for s in classifier(sample, RATE) if s.phone != "SIL"]
    shuffled = list(np.random.default_rng(0).permutation(heard))
    assert edits(heard, WORDS) / len(WORDS) < 0.5
    assert edits(heard, WORDS) < 0.7 * edits(shuffled, WORDS)


def test_segments_cover_the_recording_without_gaps(sample, classifier):
    segments = classifier(sample, RATE)
    ends = np.array([s.start + s.duration for s in segments])
    starts = np.array([s.start for s in segments])
    assert starts[0] == 0
    np.testing.assert_allclose(starts[1:], ends[:-1], atol=1e-9)
    assert ends[-1] == pytest.approx(len(sample) / RATE)
    assert all(s.duration > 0 and 0 <= s.probability <= 1 for s in segments)
    assert all(a.phone != b.phone for a, b in zip(segments, segments[1:], strict=False))


def test_silence_is_where_the_recording_is_quiet(sample, classifier):
    frames = sample[: len(sample) // 160 * 160].reshape(-1, 160)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    silent = np.zeros(len(frames), bool)
    for s in classifier(sample, RATE):
        if s.phone == "SIL":
            silent[round(s.start * 100) : round((s.start + s.duration) * 100)] = True
    assert level[silent].mean() < level[~silent].mean() - 15


def test_less_than_a_sample_is_refused(classifier):
    with pytest.raises(InputError, match="longer"):
        classifier(np.ones(1), 12 * RATE)


def test_frames_are_the_log_mel_of_the_recording_and_its_energies(sample, classifier):
    """At the level of the recording, whatever the model works at; beside librosa's filterbank."""
    fbank = classifier.model.config.fbank
    frames = classifier.frames(0.1 * sample, RATE)
    spectrum = librosa.stft(0.1 * sample, n_fft=fbank.window, hop_length=fbank.hop, pad_mode="constant")
    mel = librosa.filters.mel(
        sr=RATE, n_fft=fbank.window, n_mels=fbank.bins, fmin=0, fmax=8000, htk=True, norm=None
    )
    loud = frames.log_mel > -8  # well above the floor
    assert loud.mean() > 0.3
    np.testing.assert_allclose(
        frames.log_mel[loud], np.log(mel @ np.abs(spectrum) ** 2 + 1e-9).T[loud], atol=0.05
    )
    energy = -torch.from_numpy(frames.logits).logsumexp(1)
    np.testing.assert_allclose(frames.energy, energy, rtol=1e-5, atol=1e-6)


def test_posteriors_sum_to_one_and_come_every_10_ms(sample, classifier):
    posteriors = classifier.posteriors(sample, RATE)
    assert posteriors.shape == (len(sample) // 160 + 1, 40)
    np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-5)


def test_blocks_give_what_the_whole_recording_gives(sample, classifier, monkeypatch):
    whole = classifier.posteriors(sample, RATE)
    monkeypatch.setattr(blocks, "FRAMES", 150)
    np.testing.assert_allclose(classifier.posteriors(sample, RATE), whole, atol=1e-4)


@pytest.mark.parametrize("samples", [np.zeros(0), np.full(100, np.nan), np.zeros((2, 2, 5))])
def test_impossible_input_is_refused(classifier, samples):
    with pytest.raises(InputError, match="not empty|not finite|no audio"):
        classifier(samples, RATE)


def test_three_samples_are_one_phone():
    assert len(speechjem.classify(np.array([0.1, -0.1, 0.1]), RATE)) == 1
