"""Standard input and output, as a shell and Kaldi's wav.scp use them: real processes."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import speechjem

RATE = 16000
SPEECHJEM = [sys.executable, "-m", "speechjem"]


def noisy(seconds: float = 1.0, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * RATE)) / RATE
    x = 0.1 * np.sin(2 * np.pi * 200 * t) * (1 + np.sin(2 * np.pi * 3 * t)) + 0.02 * rng.standard_normal(
        len(t)
    )
    return np.tile(x[:, None], (1, channels)).astype(np.float32)


def wav(samples: np.ndarray, rate: int = RATE, **options: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, **{"format": "WAV", "subtype": "FLOAT", **options})
    return buffer.getvalue()


def run(*words: str, given: bytes = b"") -> tuple[int, bytes, str]:
    done = subprocess.run([*SPEECHJEM, *words], input=given, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr.decode()


def test_a_wav_goes_through_as_the_function_does_it():
    code, out, err = run("denoise", "-", "-o", "-", given=wav(noisy(channels=2)))
    assert (code, err) == (0, "")
    enhanced, rate = soundfile.read(io.BytesIO(out), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(enhanced.T, speechjem.denoise(noisy(channels=2).T, RATE), atol=1e-6)


def test_raw_samples_go_through_as_they_would_in_a_wav():
    ints = np.round(noisy(rate_seconds := 0.5) * 32767).astype("<i2")
    code, out, err = run("denoise", "-", "-o", "-", "--raw", "--rate", "16000", given=ints.tobytes())
    assert (code, err) == (0, "")
    enhanced = np.frombuffer(out, "<i2")
    assert len(enhanced) == int(rate_seconds * RATE)
    expected = speechjem.denoise(ints[:, 0] / np.float32(32768), RATE)
    np.testing.assert_allclose(enhanced / 32768, expected, atol=2 / 32768)


def test_a_header_that_does_not_know_the_length_is_read_to_the_end():
    """What sox and ffmpeg write into a pipe: sizes of 2^32 - 1."""
    given = bytearray(wav(noisy(), subtype="PCM_16"))
    assert given[36:40] == b"data"
    given[4:8] = given[40:44] = b"\xff\xff\xff\xff"
    code, out, err = run("denoise", "-", given=bytes(given))
    assert (code, err) == (0, "")
    assert soundfile.info(io.BytesIO(out)).frames == RATE


def test_pipes_and_files_mix(tmp_path):
    (tmp_path / "in.wav").write_bytes(wav(noisy()))
    target = tmp_path / "out.flac"
    assert run("denoise", "-", "-o", str(target), given=wav(noisy()))[0] == 0
    assert soundfile.info(target).frames == RATE
    code, out, _ = run("denoise", str(tmp_path / "in.wav"), "-o", "-")
    assert code == 0
    assert soundfile.info(io.BytesIO(out)).frames == RATE


def test_a_flac_comes_out_as_wav():
    given = wav(noisy(), format="FLAC", subtype="PCM_24")
    code, out, _ = run("denoise", "-", given=given)
    assert code == 0
    assert (soundfile.info(io.BytesIO(out)).format, soundfile.info(io.BytesIO(out)).subtype) == (
        "WAV",
        "PCM_24",
    )


@pytest.mark.parametrize(
    ("words", "given", "code", "message"),
    [
        (["-"], b"not audio", 1, "Cannot read"),
        (["-"], b"", 1, "Cannot read"),
        (["-", "--raw", "--rate", "16000"], b"", 1, "no samples"),
        (["-", "--raw"], b"", 2, "--rate"),
        (["-", "--rate", "16000"], b"", 2, "--raw"),
        (["a.wav", "--raw", "--rate", "16000"], b"", 2, "standard input"),
        (["-", "a.wav"], b"", 2, "only input"),
        (["a.wav", "b.wav", "-o", "-"], b"", 2, "one recording"),
        ([], b"", 2, "speechjem live"),
    ],
)
def test_what_cannot_be_piped_is_said_in_one_sentence(words, given, code, message):
    done, out, err = run("denoise", *words, given=given)
    assert (done, out) == (code, b"")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_reader_that_goes_away_is_named():
    """Like `speechjem denoise - | head -c 10`."""
    process = subprocess.Popen(
        [*SPEECHJEM, "denoise", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    process.stdin.write(wav(noisy(10.0)))
    process.stdin.close()
    message = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 1
    assert "closed" in message
    assert "Traceback" not in message


def test_a_joined_ogg_comes_out_whole(tmp_path):
    (tmp_path / "in.ogg").write_bytes(2 * wav(noisy(0.5), format="OGG", subtype="VORBIS"))
    assert run("denoise", str(tmp_path / "in.ogg"), "-o", str(tmp_path / "out.wav"))[0] == 0
    assert soundfile.info(tmp_path / "out.wav").frames == RATE


def test_a_wav_of_size_0_from_a_pipe_comes_out_whole():
    given = bytearray(wav(noisy(), subtype="PCM_16"))
    given[4:8] = given[40:44] = bytes(4)
    code, out, err = run("denoise", "-", given=bytes(given))
    assert (code, err) == (0, "")
    assert soundfile.info(io.BytesIO(out)).frames == RATE
