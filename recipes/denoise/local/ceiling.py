"""How good a real gain with the noisy phase could be: the gains of an oracle that knows the clean speech.

python recipes/denoise/local/ceiling.py MODEL NOISY_FOLDER CLEAN_FOLDER

Rows: the noisy input; the same without rumble, as all that follow; the model; the oracle at the resolution of
the mel bins, which is where an energy of the envelope ends; the oracle at STFT resolution, which is where the
fine structure ends; and the model's magnitudes with the clean phase, which no gain reaches.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from speechjem import audio, metrics
from speechjem.audio import rumble
from speechjem.denoising.denoiser import Denoiser

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

NAMES = ("pesq_wb", "estoi", "si_sdr")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("noisy", type=Path)
    parser.add_argument("clean", type=Path)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    denoiser = Denoiser(arguments.model, device="cpu")
    rows: dict[str, list[list[float]]] = {}
    for pair in metrics.pairs(arguments.clean, arguments.noisy):
        clean, noisy = (torch.from_numpy(audio.read(path).samples) for path in pair)
        for name, estimate in estimates(denoiser, noisy, clean).items():
            scores = metrics.score(clean[0].numpy(), estimate[0].numpy(), 16000)
            values = [scores[n].value for n in NAMES]
            rows.setdefault(name, []).append(common.numbers(values))
    print("| gain | PESQ-WB | ESTOI | SI-SDR (dB) |\n|---|---|---|---|")
    for name, values in rows.items():
        print("| {} | {:.3f} | {:.4f} | {:.2f} |".format(name, *np.nanmean(values, axis=0)))


@torch.no_grad()
def estimates(denoiser: Denoiser, noisy: torch.Tensor, clean: torch.Tensor) -> dict[str, torch.Tensor]:
    """Waveforms by name, shape (1, samples)."""
    model, fbank, samples = denoiser.model, denoiser.model.fbank, noisy.shape[1]
    quiet = torch.from_numpy(rumble.removed(noisy[0].numpy(), 16000))[None]
    level = fbank.level_gain(quiet)
    spectrum, target = fbank.stft(quiet * level), fbank.stft(clean * level)
    envelopes = [fbank.normalise(fbank.log_mel(s)) for s in (target, spectrum)]
    gain = denoiser.path.gain((spectrum.real, spectrum.imag))
    fine = (target.abs() / spectrum.abs().clamp_min(1e-9)).clamp(max=1)
    spectra = {
        "noisy input": fbank.stft(noisy * level),
        "without rumble": spectrum,
        "model": spectrum * gain,
        "oracle, mel bins": spectrum * model.gain(*envelopes),
        "oracle, STFT bins": spectrum * fine,
        "model with the clean phase": (spectrum * gain).abs() * torch.exp(1j * target.angle()),
    }
    return {name: fbank.istft(s, samples) / level for name, s in spectra.items()}


if __name__ == "__main__":
    main()
