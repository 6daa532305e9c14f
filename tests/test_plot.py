"""The pictures show what they should: checked on their pixels."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from speechjem import audio, plot
from speechjem.classification import Classifier
from speechjem.errors import InputError, UsageError

RATE = 16000
TONE = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
SILENCE = np.zeros(RATE)


def pixels(path: Path) -> np.ndarray:
    """Read a picture as (height, width, 3) in 0..1."""
    return imread(path)[:, :, :3]


def bright(image: np.ndarray) -> np.ndarray:
    """Find the orange-to-yellow upper part of the colour map, left of the colour bar."""
    image = image[:, : int(0.85 * image.shape[1])]
    return (image[..., 0] > 0.9) & (image.max(-1) - image.min(-1) > 0.2)


def near(image: np.ndarray, colour: str) -> int:
    """Count the pixels close to a colour."""
    return int((np.abs(image - np.array(to_rgb(colour))).max(-1) < 0.08).sum())


def rows(n: int, **values: float) -> list[dict[str, float]]:
    return [{"update": 10 * i, **values} for i in range(n)]


def test_import_does_not_load_matplotlib() -> None:
    code = "import sys, speechjem.plot; sys.exit('matplotlib' in sys.modules)"
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_pyplot_is_not_used(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from speechjem import plot;"
        f"plot.before_after(np.ones(9), np.ones(9), 16000, {str(tmp_path / 'a.png')!r});"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(device="cpu")


@pytest.fixture(scope="module")
def speech() -> audio.Audio:
    whole = audio.read(Path(__file__).parents[1] / "samples" / "clean.flac")
    return replace(whole, samples=whole.samples[:, RATE : 3 * RATE])


def panel(image: np.ndarray, top: float, bottom: float) -> np.ndarray:
    """A part of an overview, given by shares of its height, without what is beside its axes."""
    height, width = image.shape[:2]
    return image[int(top * height) : int(bottom * height), int(0.1 * width) : int(0.85 * width)]


@pytest.mark.parametrize("gain", [0.0, -10.0, -20.0])
def test_an_overview_shows_the_gain(
    tmp_path: Path, classifier: Classifier, speech: audio.Audio, gain: float
) -> None:
    after = replace(speech, samples=10 ** (gain / 20) * speech.samples)
    image = pixels(plot.overview(speech, after, classifier, tmp_path / "a.png"))
    colour = colormaps[plot.GAIN_MAP](1 + gain / plot.GAIN_DB)
    assert np.median(panel(image, 0.46, 0.55), axis=(0, 1)) == pytest.approx(colour[:3], abs=0.05)
    before, after_ = (panel(image, *place).mean() for place in ((0.16, 0.25), (0.31, 0.40)))
    assert (before - after_ > 0.05) == (gain < 0)
    # The level of a recording does not matter to the model: one line hides the other.
    energy = panel(image, 0.87, 0.95)
    assert near(energy, plot.COLOURS[0]) > 500
    assert near(energy, "0.6") < 0.2 * near(energy, plot.COLOURS[0])


def test_an_overview_shows_the_phones(tmp_path: Path, classifier: Classifier) -> None:
    """All is silence: the first row of the phones, and no other, has the brightest colour."""
    silence = audio.Audio(SILENCE[None].astype(np.float32), RATE, "WAV", "PCM_16")
    image = pixels(plot.overview(silence, silence, classifier, tmp_path / "a.png"))
    found = np.abs(panel(image, 0.58, 0.84) - np.array(colormaps["viridis"](1.0))[:3]).max(-1) < 0.15
    rows_found = np.flatnonzero(found.mean(axis=1) > 0.8)
    assert len(rows_found) == pytest.approx(0.26 * len(image) / 44, abs=4)
    assert rows_found.max() < 0.2 * len(found)


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
@pytest.mark.parametrize(
    ("rate", "channels", "count"), [(44100, 2, 44100), (8000, 1, 3), (192000, 5, 40), (RATE, 1, 60 * RATE)]
)
def test_an_overview_of_any_rate_channels_and_length(
    tmp_path: Path, classifier: Classifier, speech: audio.Audio, rate: int, channels: int, count: int
) -> None:
    """The other recording has another rate and length."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((channels, count)).astype(np.float32)
    strange = audio.Audio(samples, rate, "WAV", "FLOAT")
    for pair in ((strange, speech), (speech, strange)):
        assert pixels(plot.overview(*pair, classifier, tmp_path / "a.png")).shape[:2] == (1100, 900)


