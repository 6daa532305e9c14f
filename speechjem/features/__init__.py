"""Waveform <-> frames.

`fbank` computes log-mel frames from the STFT, which it also inverts; `phase` computes how the phases of its
bins relate; `inversion` makes waveforms from frames alone. Others use `Fbank`, and what `inversion` has.
"""
