"""Denoising with the shipped model: invariants, and a real recording against its clean reference."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pedalboard
import pytest
import soundfile
import soxr
import torch

import speechjem
from speechjem import metrics
from speechjem.audio import blocks
from speechjem.errors import InputError, UsageError

SAMPLES = Path(__file__).parents[1] / "samples"
RATE = 16000


@pytest.fixture(scope="module")
def pair():
    return tuple(soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")[0] for name in ("clean", "noisy"))


@pytest.fixture(scope="module")
def denoiser():
    return speechjem.Denoiser()


def difference(a, b):
    """Level of a - b relative to b in dB."""
    return 10 * np.log10(np.mean((a - b) ** 2) / np.mean(b**2))


def test_a_noisy_recording_comes_nearer_to_the_clean_one(pair, denoiser):
    clean, noisy = pair
    before, after = (metrics.score(clean, x, RATE) for x in (noisy, denoiser(noisy, RATE)))
    assert after["si_sdr"].value - before["si_sdr"].value > 2
    assert after["pesq_wb"].value - before["pesq_wb"].value > 0.4
    assert after["estoi"].value - before["estoi"].value > 0.05


def test_clean_speech_is_left_nearly_alone(pair, denoiser):
    clean, _ = pair
    assert metrics.si_sdr(clean, denoiser(clean, RATE)) > 15
    assert metrics.pesq_wb(clean, denoiser(clean, RATE), RATE) > 3


def muted(before, after):
    """Share of the active frames of 10 ms that fall by more than 20 dB."""
    frames = len(before) // 160 * 160
    old, new = (np.square(x[:frames]).reshape(-1, 160).mean(1) + 1e-14 for x in (before, after))
    active = old > 1e-4 * old.max()
    return float((new < 0.01 * old)[active].mean())


def test_a_bang_does_not_mute_the_speech_around_it(pair, denoiser):
    clean, _ = pair
    start, length = len(clean) // 2, 3 * RATE // 10
    bang = np.zeros_like(clean)
    bang[start : start + length] = np.random.default_rng(0).standard_normal(length)
    bang *= 10 ** (45 / 20) * np.sqrt(np.mean(clean**2))
    around = np.r_[0 : start - RATE // 10, start + length + RATE // 10 : len(clean)]
    alone, beside = (denoiser(x, RATE)[around] for x in (clean, clean + bang))
    assert muted(clean[around], beside) < 0.02
    scores = [metrics.pesq_wb(clean[around], x, RATE) for x in (alone, beside)]
    assert scores[1] > scores[0] - 0.15


def test_a_louder_talker_before_changes_nothing_a_second_later(pair, denoiser):
    """With one level for the whole recording it would be -16 dB."""
    _, noisy = pair
    half = len(noisy) // 2
    softer = noisy * np.where(np.arange(len(noisy)) < half, 1.0, 10 ** (-30 / 20)).astype("f4")
    alone, after = denoiser(noisy, RATE), denoiser(softer, RATE) * 10 ** (30 / 20)
    assert difference(after[half + RATE :], alone[half + RATE :]) < -35


def test_a_talker_who_is_softer_is_not_muted(pair, denoiser):
    clean, _ = pair
    softer = clean * np.where(np.arange(len(clean)) < len(clean) // 2, 1.0, 10 ** (-35 / 20)).astype("f4")
    output = denoiser(softer, RATE)
    half = len(clean) // 2
    assert muted(softer[half:], output[half:]) < 0.08
    assert muted(softer[:half], output[:half]) < 0.02


def test_noise_alone_is_weakened(denoiser):
    noise = 0.05 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    assert np.std(denoiser(noise, RATE)) < 0.3 * np.std(noise)


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_blocks_give_what_the_whole_recording_gives(pair, rate, monkeypatch):
    denoiser = speechjem.Denoiser(precision="float32")
    noisy = np.tile(pair[1], 2)
    whole = denoiser(noisy, rate)
    for size in (200, 333):
        monkeypatch.setattr(blocks, "FRAMES", size)
        np.testing.assert_allclose(denoiser(noisy, rate), whole, atol=2**-14)  # two 16-bit steps


def test_blocks_give_nearly_the_same_in_half_precision(pair, monkeypatch):
    """Rounding differs with the size of a product; it stays 50 dB below the speech."""
    denoiser = speechjem.Denoiser(precision="bfloat16")
    noisy = np.tile(pair[1], 2)
    whole = denoiser(noisy, RATE)
    monkeypatch.setattr(blocks, "FRAMES", 200)
    assert difference(denoiser(noisy, RATE), whole) < -50


def test_half_precision_sounds_like_single_precision(pair):
    clean, noisy = pair
    single, half = (speechjem.Denoiser(precision=p)(noisy, RATE) for p in ("float32", "bfloat16"))
    assert difference(half, single) < -35
    assert abs(metrics.pesq_wb(clean, half, RATE) - metrics.pesq_wb(clean, single, RATE)) < 0.03


def test_pieces_of_any_size_give_the_whole_recording(pair):
    denoiser = speechjem.Denoiser(precision="float32")
    noisy = pair[1][None, : 2 * RATE]
    pieces = denoiser.pieces(lambda: iter(np.array_split(noisy, 7, axis=1)), RATE)
    np.testing.assert_allclose(np.concatenate(list(pieces), axis=1)[0], denoiser(noisy[0], RATE), atol=1e-5)


def peak_memory(code: str, *arguments: object) -> float:
    """Of a process that runs code, in MB; getrusage would give the parent's peak."""
    code += "; print(open('/proc/self/status').read())"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    status = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def test_memory_does_not_grow_with_the_recording(tmp_path):
    """Four times as much stereo needs no more, and little beside what torch itself takes, build by build."""
    denoise = "import sys; from speechjem.cli import app; app(sys.argv[1:], standalone_mode=False)"
    peaks = []
    for minutes in (1, 4):
        path = tmp_path / f"{minutes}.wav"
        rng = np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", 48000, 2) as file:
            for _ in range(minutes):
                file.write(0.1 * rng.standard_normal((60 * 48000, 2)))
        peaks.append(peak_memory(denoise, "denoise", path, "--steps", "1"))
    assert peaks[1] < peaks[0] + 40
    assert peaks[1] < peak_memory("import torch") + 250