def test_an_overview_of_nothing_is_refused(
    tmp_path: Path, classifier: Classifier, speech: audio.Audio
) -> None:
    with pytest.raises(InputError):
        plot.overview(speech, replace(speech, samples=speech.samples[:, :0]), classifier, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_chain_is_drawn_from_its_start_to_its_end(tmp_path: Path) -> None:
    """Dark states that become bright: so do the pictures of them, left to right and down."""
    states = [np.full((20, 80), -10.0 + k) for k in range(11)]
    image = pixels(plot.chain(states, -np.arange(11.0), 0.01, tmp_path / "chain.png"))
    height, width = image.shape[:2]
    centres = [image[int(y * height), int(x * width)].sum() for y in (0.17, 0.5) for x in (0.2, 0.5, 0.75)]
    assert np.all(np.diff(centres) > 0)
    below = image[int(0.7 * height) :]
    line = np.abs(below - np.array(to_rgb(plot.COLOURS[0]))).max(-1) < 0.08
    heights = [np.flatnonzero(column).mean() for column in line.T if column.any()]
    assert np.all(np.diff(heights[5:-5]) > -2)  # it falls throughout
    assert heights[-1] > heights[0] + 20


@pytest.mark.parametrize(("states", "energies"), [(0, 0), (3, 2)])
def test_a_chain_without_states_or_energies_is_refused(tmp_path: Path, states: int, energies: int) -> None:
    with pytest.raises(UsageError, match="as many energies"):
        plot.chain([np.zeros((4, 80))] * states, np.zeros(energies), 0.01, tmp_path / "chain.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tone_first", [True, False])
def test_tone_is_bright_in_its_own_panel_only(tmp_path: Path, tone_first: bool) -> None:
    pair = (TONE, SILENCE) if tone_first else (SILENCE, TONE)
    path = plot.before_after(*pair, RATE, tmp_path / "a.png")
    image = pixels(path)
    assert 780 <= image.shape[1] <= 820 and image.shape[0] >= 400
    mask = bright(image)
    top, bottom = mask[: len(mask) // 2], mask[len(mask) // 2 :]
    here, other = (top, bottom) if tone_first else (bottom, top)
    assert here.sum() > 500 and other.sum() == 0
    # 1 kHz of 8 lies low in its panel, and the tone runs over most of the width.
    assert np.nonzero(here)[0].mean() > 0.6 * len(here)
    assert here.any(axis=0).mean() > 0.8


def test_panels_share_the_colour_scale(tmp_path: Path) -> None:
    image = pixels(plot.before_after(TONE, 0.001 * TONE, RATE, tmp_path / "a.png"))
    mask = bright(image)
    assert mask[: len(mask) // 2].sum() > 500 and mask[len(mask) // 2 :].sum() == 0


def test_reference_adds_a_panel(tmp_path: Path) -> None:
    two = pixels(plot.before_after(SILENCE, SILENCE, RATE, tmp_path / "2.png"))
    three = pixels(plot.before_after(SILENCE, SILENCE, RATE, tmp_path / "3.png", reference=TONE))
    assert three.shape[0] > 1.3 * two.shape[0]
    mask = bright(three)
    assert mask[2 * len(mask) // 3 :].sum() > 500 and mask[: 2 * len(mask) // 3].sum() == 0


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
@pytest.mark.parametrize("signal", [np.array([0.1, -0.2, 0.3]), np.zeros(3), np.zeros(1), SILENCE])
def test_short_and_silent_signals(tmp_path: Path, signal: np.ndarray) -> None:
    path = plot.before_after(signal, signal, RATE, tmp_path / "a.png", reference=signal)
    image = pixels(path)
    assert image.shape[1] == pytest.approx(800, abs=20)
    assert bright(image).any() == bool(signal.any())


def test_signals_of_other_lengths_and_types(tmp_path: Path) -> None:
    path = plot.before_after(TONE.astype(np.float32), TONE[: RATE // 2], RATE, tmp_path / "a.png")
    mask = bright(pixels(path))
    top, bottom = (half.any(axis=0).sum() for half in np.array_split(mask, 2))
    assert bottom == pytest.approx(top / 2, rel=0.1)


def test_spectrogram_level_and_frequency() -> None:
    level, hop = plot.spectrogram(2 * TONE, RATE)
    middle = level[:, level.shape[1] // 2]
    assert middle.max() == pytest.approx(0.0, abs=0.05)
    assert middle.argmax() * RATE / 2 / (len(level) - 1) == pytest.approx(1000)
    assert level.shape[1] == 1 + RATE // hop


def test_long_recordings_stay_small() -> None:
    level, hop = plot.spectrogram(np.zeros(600 * RATE), RATE)
    assert level.shape[1] <= plot.MAX_FRAMES + 1 and hop * level.shape[1] >= 600 * RATE


@pytest.mark.parametrize("bad", [np.zeros((2, 5)), np.zeros(0), np.array([0.0, np.nan])])
def test_bad_signals_are_refused(tmp_path: Path, bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="'after'"):
        plot.before_after(TONE, bad, RATE, tmp_path / "a.png")
    with pytest.raises(UsageError, match="sample rate"):
        plot.before_after(TONE, TONE, 0, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_picture_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "new" / "a.png"
    assert plot.before_after(TONE, TONE, RATE, str(target)) == target
    content = target.read_bytes()

    def fail(source: Path, _: Path) -> None:
        assert source.stat().st_size > 0 and target.read_bytes() == content
        raise OSError("disk full")

    monkeypatch.setattr(plot.os, "replace", fail)
    with pytest.raises(InputError, match="disk full"):
        plot.before_after(SILENCE, SILENCE, RATE, target)
    assert list(target.parent.iterdir()) == [target] and target.read_bytes() == content


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="png"):
        plot.before_after(TONE, TONE, RATE, tmp_path / "a.wav")
    assert not list(tmp_path.iterdir())


def matrix_cells(image: np.ndarray, n: int) -> np.ndarray:
    """Mean brightness of the middle of each cell, (n, n), found from the frame around the matrix."""
    dark = image[:, : int(0.85 * image.shape[1])].max(-1) < 0.2
    frame_rows = np.nonzero(dark.mean(axis=1) > 0.6)[0]
    frame_columns = np.nonzero(dark.mean(axis=0) > 0.6)[0]
    ys = np.linspace(frame_rows[0], frame_rows[-1], 2 * n + 1)[1::2].astype(int)
    xs = np.linspace(frame_columns[0], frame_columns[-1], 2 * n + 1)[1::2].astype(int)
    return image.mean(-1)[np.ix_(ys, xs)]


def test_confusion_of_identity_is_a_bright_diagonal(tmp_path: Path) -> None:
    labels = [f"P{i}" for i in range(40)]
    path = plot.confusion(7 * np.eye(40, dtype=int), labels, tmp_path / "c.png")
    image = pixels(path)
    assert 600 <= image.shape[0] <= 1200 and 600 <= image.shape[1] <= 1200
    cells = matrix_cells(image, 40)
    off_diagonal = cells[~np.eye(40, dtype=bool)]
    assert np.diag(cells).min() > 0.8 and off_diagonal.max() < 0.1


def test_confusion_rows_are_true_classes_and_normalised(tmp_path: Path) -> None:
    counts = np.zeros((5, 5), dtype=int)
    counts[1, 3], counts[2, 0] = 1000, 1
    cells = matrix_cells(pixels(plot.confusion(counts, list("abcde"), tmp_path / "c.png")), 5)
    expected = counts > 0
    assert cells[expected].min() > 0.8 and cells[~expected].max() < 0.1


def test_confusion_of_nothing_and_of_wrong_tables(tmp_path: Path) -> None:
    assert plot.confusion(np.zeros((2, 2), int), ["a", "b"], tmp_path / "c.png").exists()
    for table in (np.zeros((2, 3)), np.zeros((3, 3)), -np.eye(2)):
        with pytest.raises(UsageError):
            plot.confusion(table, ["a", "b"], tmp_path / "d.png")
    assert not (tmp_path / "d.png").exists()


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_curves_skip_what_is_missing_or_not_finite(tmp_path: Path) -> None:
    good = rows(50, loss=1.0, energy_gap=2.0, max_logit=3.0, accuracy=0.5)
    gaps: list[dict] = rows(50, loss=2.0)
    gaps[3]["loss"], gaps[4]["loss"], gaps[5]["loss"] = float("nan"), float("inf"), None
    del gaps[6]["loss"], gaps[7]["update"]
    path = plot.curves({"good": good, "gaps": gaps, "empty": []}, tmp_path / "t.png")
    image = pixels(path)
    assert image.shape[0] > 500 and image.shape[1] > 700
    middle = image.shape[1] // 2
    for half in (image[:300], image[300:600]):
        assert near(half[:, :middle], plot.COLOURS[0]) > 200
        assert near(half[:, middle:], plot.COLOURS[0]) > 200
    assert near(image[:300, :middle], plot.COLOURS[1]) > 100
    assert near(image[:300, middle:], plot.COLOURS[1]) == 0


def test_diverged_run_ends_in_a_cross(tmp_path: Path) -> None:
    run = rows(20, loss=1.0)
    whole = pixels(plot.curves({"a": run}, tmp_path / "a.png"))
    crossed = pixels(plot.curves({"a": [*run, {"update": 200, "diverged": True}]}, tmp_path / "b.png"))

    def right_end(image: np.ndarray) -> int:
        panel = image[:330, : image.shape[1] // 2]
        last = max(i for i in range(panel.shape[1]) if near(panel[:, i], plot.COLOURS[0]))
        return near(panel[:, last - 8 :], plot.COLOURS[0])

    assert right_end(crossed) > 1.5 * right_end(whole)


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_curves_of_one_row_of_many_runs_and_of_none(tmp_path: Path) -> None:
    runs = {f"run {i}": rows(1, loss=float(i) ** 9) for i in range(12)}
    assert pixels(plot.curves(runs, tmp_path / "t.png")).shape[0] > 600
    with pytest.raises(UsageError):
        plot.curves({}, tmp_path / "u.png")
    assert len({str(plot._style(i)) for i in range(35)}) == 35


def test_smooth_is_a_trailing_mean() -> None:
    values = np.arange(30.0)
    expected = [values[max(0, i - 9) : i + 1].mean() for i in range(30)]
    np.testing.assert_allclose(plot.smooth(values), expected)
