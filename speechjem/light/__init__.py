"""Denoising without torch: the graphs of the models, run by onnxruntime.

`denoiser` and `streaming` have what `denoising` has under the same names, with the same audio code below;
`graphs` finds and opens the models. Importing it takes a tenth of a second.
"""
