"""Work of fixed shapes on a GPU, recorded once and replayed (CUDA graphs).

An update of a small network is thousands of kernels of some microseconds each. A processor launches them more
slowly than a GPU runs them. A recorded update is one launch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Work = Callable[[Sequence[Tensor]], Tensor]
WARM = 2  # runs before a recording, in which libraries allocate what they need


class Replayed:
    """Work that is recorded for every combination of input shapes, and then replayed.

    Args:
        work: takes tensors and gives one. It must not wait for the GPU, nor depend on values on the CPU.
        generators: sources of randomness on the GPU that the work draws from.
    """

    def __init__(self, work: Work, generators: Sequence[torch.Generator]):
        self.work, self.generators = work, generators
        self._recorded: dict[tuple[torch.Size, ...], tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        """The result for these inputs, which the next call overwrites."""
        shapes = tuple(x.shape for x in inputs)
        if shapes not in self._recorded:
            self._recorded[shapes] = self._record(inputs)
        graph, places, result = self._recorded[shapes]
        for place, x in zip(places, inputs, strict=True):
            place.copy_(x, non_blocking=True)
        graph.replay()
        return result

    def _record(self, inputs: Sequence[Tensor]) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        places = [x.clone() for x in inputs]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                self.work(places)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            result = self.work(places)
        return graph, places, result
