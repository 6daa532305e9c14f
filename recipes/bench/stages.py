"""Where the time of `speechjem denoise` goes, and how near its steps come to the machine's matrix products.

python recipes/bench/stages.py samples/noisy.flac [--repeat 20] [--threads 1] [--precision auto]

Real-time factors a stage: seconds of work by seconds of audio. Reading and writing are those of a float wav
file.
The limit is measured beside it, with the largest product of the network at the same precision and threads.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from speechjem import audio
from speechjem.denoising.denoiser import Denoiser
from speechjem.energy.tdnn import NetworkConfig

sys.path.append(str(Path(__file__).parents[1] / "steps"))
import common


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    denoiser = Denoiser(arguments.model, device="cpu", precision=arguments.precision)
    recording = audio.read(arguments.recording)
    rate = denoiser.model.config.fbank.sample_rate
    samples = audio.resample(recording.samples, recording.sample_rate, rate)
    stages = measure(denoiser, torch.from_numpy(samples), rate, arguments.repeat)
    seconds = samples.size / rate
    frames = len(samples) * denoiser.model.fbank.frames(samples.shape[1])
    reached = frames * operations(denoiser) / stages["steps"]
    limit = matrix_limit(denoiser, arguments.repeat)

    kind = "bfloat16" if denoiser.bfloat16 else "float32"
    print(f"{seconds:.1f} s of audio, {arguments.threads} thread(s), {kind}\n")
    print("| stage | real-time factor | share |\n|---|---|---|")
    total = sum(stages.values())
    for name, spent in stages.items():
        print(f"| {name} | {spent / seconds:.5f} | {spent / total:.0%} |")
    print(f"| all | {total / seconds:.5f} | |\n")
    print(f"steps: {reached / 1e9:.0f} GFLOP/s, {reached / limit:.0%} of the limit of {limit / 1e9:.0f}")


def measure(denoiser: Denoiser, waveform: torch.Tensor, rate: int, repeat: int) -> dict[str, float]:
    """Median seconds of every stage."""
    model, fbank = denoiser.model, denoiser.model.fbank
    spectrum = fbank.stft(waveform)
    noisy = model.observe(spectrum)

    def steps() -> torch.Tensor:
        with torch.no_grad():
            return denoiser.path.follow(noisy)

    moved = steps()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.wav"
        audio.write(path, waveform.numpy(), rate, subtype="FLOAT")
        work: dict[str, Callable[[], object]] = {
            "read": lambda: audio.read(path),
            "fbank": lambda: model.observe(fbank.stft(waveform)),
            "steps": steps,
            "inversion": lambda: fbank.istft(spectrum * model.gain(moved, noisy), waveform.shape[-1]),
            "write": lambda: audio.write(path, waveform.numpy(), rate, subtype="FLOAT", force=True),
        }
        with torch.no_grad():
            return {name: median_time(function, repeat) for name, function in work.items()}


def median_time(function: Callable[[], object], repeat: int) -> float:
    function()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def operations(denoiser: Denoiser) -> int:
    """Multiplications and additions in the matrix products of all steps, a frame."""
    c: NetworkConfig = denoiser.model.config.network
    frame = c.bins + c.fine
    forward = 3 * frame * c.channels + c.channels * c.classes
    forward += len(c.dilations) * 4 * c.channels * c.hidden  # 3 to widen, 1 to narrow
    observed = (3 * frame + c.phase) * c.channels if c.fine else 0
    return 2 * (2 * denoiser.mode.steps * forward + observed)


def matrix_limit(denoiser: Denoiser, repeat: int) -> float:
    """Operations a second of the product that widens, for 2000 frames."""
    c = denoiser.model.config.network
    kind = torch.bfloat16 if denoiser.bfloat16 else torch.float32
    left, right = torch.randn(2000, 3 * c.channels).to(kind), torch.randn(3 * c.channels, c.hidden).to(kind)
    return 2 * 2000 * 3 * c.channels * c.hidden / median_time(lambda: left @ right, 5 * repeat)


if __name__ == "__main__":
    main()
