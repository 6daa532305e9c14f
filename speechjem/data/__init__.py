"""Corpora: Kaldi data directories, noise mixing, and training batches."""
