"""What needs no speech, and may be used by all.

`config` makes dataclasses of plain data and checks bounds, `atomic` writes files whole or not at all,
`device` chooses one, `distributed` joins training processes, and `jobs` works on many files, here or on
Dask workers.
"""
