"""The stream as a LADSPA plugin: a microphone without noise, for PipeWire and other hosts.

`plugin.c` is `denoising.streaming` in C, with the products of the network written out. `build` compiles it
together with a model into one file, which needs no Python. Others use `build`.
"""

from .build import build

__all__ = ["build"]
