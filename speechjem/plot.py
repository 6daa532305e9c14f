"""Pictures: spectrograms before and after, chains, confusion matrices and training curves.

Nothing here needs a display or touches matplotlib's global state, and matplotlib is imported only when
a picture is drawn. Every function writes its picture whole or not at all, and returns its path.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .audio import as_array
from .errors import InputError, UsageError
from .runtime import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .audio import Audio
    from .classification import Classifier
    from .features.fbank import FbankConfig

Array = NDArray[np.float64]

DPI = 100
COLOUR_MAP = "magma"  # perceptually uniform: brighter is more
RANGE_DB = 80.0
FLOOR_DB = -200.0  # stands for a level of zero
MAX_FRAMES = 2000  # spectra drawn per panel; more would not be seen at 800 px
DB = 10 / np.log(10)  # of the natural logarithm of a power
GAIN_DB = 30.0
GAIN_MAP, POSTERIOR_MAP = "cividis", "viridis"
CHAIN_STATES = 6
SMOOTHING = 10  # rows in the running mean of a training curve
PANELS = {"loss": "loss", "energy_gap": "energy gap", "max_logit": "max logit", "accuracy": "accuracy"}
# Okabe and Ito's colours, without the yellow that is hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
PAIR = {"before": {"color": "0.6", "label": "before"}, "after": {"color": COLOURS[0], "label": "after"}}
LINE_STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def before_after(
    before: ArrayLike,
    after: ArrayLike,
    sample_rate: int,
    path: str | os.PathLike[str],
    *,
    reference: ArrayLike | None = None,
) -> Path:
    """Draw the spectrogram of a noisy input over that of its enhanced output.

    The panels share one time axis and one colour scale, which ends at the highest level in any of them
    and reaches 80 dB down. A recording longer than about 16 s is drawn from evenly spaced spectra.

    Args:
        before: Samples of the input, (samples,), full scale at 1.
        after: Samples of the output, (samples,).
        sample_rate: Samples a second, of all the signals.
        path: Picture to write; its ending gives the format (.png where it has none).
        reference: Samples of the clean speech, (samples,), for a third panel.

    Returns:
        The path of the picture.

    Raises:
        InputError: If a signal is empty, not one-dimensional or not finite.
        UsageError: If the sample rate is not positive.
    """
    if sample_rate <= 0:
        raise UsageError(f"The sample rate must be positive, not {sample_rate}.")
    given = {"before": before, "after": after, "reference": reference}
    signals = {name: _checked(name, x) for name, x in given.items() if x is not None}
    levels = {name: spectrogram(x, sample_rate) for name, x in signals.items()}
    top = max(float(level.max()) for level, _ in levels.values())
    top = 0.0 if top <= FLOOR_DB else top

    figure = _figure(8.0, 0.6 + 2.3 * len(signals))
    axes = figure.subplots(len(signals), 1, sharex=True, sharey=True)
    for ax, (name, (level, hop)) in zip(axes, levels.items(), strict=True):
        image = _draw_spectrogram(ax, level, hop, sample_rate, top)
        ax.set(title=name, ylabel="frequency (kHz)")
    axes[-1].set_xlabel("time (s)")
    axes[-1].set_xlim(0, max(len(x) for x in signals.values()) / sample_rate)
    axes[-1].set_ylim(0, sample_rate / 2000)
    figure.colorbar(image, ax=axes, label="level (dB re full-scale sine)", pad=0.02)
    return _save(figure, path)


def overview(before: Audio, after: Audio, classifier: Classifier, path: str | os.PathLike[str]) -> Path:
    """Draw a recording before and after denoising, and its phones and energy, over one time axis.

    From above: the waveforms; the log-mel before and after, on one colour scale; the gain of every mel bin;
    the phone posteriors after; the energy of every frame, -logsumexp f(x), before and after. Channels are
    averaged. The mel bins are the model's, and end where its band does. A recording longer than 20 s is drawn
    from evenly spaced frames.

    Args:
        before: the input.
        after: the output; of another rate or length, its common part with the input is compared.
        classifier: says which phones there are.
        path: Picture to write; its ending gives the format (.png where it has none).

    Returns:
        The path of the picture.

    Raises:
        InputError: If a recording has no samples, or some that are not finite.
    """
    config = classifier.model.config
    step = classifier.model.fbank.frame_seconds
    pair = {"before": before, "after": after}
    heard = {name: classifier.frames(audio.samples, audio.sample_rate) for name, audio in pair.items()}
    # A sine of full scale in the middle of a mel filter has about 0 dB.
    reference = 20 * np.log10(config.fbank.window / 4)
    levels = {name: DB * frames.log_mel.T - reference for name, frames in heard.items()}
    top = max(float(level.max()) for level in levels.values())
    shared = min(level.shape[1] for level in levels.values())
    gain = levels["after"][:, :shared] - levels["before"][:, :shared]

    figure = _figure(9.0, 11.0)
    axes = figure.subplots(6, 1, sharex=True, height_ratios=[1.0, 1.3, 1.3, 1.3, 2.6, 1.0])
    for name, recording in pair.items():
        _draw_waveform(axes[0], recording, **PAIR[name])
    axes[0].set(title="waveform", ylabel="amplitude")
    axes[0].legend(loc="upper right", ncols=2, fontsize=8, framealpha=0.8)
    for ax, (name, level) in zip(axes[1:3], levels.items(), strict=True):
        image = _draw_frames(ax, level, step, COLOUR_MAP, top - RANGE_DB, top)
        ax.set_title(f"log-mel {name}")
    figure.colorbar(image, ax=axes[1:3], label="level (dB)", pad=0.02, aspect=30)
    image = _draw_frames(axes[3], gain, step, GAIN_MAP, -GAIN_DB, 0.0)
    axes[3].set_title("gain")
    figure.colorbar(image, ax=axes[3], label="dB", pad=0.02, extend="both")
    for ax in axes[1:4]:
        _set_mel_ticks(ax, config.fbank)
    image = _draw_frames(axes[4], heard["after"].posteriors.T, step, POSTERIOR_MAP, 0.0, 1.0)
    _set_phone_ticks(axes[4], config.phones)
    axes[4].set_title("phones after")
    figure.colorbar(image, ax=axes[4], label="posterior", pad=0.02)
    for name, frames in heard.items():
        energy = frames.energy[:: _stride(len(frames.energy))]
        times = step * _stride(len(frames.energy)) * np.arange(len(energy))
        axes[5].plot(times, energy, linewidth=1.2, **PAIR[name])
    axes[5].set(title="energy of every frame", ylabel="energy", xlabel="time (s)")
    axes[5].grid(alpha=0.3)
    axes[5].set_xlim(0, max(audio.samples.shape[1] / audio.sample_rate for audio in pair.values()))
    return _save(figure, path)


def chain(
    states: Sequence[ArrayLike], energies: ArrayLike, seconds: float, path: str | os.PathLike[str]
) -> Path:
    """Draw the frames of a chain along its way, and its energy after every step.

    At most six states are drawn, the first and the last among them, on one colour scale.

    Args:
        states: Log-mel power (natural logarithm) of the start and after every step, each (frames, bins).
        energies: Energy of every state, (states,).
        seconds: Distance of two frames.
        path: Picture to write; its ending gives the format (.png where it has none).

    Returns:
        The path of the picture.

    Raises:
        UsageError: If there are no states, or not as many energies.
    """
    levels = [DB * np.asarray(state, dtype=np.float64).T for state in states]
    energy = np.asarray(energies, dtype=np.float64)
    if not levels or energy.shape != (len(levels),):
        raise UsageError(f"A chain of {len(levels)} states needs as many energies, not {energy.shape}.")
    shown = np.unique(np.linspace(0, len(levels) - 1, CHAIN_STATES).round().astype(int))
    rows, columns = -(-len(shown) // 3), min(3, len(shown))
    top = max(float(level.max()) for level in levels)

    figure = _figure(9.0, 1.9 * rows + 2.0)
    grid = figure.add_gridspec(rows + 1, columns)
    axes = [figure.add_subplot(grid[place // 3, place % 3]) for place in range(len(shown))]
    for ax, step in zip(axes, shown, strict=True):
        image = ax.imshow(
            levels[step], origin="lower", aspect="auto", cmap=COLOUR_MAP, vmin=top - RANGE_DB, vmax=top,
            extent=(0, seconds * levels[step].shape[1], 0, len(levels[step])),
        )  # fmt: skip
        ax.set(title=f"step {step}" if step else "start")
    for ax in axes[::3]:
        ax.set_ylabel("mel bin")
    for ax in axes[-3:]:
        ax.set_xlabel("time (s)")
    figure.colorbar(image, ax=axes, label="level (dB)", pad=0.02)
    ax = figure.add_subplot(grid[rows, :])
    ax.plot(energy, "o-", color=COLOURS[0], markersize=4)
    ax.set(xlabel="step", ylabel="energy")
    ax.grid(alpha=0.3)
    return _save(figure, path)


def spectrogram(samples: Array, sample_rate: int) -> tuple[Array, int]:
    """Compute levels over frequency and time with a Hann window of about 32 ms.

    Args:
        samples: Signal, (samples,), at least one.
        sample_rate: Samples a second.

    Returns:
        Levels in dB, (frequencies, frames), 0 for a sine of full scale, frequencies from 0 to half the
        sample rate; and the hop in samples between frames, the first one centred on sample 0.
    """
    size = max(16, 2 ** round(float(np.log2(0.032 * sample_rate))))
    hop = max(size // 4, -(-len(samples) // MAX_FRAMES))
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(samples, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    magnitude = np.abs(np.fft.rfft(frames * window, axis=1)) * (2 / window.sum())
    return 20 * np.log10(np.maximum(magnitude.T, 10 ** (FLOOR_DB / 20))), hop


def pixels(values: ArrayLike, low: float, high: float) -> bytes:
    """Draw values alone, one pixel each, for a page that has axes of its own.

    Args:
        values: (rows, columns), the lowest row first; spectrograms are (frequencies, frames).
        low, high: Values of the darkest and of the brightest colour.

    Returns:
        A PNG image of as many rows and columns.
    """
    from matplotlib.image import imsave

    picture = io.BytesIO()
    imsave(picture, np.asarray(values), vmin=low, vmax=high, cmap=COLOUR_MAP, origin="lower", format="png")
    return picture.getvalue()


def confusion(counts: ArrayLike, labels: Sequence[str], path: str | os.PathLike[str]) -> Path:
    """Draw a confusion matrix, each row scaled to the share of that true class.

    Args:
        counts: Number of times each class (row) was taken for each class (column), (C, C).
        labels: Names of the classes, C of them.
        path: Picture to write; its ending gives the format (.png where it has none).

    Returns:
        The path of the picture. Its title gives the overall accuracy.

    Raises:
        UsageError: If the counts are not square, are negative or do not fit the labels.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.shape != (len(labels), len(labels)) or not len(labels):
        raise UsageError(f"{len(labels)} labels need a square table of as many rows, not {table.shape}.")
    if not np.all(table >= 0):
        raise UsageError("Confusion counts must be zero or more.")
    total = table.sum()
    title = f"accuracy {table.trace() / total:.1%} of {total:.0f}" if total else "nothing counted"

    figure = _figure(9.0, 8.2)
    ax = figure.subplots()
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(shares, cmap=COLOUR_MAP, vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    size = 10 if len(labels) <= 20 else 7
    ax.set_xticks(range(len(labels)), list(labels), rotation=90, fontsize=size)
    ax.set_yticks(range(len(labels)), list(labels), fontsize=size)
    ax.set(title=title, xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=ax, label="share of the true class")
    return _save(figure, path)


def curves(runs: Mapping[str, Sequence[Mapping[str, float]]], path: str | os.PathLike[str]) -> Path:
    """Draw loss, energy gap, largest logit and accuracy over the updates of some training runs.

    Each point is the mean of the last 10 rows up to it. Values that are missing or not finite are left
    out. A run whose last row has "diverged" true ends in an x. A panel whose values span very different
    sizes gets an axis that is linear near zero and logarithmic beyond.

    Args:
        runs: Rows of train.jsonl by name of the run; a row has "update" and some of "loss",
            "energy_gap", "max_logit" and "accuracy".
        path: Picture to write; its ending gives the format (.png where it has none).

    Returns:
        The path of the picture.

    Raises:
        UsageError: If there are no runs.
    """
    if not runs:
        raise UsageError("There are no runs to draw: give at least one.")
    figure = _figure(9.0, 7.0 + 0.12 * len(runs))
    all_axes = figure.subplots(2, 2, sharex=True)
    for ax, (key, title) in zip(all_axes.flat, PANELS.items(), strict=True):
        _draw_panel(ax, runs, key)
        ax.set(title=title, ylabel=f"{title} (mean of {SMOOTHING} rows)")
    for ax in all_axes[-1]:
        ax.set_xlabel("update")
    figure.legend(
        handles=_legend_lines(runs),
        loc="outside lower center",
        ncols=min(3, len(runs)),
        title=f"running mean over {SMOOTHING} rows; x marks divergence",
    )
    return _save(figure, path)


def smooth(values: Array, rows: int = SMOOTHING) -> Array:
    """Take the mean of each value and the `rows - 1` before it, fewer at the start.

    Args:
        values: (n,), at least one, finite.
        rows: Length of the running mean.

    Returns:
        The means, (n,).
    """
    padded = np.concatenate([np.full(rows - 1, np.nan), values])
    means: Array = np.nanmean(np.lib.stride_tricks.sliding_window_view(padded, rows), axis=1)
    return means


def _checked(name: str, samples: ArrayLike) -> Array:
    """Return the samples as float64, (samples,), or raise an error that says what is wrong."""
    x = as_array(samples).astype(np.float64)
    if x.ndim != 1 or not len(x):
        raise InputError(f"The signal '{name}' must be one channel of samples, not of shape {x.shape}.")
    if not np.isfinite(x).all():
        raise InputError(f"The signal '{name}' holds samples that are not finite numbers.")
    return x


def _draw_spectrogram(ax: Axes, level: Array, hop: int, sample_rate: int, top: float) -> Any:
    """Draw levels in dB, (frequencies, frames), each centred on its time in s and frequency in kHz."""
    half_bin = sample_rate / 2000 / (level.shape[0] - 1) / 2
    half_hop = hop / sample_rate / 2
    end = (2 * level.shape[1] - 1) * half_hop
    ax.set_facecolor("lightgrey")  # beyond the end of a shorter signal
    return ax.imshow(
        level,
        extent=(-half_hop, end, -half_bin, sample_rate / 2000 + half_bin),
        origin="lower",
        aspect="auto",
        cmap=COLOUR_MAP,
        vmin=top - RANGE_DB,
        vmax=top,
    )


def _draw_waveform(ax: Axes, recording: Audio, **style: Any) -> None:
    """Draw the range of the samples, (channels, samples), in each of at most 2000 stretches of time."""
    samples = recording.samples.mean(axis=0)
    size = _stride(len(samples))
    padded = np.pad(samples, (0, -len(samples) % size), mode="edge").reshape(-1, size)
    times = (np.arange(len(padded)) + 0.5) * size / recording.sample_rate
    ax.fill_between(times, padded.min(axis=1), padded.max(axis=1), linewidth=0.5, **style)


def _draw_frames(ax: Axes, values: Array, step: float, colours: str, low: float, high: float) -> Any:
    """Draw (rows, frames), of at most 2000 frames, each centred on its time in s."""
    stride = _stride(values.shape[1])
    end = (values.shape[1] - 0.5) * step
    ax.set_facecolor("lightgrey")  # beyond the end of a shorter recording
    return ax.imshow(
        values[:, ::stride], origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high,
        interpolation="nearest", extent=(-0.5 * step, end, -0.5, len(values) - 0.5),
    )  # fmt: skip


def _stride(count: int) -> int:
    """Every how many of them are at most MAX_FRAMES."""
    return max(1, -(-count // MAX_FRAMES))


def _set_mel_ticks(ax: Axes, config: FbankConfig) -> None:
    """Frequencies in kHz beside mel bins, whose centres are evenly spaced on HTK's mel scale."""

    def mel(frequency: Array) -> Array:
        return np.log1p(frequency / 700)

    low, high = mel(np.array([config.low, config.high]))
    wanted = 1000 * np.array([0.25, 0.5, 1, 2, 4, 8, 16])
    shown = wanted[(wanted > config.low) & (wanted <= config.high)]
    ax.set_yticks((mel(shown) - low) / (high - low) * (config.bins + 1) - 1, [f"{f / 1000:g}" for f in shown])
    ax.set_ylim(-0.5, config.bins - 0.5)
    ax.set_ylabel("kHz")


def _set_phone_ticks(ax: Axes, phones: Sequence[str]) -> None:
    """The names of all rows, in two columns, so that they have room."""
    size = 7
    ax.set_yticks(range(0, len(phones), 2), phones[::2], fontsize=size)
    ax.set_yticks(range(1, len(phones), 2), phones[1::2], fontsize=size, minor=True)
    ax.tick_params(axis="y", which="minor", pad=22)
    ax.invert_yaxis()


def _draw_panel(ax: Axes, runs: Mapping[str, Sequence[Mapping[str, float]]], key: str) -> None:
    """Draw the curve of every run for one key, with the end of a diverged run marked."""
    drawn = []
    for i, rows in enumerate(runs.values()):
        updates, values = _series(rows, key)
        if not len(values):
            continue
        means = smooth(values)
        drawn.append(means)
        ax.plot(updates, means, linewidth=1.6, **_style(i))
        if _diverged(rows):
            ax.plot(updates[-1], means[-1], "x", color=_style(i)["color"], markersize=10, markeredgewidth=2.5)
    ax.grid(alpha=0.3)
    if not drawn:
        ax.text(0.5, 0.5, "no values", ha="center", va="center", transform=ax.transAxes)
        return
    sizes = np.abs(np.concatenate(drawn))
    if sizes.max() > 50 * np.median(sizes) > 0:
        ax.set_yscale("symlog", linthresh=float(np.median(sizes)))


def _series(rows: Sequence[Mapping[str, float]], key: str) -> tuple[Array, Array]:
    """Return the updates, (n,), and values, (n,), of the rows where both are finite numbers."""
    pairs = [(row.get("update"), row.get(key)) for row in rows]
    table = np.array([p for p in pairs if None not in p], dtype=np.float64).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    return table[:, 0], table[:, 1]


def _diverged(rows: Sequence[Mapping[str, float]]) -> bool:
    return bool(rows and rows[-1].get("diverged"))


def _style(index: int) -> dict[str, Any]:
    """Return the colour and line style of a run: 35 distinct pairs."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": LINE_STYLES[index % len(LINE_STYLES)]}


def _legend_lines(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Any]:
    """Return one sample line for each run, named."""
    from matplotlib.lines import Line2D

    labels = [name + (" (diverged)" if _diverged(rows) else "") for name, rows in runs.items()]
    return [Line2D([], [], linewidth=1.6, label=label, **_style(i)) for i, label in enumerate(labels)]


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def picture_format(path: str | os.PathLike[str]) -> str:
    """The format that the ending of a picture's name gives, png where it has none.

    Raises:
        UsageError: If no picture can be written in it.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    kind = Path(path).suffix[1:].lower() or "png"
    known = FigureCanvasBase.get_supported_filetypes()
    if kind not in known:
        raise UsageError(f"Cannot write a picture as '.{kind}': use one of {', '.join(sorted(known))}.")
    return kind


def _save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure, which is there when it is complete."""
    target, kind = Path(path), picture_format(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.replace_file(target, lambda partial: figure.savefig(partial, format=kind, dpi=DPI))
    except OSError as error:
        raise InputError(
            f"Cannot write {target} ({error.strerror or error}); choose another place."
        ) from error
    return target
