"""The stream: independent of block sizes, its delay, and what it gives beside the offline result."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import speechjem
from speechjem import metrics
from speechjem.denoising import streaming
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
    return speechjem.Denoiser()


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


def test_the_sizes_of_the_blocks_do_not_matter(pair, denoiser):
    noisy = pair[1][:, : int(1.5 * RATE)]
    whole, _ = stream(noisy, always(noisy.shape[1]), denoiser=denoiser)
    for sizes in (always(160), always(4096), ragged()):
        np.testing.assert_allclose(stream(noisy, sizes, denoiser=denoiser)[0], whole, atol=1e-6)


def test_the_stream_is_the_offline_result_of_the_same_look_ahead(pair):
    """Frame by frame from the whole recording: each gain from the frames that the stream may hear by then."""
    noisy, denoiser = pair[1][:, :RATE], speechjem.Denoiser(precision="float32")
    model, hop = denoiser.model, 160
    waveform = torch.from_numpy(noisy)
    gains = []
    for frame in range(0, RATE // hop - 8, streaming.BLOCK):
        heard = waveform[:, : (frame + streaming.BLOCK + streaming.AHEAD - 1) * hop + 256]
        # Shorter than what the running level remembers by far: weights are those of an exponential.
        ends = [(streaming.BLOCK + streaming.AHEAD - 1) * hop + 256]
        while ends[-1] < heard.shape[1]:
            ends.append(ends[-1] + streaming.BLOCK * hop)
        edges = [0, *ends]
        weights = np.exp([-(heard.shape[1] - end) / (3.0 * RATE) for end in ends])
        powers = [
            float(np.sum(noisy[0, a:b].astype(float) ** 2)) for a, b in zip(edges, edges[1:], strict=False)
        ]
        mean = np.dot(weights, powers) / np.dot(weights, np.diff(edges))
        spectrum = model.fbank.stft(heard * 10 ** (-26 / 20) / np.sqrt(mean))
        first = max(0, frame - streaming.PAST)
        heard = spectrum[:, first : frame + streaming.BLOCK + streaming.AHEAD]
        gain = denoiser.path.gain((heard.real, heard.imag))
        gains.append(gain[:, frame - first : frame - first + streaming.BLOCK])
    gain = torch.cat(gains, 1)
    frames = gain.shape[1]
    spectrum = model.fbank.stft(waveform)
    spectrum[:, :frames] *= gain
    expected = model.fbank.istft(spectrum, RATE)[:, : (frames - 2) * hop].numpy()
    got, _ = stream(noisy, always(RATE), denoiser=denoiser)
    np.testing.assert_allclose(got[:, : expected.shape[1]], expected, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("length", [1, 500, 20011])
def test_what_comes_out_is_as_long_as_what_goes_in(rate, length, denoiser):
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, length)).astype(np.float32)
    assert stream(noise, ragged(), rate, denoiser)[0].shape == noise.shape


def test_nothing_comes_later_than_the_latency(pair, denoiser):
    latency = StreamDenoiser(RATE, denoiser=denoiser).latency
    assert latency <= 0.08
    _, received = stream(pair[1][:, :RATE], always(16), denoiser=denoiser)
    assert max(given - back for given, back in received) <= latency * RATE + 16


def test_nothing_is_delayed_in_the_result(pair, denoiser):
    noisy = pair[1][:, : 2 * RATE]
    enhanced, _ = stream(noisy, always(4096), denoiser=denoiser)
    lags = [float(enhanced[0, 100:-100] @ np.roll(noisy[0], lag)[100:-100]) for lag in range(-50, 51)]
    assert np.argmax(lags) == 50


def test_the_stream_comes_near_to_the_offline_result(pair, denoiser):
    clean, noisy = (x[0] for x in pair)
    online = stream(noisy[None], always(1600), denoiser=denoiser)[0][0]
    before, after = metrics.si_sdr(clean, noisy), metrics.si_sdr(clean, online)
    offline = metrics.si_sdr(clean, denoiser(noisy, RATE))
    assert after > before + 1.8
    assert metrics.pesq_wb(clean, online, RATE) > metrics.pesq_wb(clean, noisy, RATE) + 0.3
    assert after > offline - 2


def test_memory_is_bounded(denoiser):
    enhancer = StreamDenoiser(RATE, denoiser=denoiser)
    sizes = []
    for _ in range(4):
        enhancer.push(np.zeros((1, RATE), np.float32))
        sizes.append(enhancer._enhancer.core.heard.length)
    assert sizes[-1] == sizes[-2] <= (streaming.PAST + 10) * 160


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
