"""Whether the energy that denoises, E(x | noisy), is that of the classifier.

    pip install speechmos
    python recipes/energy/local/conditioned.py MODEL DATA NOISE_FOLDER

Utterances of the speakers in noise, followed by the trained steps x_0 ... x_K, and by more steps of the last
size. The first three tables look at the same frames, along the steps and of clean speech, whose phase is
turned as that of the result: right phones by f(x), which hears the envelope alone, and by f(x | x_0);
E(x | x_0) and E(x) a frame. The next has the cosine of each step, of the envelope, with the descent of E(x);
the last what more steps do to the sound.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from speechmos import dnsmos
from torch import Tensor

from speechjem import audio, metrics
from speechjem.audio import rumble
from speechjem.data import mixing
from speechjem.data.kaldi import Utterance, read_directory
from speechjem.models import checkpoint
from speechjem.models.speech import SpeechModel

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
LONGEST = 10.0  # seconds of an utterance
SNRS = (0.0, 10.0, 20.0)
STOPS = (1, 2, 3, 6, 10)  # steps after which frames are looked at and, from the trained ones on, heard
NAMES = ("pesq_wb", "estoi", "si_sdr")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("noise", type=Path)
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    parser.add_argument("--count", type=int, default=8)
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.data, arguments.speakers)

    torch.set_num_threads(1)
    model = checkpoint.load(arguments.model)
    noises = [audio.read(source.path) for source in audio.find([arguments.noise])]
    known = [u for u in read_directory(arguments.data) if u.speaker in speakers and u.alignment]
    chosen = common.evenly([u for u in known if u.alignment.ends[-1] <= LONGEST], arguments.count)
    measured = Measured(model)
    with torch.no_grad():
        for number, utterance in enumerate(chosen):
            for snr, clean, noisy in mixtures(utterance, noises, number):
                measured.take(f"{snr:g} dB", clean, noisy, utterance)
    print(f"{len(chosen)} utterances\n\n{measured}")


def mixtures(
    utterance: Utterance, noises: list[audio.Audio], number: int
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """An utterance in the same noise at every SNR, without rumble."""
    rng = np.random.default_rng(number)
    clean = common.mono(utterance.read(), RATE)
    noise = np.resize(common.mono(noises[int(rng.integers(len(noises)))], RATE), len(clean))
    noise = noise / max(mixing.rms(noise), 1e-6)
    for snr in SNRS:
        pair = mixing.mix(clean, noise, mixing.rms(clean), snr, -26.0)
        yield snr, *(rumble.removed(part, RATE) for part in pair)


class Measured:
    """What is measured of a model, by the names of the tables' cells."""

    def __init__(self, model: SpeechModel):
        self.model = model
        self.bins = model.config.network.bins
        self.cells: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )

    def add(self, table: str, row: str, column: str, value: float | None) -> None:
        self.cells[table][row][column].append(np.nan if value is None else value)

    def take(self, snr: str, clean: np.ndarray, noisy: np.ndarray, utterance: Utterance) -> None:
        model = self.model
        z_clean, z_noisy = (model.fbank.stft(torch.from_numpy(x)[None]) for x in (clean, noisy))
        x0 = model.observe(z_noisy)
        observed = model.jem.network.observe(x0)
        times = np.arange(x0.shape[1]) * model.fbank.frame_seconds
        labels = torch.from_numpy(utterance.alignment.at(times))
        trained = model.config.descent.steps
        x = torch.nn.functional.pad(x0[..., : self.bins + model.config.network.fine], (0, self._turn))
        self._look(snr, "0", x, observed, labels)
        sizes = torch.cat([model.descent.log_size, model.descent.log_fine_size], 1).exp()
        for step in range(STOPS[-1]):
            with torch.autocast("cpu", torch.bfloat16):  # as the denoiser
                gradient, _ = model.jem.step(x, observed)
            moved = sizes[min(step, trained - 1)] * gradient
            if step < trained:
                self._direction(snr, str(step + 1), x, moved)
            x = x - moved
            if step + 1 in STOPS:
                self._look(snr, str(step + 1), x, observed, labels)
            if step + 1 in STOPS and step + 1 >= trained:
                self._hear(str(step + 1), clean, x, x0, z_noisy)
            if step + 1 == trained:
                aim = model.observe(z_clean)[..., : self.bins + model.config.network.fine]
                aim = torch.cat([aim, x[..., aim.shape[-1] :]], -1)
                self._look(snr, "clean", aim, observed, labels)

    @property
    def _turn(self) -> int:
        return self.model.config.network.turn

    def _look(self, snr: str, place: str, x: Tensor, observed: Tensor, labels: Tensor) -> None:
        f = {"f(x)": self.model.jem.logits(x[..., : self.bins])}
        f["f(x given noisy)"] = self.model.jem.logits(x, observed)
        for name, logits in f.items():
            right = (logits[0].argmax(-1) == labels).float().mean().item()
            self.add("right phones (%)", f"{snr}, {name}", place, 100 * right)
            energy = -logits.logsumexp(-1).mean().item()
            self.add(f"E of {name} a frame", snr, place, energy)

    def _direction(self, snr: str, step: str, x: Tensor, moved: Tensor) -> None:
        gradient = self.model.jem.gradient(x[..., : self.bins])
        cosine = torch.cosine_similarity(moved[..., : self.bins].flatten(), gradient.flatten(), 0)
        self.add("cosine with the descent of E(x)", snr, step, cosine.item())

    def _hear(self, step: str, clean: np.ndarray, x: Tensor, x0: Tensor, z: Tensor) -> None:
        parts = self.model.turned((z.real, z.imag), x)
        spectrum = self.model.gain(x, x0) * torch.complex(*parts)
        output = self.model.fbank.istft(spectrum, len(clean))[0].numpy()
        scores = metrics.score(clean, output, RATE)
        for name in NAMES:
            self.add("the result", step, name, scores[name].value)
        self.add("the result", step, "OVRL", dnsmos.run(output.clip(-1, 1), RATE)["ovrl_mos"])

    def __str__(self) -> str:
        tables = []
        for name, rows in self.cells.items():
            columns = list(next(iter(rows.values())))
            lines = [f"| {name} | {' | '.join(columns)} |", f"|{'---|' * (1 + len(columns))}"]
            for row, values in rows.items():
                cells = (f"{np.nanmean(values[column]):.3f}" for column in columns)
                lines.append(f"| {row} | {' | '.join(cells)} |")
            tables.append("\n".join(lines))
        return "\n\n".join(tables)


if __name__ == "__main__":
    main()