def test_channels_are_enhanced_one_by_one(pair, denoiser):
    clean, noisy = (x[: 2 * RATE] for x in pair)
    both = denoiser(np.stack([noisy, 0.1 * clean]), RATE)
    np.testing.assert_allclose(both[0], denoiser(noisy, RATE), atol=1e-5)
    np.testing.assert_allclose(both[1], denoiser(0.1 * clean, RATE), atol=1e-5)


def test_the_level_does_not_matter(pair, denoiser):
    noisy = pair[1][: 2 * RATE]
    np.testing.assert_allclose(denoiser(0.001 * noisy, RATE), 0.001 * denoiser(noisy, RATE), atol=1e-6)


def test_a_delay_of_whole_frames_only_delays(pair, denoiser):
    noisy = pair[1]
    plain, late = denoiser(noisy[1600:], RATE), denoiser(noisy, RATE)[1600:]
    # Only the file's level and what is near the cut differ.
    assert difference(plain[3 * RATE :], late[3 * RATE :]) < -25


def test_strength_goes_smoothly_from_nothing_to_everything(pair):
    noisy = pair[1][: 2 * RATE]
    outputs = [speechjem.denoise(noisy, RATE, strength=s) for s in (0.0, 0.3, 0.7, 1.0)]
    removed = [np.mean((noisy - y) ** 2) for y in outputs]
    np.testing.assert_allclose(outputs[0], noisy, atol=1e-5)
    assert removed[0] < removed[1] < removed[2] < removed[3]


def test_the_work_at_another_rate_is_the_work_at_16_khz(pair, denoiser):
    clean, noisy = pair
    upsampled = soxr.resample(noisy, RATE, 48000, quality="VHQ").astype(np.float32)
    back = soxr.resample(denoiser(upsampled, 48000), 48000, RATE, quality="VHQ")[: len(noisy)]
    direct = denoiser(noisy, RATE)
    assert difference(back, direct) < -15
    scores = [metrics.pesq_wb(clean, x.astype(np.float32), RATE) for x in (back, direct)]
    assert scores[0] > scores[1] - 0.1


def test_what_the_model_cannot_see_gets_the_gain_of_the_upper_octave(denoiser):
    """At 48 kHz, steady noise above 8 kHz must go down with the noise below."""
    noise = 0.05 * np.random.default_rng(0).standard_normal(3 * 48000).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(denoiser(noise, 48000))) / np.abs(np.fft.rfft(noise))
    frequency = np.fft.rfftfreq(len(noise), 1 / 48000)
    assert np.median(spectrum[frequency > 10000]) < 0.5


def test_tensors_give_tensors(pair, denoiser):
    noisy = pair[1][:RATE]
    enhanced = denoiser(torch.from_numpy(noisy), RATE)
    assert isinstance(enhanced, torch.Tensor)
    np.testing.assert_allclose(enhanced.numpy(), denoiser(noisy, RATE), atol=1e-6)


def test_prior_improves_speech_as_well(pair):
    clean, noisy = pair
    enhanced = speechjem.denoise(noisy, RATE, mode="prior")
    before, after = (metrics.score(clean, x, RATE) for x in (noisy, enhanced))
    assert after["si_sdr"].value > before["si_sdr"].value + 2
    assert after["estoi"].value > before["estoi"].value + 0.02


def test_prior_lowers_the_energy(pair):
    model = speechjem.load_model()
    prior = speechjem.Denoiser(model, mode="prior", noise=0.0, precision="float32")
    waveform = torch.from_numpy(pair[1])[None]
    frames = model.fbank(waveform * model.fbank.level_gain(waveform))
    with torch.no_grad():
        assert model.jem.energy(prior.path.follow(frames, torch.Generator())) < model.jem.energy(frames)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (2, 3, 100)])
def test_impossible_shapes_are_refused(denoiser, shape):
    with pytest.raises(InputError, match="shape"):
        denoiser(np.zeros(shape, np.float32), RATE)


def test_samples_that_are_not_finite_are_refused(denoiser):
    with pytest.raises(InputError, match="finite"):
        denoiser(np.array([0.0, np.nan], np.float32), RATE)


def test_an_impossible_rate_is_refused(denoiser):
    with pytest.raises(UsageError, match="Hz"):
        denoiser(np.zeros(100, np.float32), 0)


def test_it_is_called_like_a_transform_of_other_libraries(pair, denoiser):
    """audiomentations calls transform(samples=..., sample_rate=...), pedalboard's rates are floats; both take
    (samples,) or (channels, samples) in float32, give the same, and leave what they were given alone."""
    chain = [pedalboard.Pedalboard([pedalboard.Gain(-6)]), denoiser, pedalboard.Gain(6)]
    samples = np.stack([pair[1][:RATE], pair[0][:RATE]])
    kept = samples.copy()
    out = samples
    for transform in chain:
        out = transform(out, float(RATE))
    assert (out.dtype, out.shape) == (np.float32, samples.shape)
    np.testing.assert_allclose(out, denoiser(samples=samples, sample_rate=RATE), atol=1e-3)
    np.testing.assert_array_equal(samples, kept)
    assert denoiser(samples, 44100.0).shape == samples.shape
