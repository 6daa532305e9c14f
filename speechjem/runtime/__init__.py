"""What does not depend on speech, for all rooms.

`config` makes dataclasses of plain data and checks bounds, `atomic` writes files whole or not at all,
`device` chooses one, `distributed` joins training processes, and `jobs` works on many files, here or on
Dask workers.
"""
