"""What denoising does to what it should leave alone: clean speech, silence, noise without speech, music.

python recipes/denoise/local/artefacts.py MODEL CLEAN_FOLDER

Clean speech: PESQ-WB of the denoised against the clean. Noise and music (synthetic, from
`speechjem.data.mixing`):
attenuation, and bursts, the loudest 20 ms of the output over the loudest 20 ms of the input in dB.
"""

import sys
from pathlib import Path

import numpy as np

from speechjem import audio, metrics
from speechjem.data import mixing
from speechjem.denoising.denoiser import Denoiser

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

RATE = 16000
KINDS = {
    "white noise": lambda rng, length: rng.standard_normal(length),
    "coloured noise": mixing.coloured,
    "hum": mixing.hum,
    "impulses": mixing.impulses,
    "music": mixing.music,
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("clean", type=Path)
    arguments = parser.parse_args()
    denoiser = Denoiser(arguments.model, device="cpu")

    values = []
    for source in audio.find([arguments.clean]):
        clean = audio.read(source.path).samples[0]
        values.append(metrics.pesq_wb(clean, denoiser(clean, RATE), RATE))
    print(f"clean speech, {len(values)} files: PESQ-WB {np.mean(values):.2f}, lowest {np.min(values):.2f}\n")

    silence = denoiser(np.zeros(3 * RATE, np.float32), RATE)
    print(f"silence: largest sample {np.abs(silence).max()}\n")
    print("| input | attenuation (dB) | loudest 20 ms (dB) |\n|---|---|---|")
    for name, make in KINDS.items():
        changes = []
        for seed in range(10):
            noise = make(np.random.default_rng(seed), 5 * RATE)
            noise = (0.05 * noise / mixing.rms(noise)).astype(np.float32)
            before, after = (levels(x) for x in (noise, denoiser(noise, RATE)))
            mean = 10 * np.log10(np.mean(after) / np.mean(before))
            changes.append([mean, 10 * np.log10(after.max() / before.max())])
        print("| {} | {:.1f} | {:.1f} |".format(name, *np.mean(changes, axis=0)), flush=True)


def levels(x: np.ndarray) -> np.ndarray:
    """Power of every 20 ms."""
    size = RATE // 50
    return np.mean(x[: len(x) // size * size].reshape(-1, size) ** 2, axis=1) + 1e-12


if __name__ == "__main__":
    main()
