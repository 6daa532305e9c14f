"""Denoise the noisy sample, score it before and after, and draw both: python demo.py OUTPUT_FOLDER."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from speechjem import Denoiser, audio, metrics, plot

HERE = Path(__file__).parent


def main(folder: Path) -> None:
    """Write noisy-denoised.wav and spectrogram.png to a folder and print the scores."""
    clean, noisy = (audio.read(HERE / name) for name in ("clean.flac", "noisy.flac"))
    denoiser = Denoiser()
    enhanced = denoiser(noisy.samples, noisy.sample_rate)
    wav, picture = folder / "denoised.wav", folder / "spectrogram.png"
    audio.write(wav, enhanced, noisy.sample_rate, force=True)
    plot.before_after(noisy.samples[0], enhanced[0], noisy.sample_rate, picture, reference=clean.samples[0])

    before = metrics.score(clean.samples[0], noisy.samples[0], clean.sample_rate)
    after = metrics.score(clean.samples[0], enhanced[0], clean.sample_rate)
    table = Table("score", "noisy input", "denoised output", title="samples/noisy.flac", title_justify="left")
    for name in before:
        scores = (before[name], after[name])
        table.add_row(name, *(s.reason or f"{s.value:.3f}" for s in scores))
    Console().print(table)
    print(f"wrote {wav} and {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
