"""Noise out of recordings: follow the energy from the noisy frames, and turn the movement into a gain.

`path` is the signal path that all share, `modes` the two ways to follow the energy, `noise_model` how noise
adds to speech. `denoiser` works on arrays, `files` on files, `streaming` on what is not yet complete, `live`
on the microphone; `transform` is a torch module, `graph` its network for ONNX. Others use `Denoiser`,
`FileDenoiser`, `StreamDenoiser` and `DenoiseTransform`.
"""
