"""What commands meet around them: a user who may write nowhere, closed streams, terminals, odd names."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from speechjem import classification

SAMPLES = Path(__file__).parents[1] / "samples"
RATE = 16000
COMMAND = [sys.executable, "-m", "speechjem"]


def write(path, seconds=0.5):
    noise = 0.05 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise, RATE)


# A user without a home


@pytest.fixture
def stranger(tmp_path):
    """Run a command line as a user who may read all and write nowhere but to the folder."""
    capability = "dac_read_search"
    user = [
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps=-all,+{capability}",
        f"--ambient-caps=+{capability}", f"--bounding-set=-all,+{capability}",
    ]  # fmt: skip
    tmp_path.chmod(0o777)

    def command(*words):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG", "NUMBA"))}
        environment = kept | {"HOME": "/nonexistent"}
        whole = [*([] if os.getuid() else user), *COMMAND, *map(str, words)]
        return subprocess.run(whole, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return command


@pytest.mark.parametrize(
    "words",
    [
        ("classify", SAMPLES / "clean.flac", "--json"),
        ("convert", SAMPLES / "clean.flac", "--from", "s", "--to", "sh", "-o", "out.wav"),
        ("generate", "--phoneme", "aa", "--seconds", 0.1, "--like", SAMPLES / "clean.flac", "-o", "out.wav"),
    ],
    ids=lambda words: words[0],
)
def test_a_user_without_a_home_can_do_everything(stranger, tmp_path, words):
    result = stranger(*words)
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.iterdir())) == ("-o" in words)


def test_the_smoothest_path_is_that_of_librosa():
    rng = np.random.default_rng(0)
    for frames in (1, 2, 300):
        posteriors = rng.dirichlet(np.full(40, 0.1), frames).astype(np.float32)
        stay = librosa.sequence.transition_loop(40, 1 - 0.01 / classification.MEAN_SECONDS)
        scaled = (posteriors / posteriors.sum(1, keepdims=True)).T.astype(np.float64)
        expected = librosa.sequence.viterbi_discriminative(scaled, stay)
        np.testing.assert_array_equal(classification._smooth(posteriors, 0.01), expected)


# A folder that may not be written to


@pytest.mark.parametrize(
    "words",
    [
        ("denoise", "a.wav"),
        ("generate", "--phoneme", "aa", "--seconds", 0.1, "-o", "out.wav"),
        ("export", "-o", "out.onnx"),
        ("data", "split", "kaldi", "out", "2"),
    ],
    ids=lambda words: words[0],
)
def test_a_read_only_folder_is_named_with_the_cause(bound, tmp_path, words):
    write(tmp_path / "a.wav")
    (tmp_path / "kaldi").mkdir()
    (tmp_path / "kaldi" / "wav.scp").write_text("u1 a.wav\nu2 a.wav\n")
    (tmp_path / "kaldi" / "utt2spk").write_text("u1 s1\nu2 s2\n")
    tmp_path.chmod(0o555)
    result = bound(*words)
    tmp_path.chmod(0o755)
    assert result.returncode == 1
    assert "Permission denied" in result.stderr
    assert "System error" not in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "kaldi"]


# Names


NAMES = ["Talk [dQw4w9WgXcQ].wav", "a[/x].wav", "[bold red].wav", "a:smile:.wav", "[link=x]y.wav"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_markup(run, name):
    for place in ("clean", "out"):
        write(f"{place}/{name}", 1.0)
    assert name in run("score", "clean", "out")[1]
    assert Path(name).stem in run("classify", f"clean/{name}")[1]
    code, _, err = run("denoise", f"clean/{name}", "-o", "new", "--verbose")
    assert code == 0
    assert f"clean/{name}: done" in err
    assert f"new/{Path(name).name} exists" in run("denoise", f"clean/{name}", "-o", "new")[2]
    assert f"No such file: {name}" in run("denoise", name)[2]
    assert name in run("models", "info", name)[2]
    Path("models", name).mkdir(parents=True)
    for part in ("config.json", "model.safetensors"):
        os.symlink(Path(__file__).parents[1] / "models" / "base" / part, Path("models", name, part))
    assert name in run("models", "list", "models")[1]
    assert name in run("models", "info", f"models/{name}")[1]


def test_names_are_no_markup_beside_a_progress_bar(tmp_path):
    for name in NAMES[:2]:
        write(tmp_path / "in" / name)
    (tmp_path / "in" / "b[").mkdir()
    (tmp_path / "in" / "b[" / "y].wav").write_text("no audio")
    main, worker = pty.openpty()
    words, terminal = [*COMMAND, "denoise", "in", "-o", "out"], {"TERM": "xterm"}
    result = subprocess.run(words, cwd=tmp_path, stderr=worker, env=os.environ | terminal)
    os.close(worker)
    shown = os.read(main, 1 << 16).decode()
    os.close(main)
    assert result.returncode == 1
    assert "Traceback" not in shown
    assert "b[/y].wav as audio" in shown


# Streams


def shell(line, folder, **environment):
    return subprocess.run(
        ["bash", "-c", line.replace("speechjem", shlex.join(COMMAND))],
        cwd=folder, env=os.environ | environment, capture_output=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("speechjem phones 2>&-", 0, ""),
        ("speechjem phones >&-", 1, "Bad file descriptor"),
        ("speechjem denoise in -o out <&- >&- 2>&-", 0, ""),
        ("speechjem denoise gone.wav -o out 2>&-", 1, ""),
        ("speechjem denoise - -o - <&-", 1, "Standard input cannot be read (Bad file descriptor)"),
        ("speechjem denoise in/a.wav -o - >&-", 1, "Standard output cannot be written (Bad file descriptor)"),
        ("speechjem --nonsense 2>&-", 2, ""),
    ],
)
def test_closed_streams_end_in_an_exit_code_and_harm_no_file(tmp_path, line, code, message):
    write(tmp_path / "in" / "a.wav", 1.0)
    result = shell(line, tmp_path)
    assert result.returncode == code
    assert message in result.stderr.decode()
    assert b"Traceback" not in result.stderr
    if "-o out" in line and code == 0:
        assert shell("speechjem denoise in -o normal", tmp_path).returncode == 0
        made, normal = (tmp_path / folder / "a.wav" for folder in ("out", "normal"))
        assert made.read_bytes() == normal.read_bytes()


def test_signs_that_a_terminal_lacks_are_spelt_out(tmp_path):
    write(tmp_path / "音.wav", 1.0)
    result = shell("speechjem phones", tmp_path, PYTHONIOENCODING="cp1252")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"\\u0292" in result.stdout
    result = shell("speechjem score 音.wav 音.wav", tmp_path, PYTHONIOENCODING="cp1252")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"\\u97f3.wav" in result.stdout


def test_names_of_any_bytes_are_printed_as_they_are(tmp_path):
    name = os.fsdecode(b"b\xff.wav")
    write(tmp_path / "a.wav")
    os.rename(tmp_path / "a.wav", tmp_path / name)
    result = subprocess.run(
        [*COMMAND, "inpaint", name, "--from", "0.1", "--to", "0.15"], cwd=tmp_path, capture_output=True
    )
    assert (result.returncode, result.stdout) == (0, b"b\xff-inpainted.wav\n")


@pytest.mark.parametrize(
    ("given", "part"), [(b"", "standard input"), (b"no audio", "standard input"), (b"RIFF", "standard input")]
)
def test_errors_about_standard_input_do_not_name_a_temporary_file(given, part):
    result = subprocess.run([*COMMAND, "denoise", "-", "-o", "-"], input=given, capture_output=True)
    assert result.returncode == 1
    assert part in result.stderr.decode().lower()
    assert "/" not in result.stderr.decode()
    assert result.stderr.decode().removeprefix("speechjem: ")[0].isupper()
