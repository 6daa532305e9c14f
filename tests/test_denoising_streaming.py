"""The stream: the same as the whole recording, whatever the blocks; its delay and its memory."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

import speechjem
from speechjem import metrics
from speechjem.audio import blocks
from speechjem.denoising.streaming import StreamDenoiser
from speechjem.errors import InputError, UsageError

RATE = 16000
SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture(scope="module")
def pair():
    return tuple(
        soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")[0][None] for name in ("clean", "noisy")
    )


@pytest.fixture(scope="module")
def denoiser():
    return speechjem.Denoiser("stream", device="cpu", precision="float32")


def stream(samples, sizes, rate=RATE, denoiser=None):
    """All that comes out, and how many samples were in when each piece came."""
    enhancer = StreamDenoiser(rate, len(samples), denoiser)
    pieces, received, start = [], [], 0
    while start < samples.shape[1]:
        size = next(sizes)
        pieces.append(enhancer.push(samples[:, start : start + size]))
        start = min(start + size, samples.shape[1])
        received.append((start, sum(piece.shape[1] for piece in pieces)))
    return np.concatenate([*pieces, enhancer.flush()], axis=1), received


def always(size):
    while True:
        yield size


def ragged(seed=0):
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.choice([0, 1, 159, 160, 161, 1000, 7777]))


@pytest.mark.parametrize("sizes", [always(160), always(1600), always(10**6), ragged()])
def test_a_stream_is_the_whole_recording(pair, denoiser, sizes):
    """The one goes frame by frame in NumPy, the other all at once in torch."""
    noisy = np.concatenate([pair[1], 0.05 * pair[1][:, ::-1]])[:, : 2 * RATE + 77]
    got, _ = stream(noisy, sizes, denoiser=denoiser)
    np.testing.assert_allclose(got, denoiser(noisy, RATE), atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_at_other_rates_too(pair, denoiser, rate):
    noisy = pair[1][:, :30000]
    np.testing.assert_allclose(stream(noisy, ragged(), rate, denoiser)[0], denoiser(noisy, rate), atol=1e-5)


@pytest.mark.parametrize("settings", [{"strength": 0.5}, {"steps": 1}, {"step_size": 0.5}, {"strength": 0.0}])
def test_settings_are_those_of_whole_recordings(pair, settings):
    noisy = pair[1][:, :RATE]
    denoiser = speechjem.Denoiser("stream", device="cpu", precision="float32", **settings)
    got = stream(noisy, always(RATE), denoiser=denoiser)[0]
    np.testing.assert_allclose(got, denoiser(noisy, RATE), atol=1e-5)
    if settings == {"strength": 0.0}:
        np.testing.assert_allclose(got, noisy, atol=1e-5)


def test_blocks_of_a_whole_recording_do_not_show(pair, denoiser, monkeypatch):
    noisy = pair[1][0]
    whole = denoiser(noisy, RATE)
    monkeypatch.setattr(blocks, "FRAMES", 150)
    np.testing.assert_allclose(denoiser(noisy, RATE), whole, atol=1e-6)


def test_the_default_is_the_model_for_streams(pair, denoiser):
    noisy = pair[1][:, :RATE]
    np.testing.assert_array_equal(
        stream(noisy, always(800))[0], stream(noisy, always(800), denoiser=denoiser)[0]
    )


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("length", [1, 500, 20011])
def test_what_comes_out_is_as_long_as_what_goes_in(rate, length, denoiser):
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, length)).astype(np.float32)
    assert stream(noise, ragged(), rate, denoiser)[0].shape == noise.shape


@pytest.mark.parametrize(("rate", "longest"), [(8000, 0.048), (16000, 0.04), (44100, 0.0441), (48000, 0.044)])
def test_nothing_comes_later_than_the_latency(pair, denoiser, rate, longest):
    latency = StreamDenoiser(rate, denoiser=denoiser).latency
    assert latency <= longest
    _, received = stream(pair[1][:, :rate], always(16), rate, denoiser)
    assert max(given - back for given, back in received) <= latency * rate + 16


def test_nothing_is_delayed_in_the_result(pair, denoiser):
    noisy = pair[1][:, : 2 * RATE]
    enhanced, _ = stream(noisy, always(4096), denoiser=denoiser)
    lags = [float(enhanced[0, 100:-100] @ np.roll(noisy[0], lag)[100:-100]) for lag in range(-50, 51)]
    assert np.argmax(lags) == 50


def test_the_stream_denoises(pair, denoiser):
    clean, noisy = (x[0] for x in pair)
    online = stream(noisy[None], always(1600), denoiser=denoiser)[0][0]
    assert metrics.si_sdr(clean, online) > metrics.si_sdr(clean, noisy) + 0.5
    assert metrics.pesq_wb(clean, online, RATE) > metrics.pesq_wb(clean, noisy, RATE) + 0.2


def size_of(thing):
    """Bytes of all arrays in an array, a list or an object of ours."""
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    ours = type(thing).__module__.startswith("speechjem")
    return sum(map(size_of, thing if isinstance(thing, list) else vars(thing).values() if ours else []))


def test_memory_is_bounded(denoiser):
    """Less than 1 MB a channel, which does not grow."""
    enhancer = StreamDenoiser(RATE, denoiser=denoiser)
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 6 * RATE)).astype(np.float32)
    sizes = []
    for start in range(0, noise.shape[1], 480):
        enhancer.push(noise[:, start : start + 480])
        core = enhancer._enhancer.core
        states = [core.state, core.sum, core.weight, core.upper, core.heard, core.levels, core.gains]
        sizes.append(size_of(states))
    assert max(sizes[len(sizes) // 2 :]) == max(sizes[-20:]) < 1e6


def test_silence_gives_silence(denoiser):
    assert not stream(np.zeros((1, RATE), np.float32), always(1000), denoiser=denoiser)[0].any()


@pytest.mark.parametrize("block", [np.zeros(100), np.zeros((2, 100)), np.full((1, 10), np.nan)])
def test_impossible_blocks_are_refused(block, denoiser):
    with pytest.raises(InputError, match="block"):
        StreamDenoiser(RATE, denoiser=denoiser).push(block.astype(np.float32))


@pytest.mark.parametrize(("rate", "channels"), [(0, 1), (16000, 0)])
def test_impossible_streams_are_refused(rate, channels, denoiser):
    with pytest.raises(UsageError, match="impossible"):
        StreamDenoiser(rate, channels, denoiser)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_after_the_flush_it_starts_afresh(rate):
    """A second recording comes out as if it were the first."""
    stream = speechjem.StreamDenoiser(rate)
    wave = 0.1 * np.random.default_rng(0).standard_normal((1, rate)).astype(np.float32)
    runs = [np.concatenate([stream.push(wave), stream.flush()], axis=1) for _ in range(2)]
    assert runs[0].shape == wave.shape
    np.testing.assert_array_equal(*runs)
    assert stream.flush().shape == (1, 0)


@pytest.mark.parametrize(
    ("model", "settings", "hint"),
    [("base", {}, "choose the model 'stream'"), ("stream", {"mode": "prior"}, "leave out"),
     ("stream", {"noise": 0.1}, "leave out")],
)  # fmt: skip
def test_what_no_stream_can_have_is_refused(model, settings, hint):
    with pytest.raises(UsageError, match=hint):
        StreamDenoiser(RATE, denoiser=speechjem.Denoiser(model, **settings))
