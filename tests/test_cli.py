"""The command line as a user meets it: outputs, exit codes, and one sentence for every bad input."""

import json
import math
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import librosa
import matplotlib.image
import numpy as np
import pytest
import soundfile
import speechmos.dnsmos

from speechjem import phones
from speechjem.models import checkpoint

RATE = 16000
CLEAN = soundfile.read(Path(__file__).parents[1] / "samples" / "clean.flac", dtype="float32")[0][: 3 * RATE]


def speech_like(seconds=1.0, rate=RATE, channels=1, seed=0):
    """A buzz that swells and fades, in white noise; shape (samples, channels)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20) if 120 * k < rate / 2)
    x = 0.1 * buzz * (1 + np.sin(2 * np.pi * 3 * t)) + 0.02 * rng.standard_normal(len(t))
    return np.stack([x * (1 - 0.3 * c / channels) for c in range(channels)], axis=1)


def write(path, samples=None, rate=RATE, **options):
    soundfile.write(path, speech_like(rate=rate) if samples is None else samples, rate, **options)
    return path


# What works


@pytest.mark.parametrize(
    ("name", "rate", "channels", "subtype"),
    [
        ("a.wav", 1000, 1, "PCM_16"),
        ("a.wav", 8000, 1, "PCM_16"),
        ("a.wav", 192000, 1, "PCM_24"),
        ("a.wav", 44100, 2, "FLOAT"),
        ("a.wav", RATE, 8, "PCM_16"),
        ("a.flac", 48000, 2, "PCM_24"),
        ("a.ogg", 44100, 1, "VORBIS"),
        ("a.mp3", 44100, 2, "MPEG_LAYER_III"),
    ],
)
def test_denoise_keeps_length_rate_channels_and_subtype(run, name, rate, channels, subtype):
    write(name, speech_like(0.7, rate, channels), rate, subtype=subtype)
    code, _, err = run("denoise", name, "-o", "out/" + name)
    assert (code, err) == (0, "")
    before, after = soundfile.info(name), soundfile.info("out/" + name)
    for fact in ("frames", "samplerate", "channels", "subtype"):
        assert getattr(after, fact) == getattr(before, fact)
    assert np.isfinite(soundfile.read("out/" + name)[0]).all()


def test_denoise_of_three_samples_gives_three(run):
    write("a.wav", np.array([0.1, -0.2, 0.3]))
    assert run("denoise", "a.wav")[0] == 0
    assert soundfile.info("a-denoised.wav").frames == 3


def test_denoise_leaves_silence_silent(run):
    write("a.wav", np.zeros(RATE))
    assert run("denoise", "a.wav")[0] == 0
    assert not soundfile.read("a-denoised.wav")[0].any()


def test_denoise_of_a_signal_far_above_full_scale_scales_with_it(run):
    write("a.wav", 0.5 * speech_like(), subtype="FLOAT")
    write("b.wav", 500 * speech_like(), subtype="FLOAT")
    assert run("denoise", "a.wav", "b.wav", "-o", "out")[0] == 0
    quiet, loud = (soundfile.read(f"out/{n}.wav")[0] for n in "ab")
    # Rounding in half precision differs with the level, 45 dB below.
    assert np.mean((loud - 1000 * quiet) ** 2) < 10**-4.5 * np.mean(loud**2)


def test_strength_zero_returns_the_input(run):
    write("a.wav", speech_like(rate=44100), 44100, subtype="FLOAT")
    assert run("denoise", "a.wav", "-o", "b.wav", "--strength", 0)[0] == 0
    np.testing.assert_allclose(soundfile.read("b.wav")[0], soundfile.read("a.wav")[0], atol=1e-5)


def test_denoise_mirrors_a_folder(run, tmp_path):
    for place in ("in/a.wav", "in/deep/er/b.flac"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write(place)
    assert run("denoise", "in", "-o", "out")[0] == 0
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*"))
    assert files == ["a.wav", "deep/er/b.flac"]


def test_jobs_change_nothing_but_the_time(run, tmp_path):
    for number in range(5):
        write(f"{number}.wav", speech_like(0.2 + 0.2 * number, seed=number))
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    names = [f"{number}.wav" for number in (0, 1)] + ["bad.wav"] + [f"{number}.wav" for number in (2, 3, 4)]
    for jobs in (1, 3):
        code, _, err = run("denoise", *names, "-o", f"out{jobs}", "-j", jobs)
        assert code == 1
        assert "bad.wav" in err
        assert "1 of 6" in err
    for number in range(5):
        one, three = (soundfile.read(f"out{jobs}/{number}.wav")[0] for jobs in (1, 3))
        np.testing.assert_allclose(one, three, atol=2e-3)


def test_denoise_reports_every_file_as_it_ends(run, tmp_path):
    names = ["a.wav", "b.wav", "bad.wav", "old.wav"]
    for number, name in enumerate(names):
        write(name, speech_like(0.5 + 0.25 * number))
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    write(tmp_path / "old-denoised.wav")
    code, out, err = run("denoise", *names, "-j", 2, "--json")
    rows = {row["file"]: row for row in map(json.loads, out.splitlines())}
    assert (code, set(rows)) == (1, set(names))
    for name, seconds in (("a.wav", 0.5), ("b.wav", 0.75)):
        assert (rows[name]["output"], rows[name]["seconds"]) == (name.replace(".", "-denoised."), seconds)
        assert rows[name]["elapsed"] > 0
    for name, part in (("bad.wav", "Cannot read"), ("old.wav", "--force")):
        assert part in rows[name]["error"]
        assert rows[name]["error"] in err
    refused(run("denoise", "a.wav", "-o", "-", "--json"), 2, "stdout")


def test_denoise_goes_on_where_it_was(run, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        write(f"in/{name}.wav")
    assert run("denoise", "in/b.wav", "-o", "out/b.wav") == (0, "", "")
    done = (tmp_path / "out/b.wav").stat()
    code, out, err = run("denoise", "in", "-o", "out", "--skip-done", "--json")
    assert (code, {json.loads(line)["file"] for line in out.splitlines()}) == (0, {"in/a.wav", "in/c.wav"})
    assert "1 of 3 outputs exist" in err
    assert (tmp_path / "out/b.wav").stat() == done
    code, out, err = run("denoise", "in", "-o", "out", "--skip-done", "--json")
    assert (code, out) == (0, "")
    assert "3 of 3" in err
    refused(run("denoise", "in", "-o", "in", "--skip-done"), 1, "3 of 3 files failed", "--force")
    refused(run("denoise", "in", "-o", "out", "--skip-done", "--force"), 2, "--skip-done")


def test_data_directories_are_validated_and_mended(run):
    write("a.wav")
    Path("wav.scp").write_text("u2 a.wav\nu1 a.wav\n")
    Path("utt2spk").write_text("u1 anna\n")
    code, out, err = run("data", "validate", ".")
    assert (code, out) == (1, "")
    assert "wav.scp:2: u1 comes after u2" in err
    assert "wav.scp:1: u2 is not in utt2spk" in err
    code, out, err = run("data", "fix", ".")
    assert (code, out) == (0, ".\n")
    assert "u2 is left out" in err
    assert run("data", "validate", ".") == (0, ".: 1 utterances, 1 speakers, 0.00 hours\n", "")
    assert run("data", "validate", "nowhere")[0] == 1


def aligned_directory(path="data"):
    """Two speakers, one utterance each, and a CTM for them."""
    Path(path).mkdir()
    write(f"{path}/a.wav")
    Path(path, "wav.scp").write_text("u1 a.wav\nu2 a.wav\n")
    Path(path, "utt2spk").write_text("u1 anna\nu2 bert\n")
    Path("in.ctm").write_text("u1 1 0 0.5 AH0_B\n")


def test_a_ctm_is_imported(run):
    aligned_directory()
    code, out, err = run("data", "import-ctm", "in.ctm", "data")
    assert (code, out) == (0, "data/ali.ctm\n")
    assert "u2 has no phones in in.ctm" in err
    assert Path("data/ali.ctm").read_text() == "u1 1 0.000 0.500 AH\n"
    Path("in.ctm").write_text("u1 1 0 0.5 a1\n")
    Path("phones.map").write_text("a1 AA\n")
    assert run("data", "import-ctm", "in.ctm", "data")[0] == 1  # exists
    code, _, err = run("data", "import-ctm", "in.ctm", "data", "--force")
    assert code == 1
    assert "in.ctm:1: There is no phone 'a1'" in err
    assert run("data", "import-ctm", "in.ctm", "data", "--force", "--map", "phones.map")[0] == 0
    assert Path("data/ali.ctm").read_text() == "u1 1 0.000 0.500 AA\n"


def test_a_data_directory_is_split(run):
    aligned_directory()
    Path("data/stm").touch()
    code, out, err = run("data", "split", "data", "parts", "train=0.5", "dev=1/2")
    assert (code, out) == (0, "parts/train: 1 utterances, 1 speakers\nparts/dev: 1 utterances, 1 speakers\n")
    assert "data/stm is not split" in err
    assert run("data", "validate", "parts/dev")[0] == 0
    assert run("data", "split", "data", "parts", "train=0.5", "dev=0.5")[0] == 1  # exist
    assert run("data", "split", "data", "data/split2", 2)[0] == 0
    assert run("data", "split", "data", "more", "train=2")[0] == 2
    assert "1 utterances are in no part" in run("data", "split", "data", "more", "train=0.5")[2]


def test_lhotse_and_back(run):
    aligned_directory()
    run("data", "import-ctm", "in.ctm", "data")
    manifests = ("manifests/recordings.jsonl.gz", "manifests/supervisions.jsonl.gz")
    assert run("data", "to-lhotse", "data", "manifests")[:2] == (0, "\n".join(manifests) + "\n")
    assert run("data", "to-lhotse", "data", "manifests")[0] == 1  # exist
    assert run("data", "from-lhotse", *manifests, "again")[:2] == (0, "again\n")
    for name in ("utt2spk", "ali.ctm"):
        assert Path("again", name).read_text() == Path("data", name).read_text()
    assert run("data", "from-lhotse", manifests[0], manifests[0], "more")[0] == 1


def test_verbose_tells_of_every_file_and_quiet_of_errors_only(run):
    for name in "ab":
        write(f"{name}.wav", speech_like(0.2))
    told = run("denoise", "a.wav", "b.wav", "-o", "out", "-v")[2].splitlines()
    assert [line.split(": done in ")[0] for line in told] == ["speechjem: a.wav", "speechjem: b.wav"]
    assert run("generate", "--text", "hello blorting", "-q")[2] == ""
    code, _, err = run("classify", "a.wav", "no.wav", "--quiet", "--json")
    assert (code, err.count("\n")) == (1, 2)
    assert "no.wav" in err


def test_what_a_script_reads_is_json(run):
    names = [json.loads(line)["name"] for line in run("phones", "--json")[1].splitlines()]
    assert names == list(phones.PHONES)
    write("a.wav")
    Path("wav.scp").write_text("u1 a.wav\n")
    Path("utt2spk").write_text("u1 anna\nu2 anna\n")
    code, out, err = run("data", "validate", ".", "--json")
    report = json.loads(out)
    assert (code, err, report["utterances"]) == (1, "", 1)
    assert any("utt2spk:2" in problem for problem in report["problems"])


@pytest.mark.parametrize(("variable", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_obeyed(variable, coloured):
    environment = os.environ | {"FORCE_COLOR": "1"} | variable
    words = [sys.executable, "-m", "speechjem", "denoise", "--help"]
    out = subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout
    assert bool(re.search(r"\x1b\[(\d;)*3\dm", out)) == coloured


@pytest.mark.parametrize("mode", ["descent", "prior"])
def test_same_seed_same_output(run, mode):
    write("a.wav")
    for name, seed in (("x", 1), ("y", 1), ("z", 2)):
        options = ("--mode", mode, "--steps", 2, "--noise", 0.5, "--seed", seed)
        assert run("denoise", "a.wav", "-o", f"{name}.wav", *options)[0] == 0
    x, y, z = (soundfile.read(f"{name}.wav")[0] for name in "xyz")
    assert (x == y).all()
    assert (x != z).any()


def test_generate_makes_folders_and_numbers_its_files(run):
    code, out, _ = run(
        "generate", "--phoneme", "AA", "--seconds", 0.2, "-n", 3, "-o", "new/aa.wav", "--seed", 4
    )
    assert code == 0
    assert out.split() == ["new/aa-1.wav", "new/aa-2.wav", "new/aa-3.wav"]
    x = [soundfile.read(name)[0] for name in out.split()]
    assert [len(y) for y in x] == [3200] * 3
    assert (x[0] != x[1]).any()
    rms = [20 * np.log10(np.sqrt(np.mean(y**2))) for y in x]
    assert all(-40 < level < -15 for level in rms)


def test_generate_a_sequence_with_durations(run):
    words = ("--phonemes", "hh ah l ow", "--durations", "0.1 0.1 0.08 0.2", "-o", "hello.wav")
    assert run("generate", *words)[0] == 0
    assert soundfile.info("hello.wav").frames == round(0.48 * RATE)


def test_generate_text_and_speech_without_text(run):
    code, _, err = run("generate", "--text", "hello blorting", "-o", "hello.wav")
    assert code == 0
    assert "'blorting' is not in the dictionary" in err
    assert 0.8 < soundfile.info("hello.wav").duration < 2.5
    assert run("generate", "--seconds", 1.5, "-o", "any.wav")[0] == 0
    assert soundfile.info("any.wav").frames == 1.5 * RATE


def test_generate_draws_its_chain_and_overwrites_no_picture(run):
    words = ("generate", "--phoneme", "iy", "--seconds", 0.2, "--plot", "chain.png")
    code, out, _ = run(*words)
    assert (code, out.split()) == (0, ["out.wav", "chain.png"])
    assert Path("chain.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = run("generate", "--phoneme", "iy", "--plot", "chain.doc", "-o", "other.wav")
    assert code == 2
    assert "Cannot write a picture as '.doc'" in err
    code, _, err = run(*words, "-o", "other.wav")
    assert code == 1
    assert "chain.png exists" in err
    assert not Path("other.wav").exists()


def test_plot_denoises_or_takes_what_was_denoised(run, tmp_path):
    write("in.wav", speech_like(0.5, 44100, 2), 44100)
    assert run("plot", "in.wav")[:2] == (0, "in-plot.png\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in-plot.png", "in.wav"]
    assert run("denoise", "in.wav", "-o", "out.wav", "--mode", "descent")[0] == 0
    assert run("plot", "in.wav", "out.wav", "-o", "other.png")[:2] == (0, "other.png\n")
    assert run("plot", "in.wav", "in.wav", "-o", "same.png")[0] == 0
    pictures = [matplotlib.image.imread(name) for name in ("in-plot.png", "other.png", "same.png")]
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.2 * np.abs(pictures[0] - pictures[2]).mean()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("no.wav",), 1, "no.wav"),
        (("a.wav", "text.wav"), 1, "text.wav"),
        (("a.wav", "-o", "there.png"), 1, "--force"),
        (("a.wav", "-o", "text.wav/plot.png"), 1, "Cannot write text.wav/plot.png"),
        (("a.wav", "-o", "a.doc"), 2, "Cannot write a picture as '.doc'"),
        (("a.wav", "--model", "nowhere"), 1, "nowhere"),
    ],
)
def test_plot_refuses_what_cannot_be(run, tmp_path, words, code, part):
    write("a.wav")
    for name in ("text.wav", "there.png"):
        (tmp_path / name).write_text("precious")
    refused(run("plot", *words), code, part)
    assert (tmp_path / "there.png").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 3


def test_generate_like_a_voice(run):
    write("voice.wav", librosa.resample(CLEAN, orig_sr=RATE, target_sr=22050), 22050)
    assert run("generate", "--text", "hello", "--like", "voice.wav", "-o", "hello.wav")[0] == 0
    level = 10 * np.log10(np.mean(soundfile.read("hello.wav")[0] ** 2))
    assert level == pytest.approx(10 * np.log10(np.mean(CLEAN**2)), abs=0.5)


def test_inpaint_and_convert_write_beside_the_input(run):
    write("in.flac", np.stack([CLEAN, 0.5 * CLEAN], 1), subtype="PCM_24")
    assert run("inpaint", "in.flac", "--from", 1.0, "--to", 1.1)[1].strip() == "in-inpainted.flac"
    assert run("convert", "in.flac", "--from", "s", "--to", "sh")[1].strip() == "in-converted.flac"
    before = soundfile.read("in.flac")[0]
    for name, alike in (("inpainted", slice(0, RATE)), ("converted", slice(0, 0))):
        after, rate = soundfile.read(f"in-{name}.flac")
        assert (after.shape, rate) == (before.shape, RATE)
        assert soundfile.info(f"in-{name}.flac").subtype == "PCM_24"
        assert np.abs(after - before).max() > 0.001
        assert (after[alike] == before[alike]).all()


def test_score_prints_a_table_and_json(run):
    clean = speech_like(2.0)
    write("clean.wav", clean)
    write("noisy.wav", clean + 0.03 * np.random.default_rng(1).standard_normal(clean.shape))
    code, out, _ = run("score", "clean.wav", "noisy.wav")
    assert code == 0
    assert "si_sdr" in out
    code, out, _ = run("score", "clean.wav", "noisy.wav", "--json")
    row = json.loads(out)
    noise_power, speech_power = 0.03**2, np.mean(clean**2)
    assert row["si_sdr"] == pytest.approx(10 * np.log10(speech_power / noise_power), abs=0.2)


def test_score_says_why_a_metric_is_missing(run):
    write("clean.wav", np.zeros(RATE))
    write("noisy.wav")
    row = json.loads(run("score", "clean.wav", "noisy.wav", "--json")[1])
    assert row["pesq_wb"] is None
    assert "silent" in row["reasons"]["pesq_wb"]


def test_score_without_reference_gives_what_speechmos_gives(run):
    # DNSMOS takes a second of computation for each second beyond nine: excerpts are enough.
    sample = Path(__file__).parents[1] / "samples" / "noisy.flac"
    noisy, rate = soundfile.read(sample, dtype="float32", frames=4 * RATE)
    os.makedirs("out/deep")
    for name, levels in (("out/a.wav", [1]), ("out/deep/b.wav", [1, 0.5])):
        soundfile.write(name, np.stack([noisy * level for level in levels], axis=1), rate, "FLOAT")
    write("out/silent.wav", np.zeros(RATE))
    write("alone.wav", speech_like(1.0))
    code, out, _ = run("score", "--no-reference", "out", "alone.wav", "--json")
    rows = {row["file"]: row for row in map(json.loads, out.splitlines())}
    assert code == 0
    assert set(rows) == {"out/a.wav", "out/deep/b.wav", "out/silent.wav", "alone.wav"}
    expected = [speechmos.dnsmos.run(noisy * level, rate)["ovrl_mos"] for level in (1, 0.5)]
    assert rows["out/a.wav"]["dnsmos_ovrl"] == pytest.approx(expected[0], abs=1e-3)
    assert rows["out/deep/b.wav"]["dnsmos_ovrl"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert rows["out/silent.wav"]["dnsmos_sig"] is None
    assert "silent" in rows["out/silent.wav"]["reasons"]["dnsmos_sig"]
    code, out, _ = run("score", "--no-reference", "out/a.wav", "out/silent.wav")
    assert "mean of 2" in out
    assert "dnsmos_bak" in out


def test_score_without_reference_names_what_it_cannot_judge(run, monkeypatch):
    write("good.wav", speech_like(1.0))
    with open("bad.wav", "wb") as file:
        file.write(b"no audio")
    refused(run("score", "--no-reference", "good.wav", "bad.wav"), 1, "bad.wav")
    refused(run("score", "good.wav"), 2, "--no-reference")
    refused(run("score", "good.wav", "good.wav", "good.wav"), 2, "--no-reference")
    monkeypatch.setitem(sys.modules, "speechmos", None)
    refused(run("score", "--no-reference", "good.wav"), 1, "pip install 'speechjem[score]'")


def test_classify_writes_a_ctm_without_gaps(run):
    write("utt.wav", speech_like(1.5))
    code, out, _ = run("classify", "utt.wav", "--ctm")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert {row[0] for row in rows} == {"utt"}
    end = 0.0
    for _, channel, start, duration, _ in rows:
        assert channel == "1"
        assert float(start) == pytest.approx(end, abs=2e-3)
        end = float(start) + float(duration)
    assert end == pytest.approx(1.5, abs=2e-3)


def test_classify_json_has_the_phones_of_the_table(run):
    write("utt.wav")
    row = json.loads(run("classify", "utt.wav", "--json")[1])
    table = run("classify", "utt.wav")[1]
    assert row["utterance"] == "utt"
    assert all(f" {segment['phone']} " in table for segment in row["phones"])


def test_info_counts_the_stored_parameters(run):
    code, out, _ = run("info", "--json")
    facts = json.loads(out)
    path = checkpoint.shipped_folder() / "model.safetensors"
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    weights = ("jem.", "descent.", "speaking.log_size")  # the rest are statistics of speech
    sizes = [math.prod(known["shape"]) for name, known in header.items() if name.startswith(weights)]
    assert code == 0
    assert facts["parameters"] == sum(sizes)


def test_phones_lists_forty(run):
    out = run("phones")[1]
    assert sum("│" in line for line in out.splitlines()) == 40


def test_help_imports_nothing_that_takes_long():
    code = (
        "import sys; sys.argv = ['speechjem', '--help']\n"
        "from speechjem import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'soundfile', 'gradio'} & set(sys.modules)\n"
        "sys.exit(str(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "denoise" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "denoise",
        "generate",
        "inpaint",
        "convert",
        "score",
        "classify",
        "train",
        "export",
        "plot",
        "models",
        "info",
        "phones",
    ],
)
def test_every_command_has_help(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage" in out


def test_version(run):
    assert run("--version")[1].startswith("speechjem 0.")


# What is refused: exit code and a sentence that names the culprit


def refused(result, code, *parts):
    assert result[0] == code
    for part in parts:
        assert part in result[2]


def test_a_missing_file_is_named(run):
    refused(run("denoise", "nope.wav"), 1, "nope.wav")


def test_the_rest_of_a_batch_is_done(run, tmp_path):
    write("good.wav")
    write("also.wav")
    result = run("denoise", "good.wav", "nope.wav", "also.wav", "-o", "out")
    refused(result, 1, "nope.wav", "1 of 3")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["also.wav", "good.wav"]


def test_a_folder_without_audio_is_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(run("denoise", "empty", "-o", "out"), 1, "empty")


def test_a_folder_needs_an_output_folder(run, tmp_path):
    (tmp_path / "in").mkdir()
    write("in/a.wav")
    refused(run("denoise", "in"), 2, "-o FOLDER")
    refused(run("denoise", "in", "-o", "out.wav"), 2, "out.wav")


def test_text_named_wav_is_refused(run, tmp_path):
    (tmp_path / "a.wav").write_text("not audio at all\n" * 100)
    refused(run("denoise", "a.wav"), 1, "a.wav")


def test_a_truncated_header_is_refused(run, tmp_path):
    whole = write(tmp_path / "b.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:20])
    refused(run("denoise", "a.wav"), 1, "a.wav")
    assert not (tmp_path / "a-denoised.wav").exists()


def test_zero_samples_are_refused(run):
    write("a.wav", np.zeros(0))
    refused(run("denoise", "a.wav"), 1, "a.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(run, bad):
    samples = speech_like()
    samples[100] = bad
    write("a.wav", samples, subtype="FLOAT")
    refused(run("denoise", "a.wav"), 1, "a.wav")


def test_an_output_that_cannot_be_written_is_named(run, tmp_path):
    write("a.wav")
    (tmp_path / "file").write_text("in the way")
    refused(run("denoise", "a.wav", "-o", "file/out.wav"), 1, "file/out.wav")


def test_an_existing_output_needs_force(run, tmp_path):
    write("a.wav")
    (tmp_path / "b.wav").write_text("precious")
    refused(run("denoise", "a.wav", "-o", "b.wav"), 1, "b.wav", "--force")
    assert (tmp_path / "b.wav").read_text() == "precious"
    assert run("denoise", "a.wav", "-o", "b.wav", "--force")[0] == 0
    assert soundfile.info("b.wav").frames == RATE


def test_two_inputs_for_one_output_are_refused(run, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write(f"{folder}/a.wav")
    refused(run("denoise", "x/a.wav", "y/a.wav", "-o", "out"), 2, "x/a.wav", "y/a.wav")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--phoneme", "qq"), "AA AE AH"),
        (("--phoneme", "aa", "--seconds", "0"), "more than 0"),
        (("--phoneme", "aa", "--seconds", "-1"), "more than 0"),
        (("--phoneme", "aa", "--seconds", "nan"), "more than 0"),
        (("--phoneme", "aa", "--seconds", "3600"), "at most"),
        (("--phoneme", "aa", "-n", "0"), "at least 1"),
        (("--phonemes", "aa iy", "--durations", "0.1"), "2 phones but 1"),
        (("--phonemes", "aa iy", "--durations", "0.1 x"), "0.1 x"),
        (("--phonemes", " "), "hh ah l ow"),
        (("--phoneme", "aa", "--steps", "0"), "1 step"),
        (("--phoneme", "aa", "--device", "abacus"), "abacus"),
        ((), "--phoneme"),
        (("--text", "hello", "--phoneme", "aa"), "one of"),
        (("--text", "hello", "--seconds", "1"), "--text"),
        (("--text", "route 你"), "你"),
        (("--text", "..."), "no words"),
        (("--durations", "0.1", "--phoneme", "aa"), "--phonemes"),
        (("--seconds", "0"), "more than 0"),
        (("--seconds", "3600"), "at most"),
        (("--phoneme", "aa", "--pitch", "5000"), "5000 Hz"),
        (("--phoneme", "aa", "--temperature", "-1"), "temperature"),
    ],
)
def test_generate_refuses_wrong_usage(run, tmp_path, words, part):
    refused(run("generate", *words), 2, part)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("inpaint", "a.wav", "--from", "0.6", "--to", "0.5"), 2, "before it ends"),
        (("inpaint", "a.wav", "--from", "0.6", "--to", "7"), 2, "too long"),
        (("inpaint", "no.wav", "--from", "0", "--to", "1"), 1, "no.wav"),
        (("convert", "a.wav", "--from", "qq", "--to", "s"), 2, "AA AE AH"),
        (("convert", "a.wav", "--from", "zh", "--to", "s"), 1, "No ZH"),
        (("generate", "--text", "hello", "--like", "no.wav"), 1, "no.wav"),
        (("generate", "--text", "hello", "--like", "silent.wav"), 1, "no speech"),
    ],
)
def test_editing_refuses_what_cannot_be(run, tmp_path, words, code, part):
    write("a.wav")
    write("silent.wav", np.zeros((RATE, 1)))
    refused(run(*words), code, part)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "silent.wav"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--strength", "1.5"), "between 0 and 1"),
        (("--steps", "0"), "steps"),
        (("--steps", "99"), "trained for 1 to"),
        (("--mode", "magic"), "descent, prior"),
        (("--noise", "-1"), "noise"),
        (("--step-size", "inf"), "step size"),
        (("--frobnicate",), "--frobnicate"),
    ],
)
def test_denoise_refuses_wrong_usage(run, words, part):
    write("a.wav")
    refused(run("denoise", "a.wav", *words), 2, part)


@pytest.mark.parametrize("damage", ["missing", "not json", "foreign", "half", "other"])
def test_a_corrupt_or_foreign_model_is_refused(run, tmp_path, damage):
    write("a.wav")
    shipped, folder = checkpoint.shipped_folder(), tmp_path / "model"
    folder.mkdir()
    config = (shipped / "config.json").read_bytes()
    weights = (shipped / "model.safetensors").read_bytes()
    if damage != "missing":
        text = {"not json": b"{", "foreign": b'{"model_type": "bert"}'}.get(damage, config)
        (folder / "config.json").write_bytes(text)
        content = {"half": weights[: len(weights) // 2], "other": b"\x80\x04K\x01."}.get(damage, weights)
        (folder / "model.safetensors").write_bytes(content)
    refused(run("denoise", "a.wav", "--model", folder), 1, str(folder))
    assert not (tmp_path / "a-denoised.wav").exists()


def test_score_refuses_a_folder_without_partners(run, tmp_path):
    for place in ("clean/a.wav", "out/b.wav"):
        (tmp_path / place).parent.mkdir()
        write(place)
    refused(run("score", "clean", "out"), 1, "b.wav")


def test_train_names_what_is_wrong_with_its_configuration(run, tmp_path):
    (tmp_path / "bad.yaml").write_text("learning_rat: 1\n")
    refused(run("train", "nope.yaml"), 1, "nope.yaml")
    refused(run("train", "bad.yaml"), 1, "bad.yaml", "learning_rat")
    (tmp_path / "good.yaml").write_text("updates: 1\n")
    refused(run("train", "good.yaml"), 2, "--labelled")
    refused(run("train", "good.yaml", "--labelled", "nowhere"), 1, "nowhere")


def test_an_interrupt_is_said_and_leaves_nothing_half_written(tmp_path):
    write(tmp_path / "long.wav", np.tile(speech_like(10.0, 48000), (30, 1)), 48000)
    command = [sys.executable, "-m", "speechjem", "denoise", "long.wav", "-o", "out.wav"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # Background jobs of a shell inherit it as ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not any(path.name != "long.wav" for path in tmp_path.iterdir()):  # the output, under another name
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Interrupted" in err
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]
