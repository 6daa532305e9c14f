"""`Denoiser` without torch: the trained steps, in single precision, on the processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import enhancing, streams
from ..errors import UsageError
from . import graphs

FADED, EDGE = 300, 4  # frames, as in `denoising.modes`
MORE = "needs torch; run: pip install speechjem."


class Denoiser:
    """Enhances recordings of any sample rate and number of channels, with onnxruntime.

    Args:
        model: name of a shipped model, or path of a graph that `speechjem export` wrote.
        steps, step_size, strength: as `denoising.denoiser.Denoiser` has them.
        mode, noise, device, precision: these have one value here, and are for programs that give it.
        seed: of nothing: no noise is drawn.

    Raises:
        UsageError: for a setting out of its range, or one that needs torch.
        ModelError: if the model cannot be loaded.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        mode: str | None = None,
        steps: int | None = None,
        step_size: float | None = None,
        noise: float | None = None,
        strength: float = 1.0,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
    ):
        if not 0 <= strength <= 1:
            raise UsageError(f"The strength must be between 0 and 1, not {strength}.")
        for name, value in (("step size", step_size), ("noise", noise)):
            if value is not None and not 0 <= value < float("inf"):
                raise UsageError(f"The {name} must be a number of at least 0, not {value}.")
        wanted: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
            ("mode", mode, (None, "descent")), ("noise", noise, (None, 0)),
            ("device", device, ("auto", "cpu")), ("precision", precision, ("auto", "float32")),
        )  # fmt: skip
        for name, given, here in wanted:
            if given not in here:
                raise UsageError(f"The {name} {given!r} {MORE}")
        self.graph = graphs.load(graphs.locate(model))
        self.steps = self.graph.steps if steps is None else steps
        if self.steps < 1:
            raise UsageError(f"{steps} steps are too few; use --strength 0 for an untouched output.")
        if self.steps > self.graph.steps:
            raise UsageError(
                f"This model was trained for 1 to {self.graph.steps} descent steps, not {steps}; choose a "
                "number in that range."
            )
        self.scale = 1.0 if step_size is None else step_size
        self.strength, self.seed = strength, seed

    @property
    def label(self) -> str:
        """What outputs say about how they were made."""
        mode = f"descent steps {self.steps} size {self.scale:g} noise 0"
        return enhancing.label(mode, self.strength, self.seed, self.graph.sha256)

    def settings(self) -> dict[str, np.ndarray]:
        """What the graph is told: a step of size 0 is none."""
        scale = np.zeros(self.graph.steps, np.float32)
        scale[: self.steps] = self.scale
        return {"scale": scale, "strength": np.full(1, self.strength, np.float32)}

    def __call__(self, samples: Any, sample_rate: int) -> np.ndarray:
        """Enhance a recording.

        Args:
            samples: shape (samples,) or (channels, samples); channels are enhanced one by one.
            sample_rate: in Hz.

        Returns:
            The same shape, rate and level; float32 where the input is no floats.

        Raises:
            InputError: if there are no samples, channels come last, or some are not finite real numbers.
        """
        enhanced = enhancing.whole(self.pieces, samples, sample_rate)
        given = np.asarray(samples).dtype
        return enhanced.astype(given if given.kind == "f" else np.float32)

    def pieces(self, read: Callable[[], Iterable[np.ndarray]], sample_rate: int) -> Iterator[np.ndarray]:
        """Enhance a recording of any length in bounded memory, see `enhancing.pieces`."""
        if self.graph.format == graphs.FRAME:
            return streams.pieces(frame_engine(self), read, sample_rate)
        return enhancing.pieces(_BlockEngine(self), read, sample_rate)


def denoise(samples: Any, sample_rate: int, **settings: Any) -> np.ndarray:
    """Enhance one recording; see `Denoiser` for the settings and its call for the shapes."""
    return Denoiser(**settings)(samples, sample_rate)


class _BlockEngine:
    """The graph of a block (`enhancing.Engine`)."""

    causal = False

    def __init__(self, denoiser: Denoiser):
        graph = denoiser.graph
        self.graph, self.settings, self.strength = graph, denoiser.settings(), denoiser.strength
        self.rate, self.hop, self.level = graph.rate, graph.hop, graph.level
        self.context = self.ahead = min(2 * denoiser.steps * graph.context + EDGE, FADED)

    def begin(self, channels: int) -> enhancing.Enhance:
        return self._enhance

    def _enhance(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = samples.shape[1]
        # The graph takes no less; up to the next frame, what is added is what lies beyond the end anyway.
        padded = np.pad(samples, ((0, 0), (0, max(0, self.hop - 1 - count))))
        done = [
            self.graph.run(("enhanced", "gain"), {"noisy": channel[None], **self.settings})
            for channel in padded
        ]
        enhanced, gain = (np.concatenate(part) for part in zip(*done, strict=True))
        return enhanced[:, :count], gain


def frame_engine(denoiser: Denoiser) -> streams.FrameEngine:
    """The graph of a frame."""
    graph, settings = denoiser.graph, denoiser.settings()

    def enhance(frame: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inputs = {"frame": frame, "state": state, **settings}
        enhanced, gain, after = graph.run(("enhanced", "gain", "next_state"), inputs)
        return enhanced, gain, after

    return streams.FrameEngine(graph.rate, graph.window, graph.hop, graph.level, graph.state, enhance)
