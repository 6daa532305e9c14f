"""Train the vocoder of `vocoder.py` on clean speech.

pip install auraloss
python recipes/generate/local/train_vocoder.py MODEL DATA OUT.safetensors --minutes 40

MODEL is a speechjem model, for its features; DATA is a data directory, of which the held-out speakers are
left out. The loss is that of spectra at four resolutions (Yamamoto et al. 2020, Parallel WaveGAN, without its
discriminator; the package auraloss), none of which has the vocoder's own hop.
"""

import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
import torch
import vocoder
from auraloss.freq import MultiResolutionSTFTLoss

from speechjem.data.dataset import Recording, load_corpus
from speechjem.data.recording import as_waveform
from speechjem.models import checkpoint

sys.path.append(str(Path(__file__).parents[2] / "steps"))
import common

SECONDS, BATCH, RATE = 0.96, 12, 8e-4


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--unlabelled", type=Path)
    parser.add_argument("--speakers", nargs="+", help="held out; those in DATA/dev_speakers by default")
    parser.add_argument("--minutes", type=float, default=40.0)
    arguments = parser.parse_args()
    speakers = common.held_out(arguments.data, arguments.speakers)

    fbank = checkpoint.load(arguments.model).fbank
    corpus = load_corpus(arguments.data, arguments.unlabelled, None, speakers, fbank.config.sample_rate)
    fit(vocoder.Vocoder(fbank), [*corpus.labelled, *corpus.unlabelled], arguments.minutes, arguments.out)


def fit(network: vocoder.Vocoder, recordings: list[Recording], minutes: float, out: Path) -> None:
    fbank, rng = network.fbank, np.random.default_rng(0)
    length = round(SECONDS * fbank.config.sample_rate) // fbank.config.hop * fbank.config.hop
    distance = MultiResolutionSTFTLoss(
        fft_sizes=[256, 512, 1024, 2048], hop_sizes=[50, 100, 200, 400], win_lengths=[200, 400, 800, 1600],
        w_sc=0.5, w_log_mag=1.0, w_lin_mag=0.0,
    )  # fmt: skip
    optimiser = torch.optim.AdamW(network.parameters(), RATE, betas=(0.9, 0.99), weight_decay=0.01)
    start = saved = time.monotonic()
    for update in count():
        share = (time.monotonic() - start) / (60 * minutes)
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (update + 1) / 500) * (0.02 + 0.98 * np.cos(np.pi / 2 * share) ** 2)
        clean = torch.from_numpy(np.stack([_excerpt(rng, recordings, length) for _ in range(BATCH)]))
        clean = clean * fbank.level_gain(clean) * 10 ** (torch.randn(BATCH, 1) * 4 / 20)
        made = network(fbank.log_mel(fbank.stft(clean)))
        loss = distance(made[:, None], clean[:, None])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        if update % 100 == 0:
            print(f"update {update}, {share:.0%}: loss {loss.item():.3f}", flush=True)
        if time.monotonic() - saved > 120:
            vocoder.save(network, out)
            saved = time.monotonic()
    vocoder.save(network, out)


def _excerpt(rng: np.random.Generator, recordings: list[Recording], length: int) -> np.ndarray:
    """A random piece of a random recording, silence after one that is too short."""
    samples = recordings[rng.integers(len(recordings))].samples
    start = rng.integers(0, max(1, len(samples) - length + 1))
    piece = as_waveform(samples[start : start + length])
    return np.pad(piece, (0, length - len(piece)))


if __name__ == "__main__":
    main()
