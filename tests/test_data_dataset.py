"""Corpora and batches: nothing leaks, everything can be drawn again, and labels lie where the sound is."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal

from speechjem import phones
from speechjem.audio.level import LOUDER
from speechjem.data.dataset import UNLABELLED, Augmentation, Batch, Batches, Corpus, Recording, load_corpus
from speechjem.data.kaldi import Alignment
from speechjem.errors import InputError

RATE, HOP = 16000, 160
AA, SIL = phones.PHONES.index("AA"), phones.PHONES.index("SIL")
TONE = 1000.0


def recording(name: str, samples: np.ndarray, alignment: Alignment | None = None) -> Recording:
    rms = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    return Recording(name, np.round(samples * 32767).astype(np.int16), rms, alignment)


def bursts(seed: int, seconds: float = 4.0) -> Recording:
    """A tone that comes and goes: AA where it sounds, silence where it does not."""
    rng = np.random.default_rng(seed)
    samples = 0.3 * np.sin(2 * np.pi * TONE * np.arange(int(seconds * RATE)) / RATE)
    edges = np.cumsum(rng.uniform(0.1, 0.3, 2 * int(seconds * 5)))
    edges = edges[edges < seconds][: len(edges[edges < seconds]) // 2 * 2].reshape(-1, 2)
    sounds = np.zeros(len(samples), bool)
    for start, end in edges:
        sounds[int(start * RATE) : int(end * RATE)] = True
    return recording(
        f"bursts{seed}", samples * sounds, Alignment(edges[:, 0], edges[:, 1], np.full(len(edges), AA))
    )


def hiss(seed: int, seconds: float = 2.0, level: float = 0.1) -> Recording:
    samples = level * np.random.default_rng(seed).standard_normal(int(seconds * RATE))
    return recording(f"hiss{seed}", samples.clip(-1, 1))


def corpus(**changed: list[Recording]) -> Corpus:
    whole = Corpus([bursts(seed) for seed in range(6)], [], [hiss(100), hiss(101)], [], [], RATE)
    return replace(whole, **changed)


UNDISTURBED = Augmentation(
    pauses=0.0,
    rooms=0.0,
    lines=0.0,
    clipping=0.0,
    mu_law=0.0,
    children=0.0,
    whispers=0.0,
    steps=0.0,
    bangs=0.0,
)


def batches(of: Corpus, size: int = 4, seconds: float = 1.0, seed: int = 0, **disturbances: float) -> Batches:
    return Batches(of, size, seconds, HOP, -26.0, seed, replace(UNDISTURBED, **disturbances))


def same(a, b) -> bool:
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in Batch._fields)


# Batches


def test_a_batch_is_the_same_whenever_it_is_drawn():
    of = corpus(unlabelled=[hiss(7)])
    one, other = batches(of), batches(of)
    first = one.draw(5)
    one.draw(0)
    assert same(first, one.draw(5))
    assert same(first, other.draw(5))


def test_batches_of_different_numbers_or_seeds_differ():
    drawn = [batches(corpus()).draw(number) for number in range(4)]
    drawn += [batches(corpus(), seed=seed).draw(0) for seed in (1, 2)]
    assert not any(same(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


@pytest.mark.parametrize("seconds", [0.25, 0.333, 1.0])
def test_shapes_are_those_of_frames_centred_on_multiples_of_the_hop(seconds):
    batch = batches(corpus(), 3, seconds).draw(0)
    samples = int(seconds * RATE)
    assert batch.clean.shape == batch.noisy.shape == (3, samples)
    assert batch.labels.shape == (3, len(range(0, samples + 1, HOP)))


def sounding(clean: np.ndarray) -> np.ndarray:
    """Where the tone sounds, read off the signal itself."""
    envelope = np.abs(signal.hilbert(clean))
    return envelope > 0.5 * np.percentile(envelope, 98)


def pitch(clean: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(clean * np.hanning(len(clean)), 1 << 18))
    return float(spectrum.argmax() * RATE / (1 << 18))


def excerpts(count: int, seconds: float = 2.0):
    """(clean, labels, speed) of excerpts with some tone in them; the speed is read off the pitch."""
    for number in range(count):
        batch = batches(corpus(), 8, seconds).draw(number)
        for clean, labels in zip(batch.clean.numpy(), batch.labels.numpy(), strict=True):
            yield clean, labels, pitch(clean) / TONE


def test_labels_lie_where_the_sound_is_at_any_speed():
    speeds = []
    for clean, labels, speed in excerpts(10):
        speeds.append(speed)
        here = sounding(clean)
        for frame in range(1, len(labels) - 1):
            around = here[frame * HOP - HOP // 2 : frame * HOP + HOP // 2]
            if around.all() or not around.any():  # no edge nearer than half a frame
                assert (labels[frame] == AA) == around.all()
        edges = np.flatnonzero(np.diff(labels == AA))
        assert len(edges) > 4  # or nothing was tested
    assert min(speeds) < 0.93
    assert max(speeds) > 1.08


def test_labels_take_only_the_values_of_the_alignment():
    values = {value for _, labels, _ in excerpts(3) for value in np.unique(labels)}
    assert values == {AA, SIL}


def test_half_of_the_excerpts_have_another_speed_within_the_range():
    speeds = np.array([speed for _, _, speed in excerpts(25, 0.5)])
    assert 0.35 < np.mean(np.abs(speeds - 1) > 0.01) < 0.6
    assert speeds.min() > 0.87
    assert speeds.max() < 1.15


def test_a_short_recording_is_padded_with_silence():
    short = bursts(0, 0.4)
    for number in range(10):
        batch = batches(corpus(labelled=[short]), 2, 1.0).draw(number)
        end = int(0.4 / 0.88 * RATE) + HOP
        assert batch.clean[:, :end].abs().max() > 0.01
        assert batch.clean[:, end:].abs().max() < 1e-3 * batch.clean.abs().max()
        assert (batch.labels[:, end // HOP + 1 :] == SIL).all()


def test_the_first_excerpt_always_has_labels():
    of = corpus(unlabelled=[hiss(seed) for seed in range(5)])
    for size in (1, 2):
        drawn = batches(of, size, 0.1)
        assert all((drawn.draw(number).labels[0] != UNLABELLED).all() for number in range(60))


def test_a_quarter_of_the_others_has_none():
    drawn = batches(corpus(unlabelled=[hiss(7)]), 50, 0.1)
    unlabelled = np.concatenate(
        [(drawn.draw(number).labels[1:] == UNLABELLED).all(1) for number in range(10)]
    )
    assert 0.17 < unlabelled.mean() < 0.33


def test_an_excerpt_is_labelled_as_a_whole_or_not_at_all():
    labels = batches(corpus(unlabelled=[hiss(7)]), 50, 0.1).draw(0).labels
    known = (labels != UNLABELLED).float().mean(1)
    assert set(known.tolist()) == {0.0, 1.0}


def test_without_unlabelled_speech_everything_has_labels():
    assert (batches(corpus(), 50, 0.1).draw(0).labels != UNLABELLED).all()


def test_signal_to_noise_ratios_spread_over_the_range_and_some_are_clean():
    steady = recording("steady", 0.3 * np.sin(2 * np.pi * TONE * np.arange(4 * RATE) / RATE))
    batch = batches(corpus(labelled=[steady]), 400, 0.1, steps=0.0, bangs=0.0).draw(0)
    noise = batch.noisy - batch.clean
    snr = 10 * np.log10((batch.clean.square().sum(1) / noise.square().sum(1)).numpy())
    clean = snr > 32
    assert 0.02 < clean.mean() < 0.1
    # The speech is coloured by up to 5 dB, and noise that is mostly rumble loses it.
    assert np.median(snr[clean]) == pytest.approx(40, abs=3)
    assert snr[clean].min() > 40 - 5.1
    assert snr[~clean].min() > -15.1  # down to -10, and colour
    assert np.quantile(snr[~clean], 0.98) < 30.1
    assert np.ptp(snr[~clean]) > 30


def test_levels_spread_over_12_db_around_the_nominal_one():
    steady = recording("steady", 0.3 * np.sin(2 * np.pi * TONE * np.arange(4 * RATE) / RATE))
    batch = batches(corpus(labelled=[steady]), 200, 0.1).draw(0)
    levels = 10 * np.log10(batch.noisy.square().mean(1).numpy())
    # In what is steady, the level that four fifths of the blocks do not exceed is the RMS level.
    assert np.median(levels) == pytest.approx(-26 + LOUDER, abs=1.5)
    assert np.quantile(levels, [0.05, 0.95]) == pytest.approx([-24 - 6, -24 + 6], abs=2.5)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_inputs_and_no_target_has_rumble(share):
    time = np.arange(4 * RATE) / RATE
    steady = recording("steady", 0.2 * np.sin(2 * np.pi * 20 * time) + 0.2 * np.sin(2 * np.pi * TONE * time))
    kinds = {"rumble": share, "snr": (0.0, 0.0), "steps": 0.0, "bangs": 0.0}
    batch = batches(corpus(labelled=[steady], noise=[steady]), 100, 1.0, **kinds).draw(0)
    low = torch.fft.rfft(torch.hann_window(RATE) * torch.stack([batch.clean, batch.noisy]))[..., 10:31]
    clean, noisy = low.abs().square().sum(-1).sqrt() * 2 / RATE / batch.clean.square().mean(1).sqrt()
    assert clean.max() < 0.15
    assert (noisy > 0.15).float().mean() == pytest.approx(share, abs=0.15)


def test_silent_noise_recordings_are_replaced_by_synthetic_noise():
    silent = recording("silent", np.zeros(RATE))
    batch = batches(corpus(noise=[silent]), 30, 0.25).draw(0)
    assert ((batch.noisy - batch.clean).square().mean(1) > 0).all()


def test_noise_may_be_missing_altogether():
    batch = batches(corpus(noise=[]), 30, 0.25).draw(0)
    assert ((batch.noisy - batch.clean).square().mean(1) > 0).all()


def test_silent_speech_gives_finite_batches():
    silent = recording("silent", np.zeros(RATE), Alignment(np.array([0.0]), np.array([1.0]), np.array([SIL])))
    for number in range(10):
        batch = batches(corpus(labelled=[silent]), 10, 0.25).draw(number)
        assert batch.noisy.isfinite().all()
        assert not batch.clean.any()


# Corpora on disk


def write_corpus(folder: Path, utterances: dict[str, str], ctm: str, rate: int = RATE) -> Path:
    """A data directory: `utterances` gives the speaker of each."""
    for number, name in enumerate(utterances):
        soundfile.write(folder / f"{name}.wav", 0.1 * hiss(number, 0.2).samples / 32767, rate)
    (folder / "wav.scp").write_text("".join(f"{name} {name}.wav\n" for name in utterances))
    (folder / "utt2spk").write_text("".join(f"{name} {speaker}\n" for name, speaker in utterances.items()))
    (folder / "ali.ctm").write_text(ctm)
    return folder


def names(recordings) -> set[str]:
    return {recording.name for recording in recordings}


UTTERANCES = {"a1": "anna", "a2": "anna", "b1": "bert", "b2": "bert", "c1": "cora", "c2": "cora"}
CTM = "a1 1 0 0.1 AA\nb1 1 0 0.1 AA\nc1 1 0 0.1 AA\nc2 1 0.05 0.1 S\n"


def test_held_out_speakers_are_in_no_training_list(tmp_path):
    write_corpus(tmp_path, UTTERANCES, CTM)
    of = load_corpus(tmp_path, None, None, ["bert", "cora"], RATE)
    assert names(of.held_out) == {"b1", "b2", "c1", "c2"}
    assert names(of.labelled) == {"a1"}
    assert names(of.unlabelled) == {"a2"}


def test_utterances_without_an_alignment_are_unlabelled(tmp_path):
    write_corpus(tmp_path, UTTERANCES, CTM)
    of = load_corpus(tmp_path, None, None, [], RATE)
    assert names(of.labelled) == {"a1", "b1", "c1", "c2"}
    assert names(of.unlabelled) == {"a2", "b2"}
    assert all(recording.alignment is None for recording in of.unlabelled)


def test_a_folder_of_more_speech_is_unlabelled(tmp_path):
    write_corpus(tmp_path, UTTERANCES, CTM)
    (tmp_path / "more" / "deep").mkdir(parents=True)
    soundfile.write(tmp_path / "more" / "deep" / "x.flac", np.zeros(100), RATE)
    of = load_corpus(tmp_path, tmp_path / "more", None, [], RATE)
    assert names(of.unlabelled) == {"a2", "b2", "x"}


def noise_folder(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        soundfile.write(folder / f"noise{number}.wav", np.full(50, 0.1), RATE)
    return folder


def test_held_out_noise_is_chosen_by_checksum_and_trains_nothing(tmp_path):
    write_corpus(tmp_path, UTTERANCES, CTM)
    of = load_corpus(tmp_path, None, noise_folder(tmp_path / "noise", 100), [], RATE)
    files = {f"noise{number}" for number in range(100)}
    held_out = {name for name in files if zlib.crc32(name.encode()) % 20 == 0}
    assert 1 <= len(held_out) <= 12
    assert names(of.held_out_noise) == held_out
    assert names(of.noise) == files - held_out


def test_more_noise_files_do_not_move_the_others(tmp_path):
    write_corpus(tmp_path, UTTERANCES, CTM)
    few = load_corpus(tmp_path, None, noise_folder(tmp_path / "noise", 50), [], RATE)
    many = load_corpus(tmp_path, None, noise_folder(tmp_path / "noise", 100), [], RATE)
    assert names(few.held_out_noise) <= names(many.held_out_noise)
    assert names(few.noise) <= names(many.noise)


def test_recordings_are_mixed_down_and_resampled(tmp_path):
    time = np.arange(44100) / 44100
    stereo = np.stack([0.4 * np.sin(2 * np.pi * 440 * time), np.zeros_like(time)], 1)
    write_corpus(tmp_path, {"a1": "anna"}, CTM)
    soundfile.write(tmp_path / "a1.wav", stereo, 44100)
    (found,) = load_corpus(tmp_path, None, None, [], RATE).labelled
    assert found.samples.dtype == np.int16
    assert len(found.samples) == RATE
    assert found.rms == pytest.approx(0.2 / np.sqrt(2), rel=1e-2)
    assert found.samples.max() / 32767 == pytest.approx(0.2, rel=1e-2)


def test_a_missing_recording_is_named(tmp_path):
    write_corpus(tmp_path, UTTERANCES, CTM)
    (tmp_path / "b2.wav").unlink()
    with pytest.raises(InputError, match="b2.wav"):
        load_corpus(tmp_path, None, None, [], RATE)


@pytest.mark.parametrize(("ctm", "held_out"), [("", []), (CTM, ["anna", "bert", "cora"])])
def test_nothing_to_train_on_is_refused(tmp_path, ctm, held_out):
    write_corpus(tmp_path, UTTERANCES, ctm)
    with pytest.raises(InputError, match="no aligned utterance"):
        load_corpus(tmp_path, None, None, held_out, RATE)


@pytest.mark.parametrize(
    "name", ["pauses", "rooms", "lines", "clipping", "mu_law", "children", "whispers", "steps", "bangs"]
)
def test_every_disturbance_takes_part(name):
    """The same batch with only one kind of disturbance, always or never."""
    plain = batches(corpus(), 4).draw(0)
    disturbed = batches(corpus(), 4, **{name: 1.0}).draw(0)
    if name == "pauses":  # all but the first, which keeps its labels
        assert not disturbed.clean[1:].any()
        assert (disturbed.labels[1:] == UNLABELLED).all()
        assert torch.equal(plain.noisy[0], disturbed.noisy[0])
        return
    # Disturbing the first excerpt changes what is drawn for the others.
    place = 1 if name in ("children", "whispers") else 0  # the first excerpt keeps its phones
    assert not torch.equal(plain.noisy[place], disturbed.noisy[place])
    clean = disturbed.clean[0]
    if name in ("clipping", "mu_law", "bangs"):  # not part of what is to be restored
        ratio = clean / plain.clean[0]  # but for the gain, which follows the input
        assert ratio[ratio.isfinite()].std() < 0.2 * ratio[ratio.isfinite()].mean()
    else:
        assert not torch.equal(plain.clean[place], disturbed.clean[place])


# Pitch


def sweep(seconds: float = 8.0) -> Recording:
    """A tone that rises by 20 Hz a second, with its frequency as the pitch."""
    time = np.arange(int(seconds * RATE)) / RATE
    plain = recording("sweep", 0.3 * np.sin(2 * np.pi * (200 * time + 10 * time**2)))
    return replace(plain, pitch=(200 + 20 * np.arange(0, seconds, 0.01)).astype(np.float16))


def test_the_pitch_is_that_of_the_excerpt_at_any_speed():
    aligned = replace(sweep(), alignment=bursts(0).alignment)
    batch = batches(corpus(labelled=[aligned]), 40, 1.0, clean=1.0, slopes=0.0).draw(0)
    heard = []
    for clean, pitch in zip(batch.clean.numpy(), batch.pitch.numpy(), strict=True):
        assert pitch.min() > 170
        phase = np.unwrap(np.angle(signal.hilbert(clean)))
        frequency = np.diff(phase)[2000:-2000:HOP] * RATE / 2 / np.pi
        heard.append(
            np.median(frequency / np.interp(np.arange(2000, 13999, HOP) / HOP, np.arange(101), pitch))
        )
    assert np.allclose(heard, 1, atol=0.01)


def test_a_pitch_that_was_not_measured_or_is_blurred_is_unknown():
    assert (batches(corpus()).draw(0).pitch == -1).all()
    aligned = replace(sweep(), alignment=bursts(0).alignment)
    assert (batches(corpus(labelled=[aligned]), rooms=1.0).draw(0).pitch == -1).all()
    pauses = batches(corpus(labelled=[aligned]), pauses=1.0).draw(0).pitch
    assert (pauses[1:] == -1).all()
    for changed in ("steps", "bangs"):
        assert (batches(corpus(labelled=[aligned]), **{changed: 1.0}).draw(0).pitch == -1).all()


def test_behind_its_end_a_recording_has_no_pitch():
    short = replace(sweep(0.3), alignment=bursts(0).alignment)
    pitch = batches(corpus(labelled=[short]), 8).draw(0).pitch
    assert (pitch[:, 40:] == 0).all()
    assert (pitch[:, :20] > 170).all()
