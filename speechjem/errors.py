"""Errors that a user can act on: each message is a sentence that says what to do."""


class SpeechjemError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(SpeechjemError):
    """An input (audio, data directory, label) that cannot be used as it is."""


class UsageError(SpeechjemError):
    """A wrong argument: an unknown phone, a negative duration, an impossible setting."""


class ModelError(SpeechjemError):
    """A model folder or checkpoint that is missing, corrupt or of another kind."""


class DivergenceError(SpeechjemError):
    """Training left the region where it can recover; the last good checkpoint is kept."""


class ClusterError(SpeechjemError):
    """A Dask cluster that cannot be reached, was lost, or runs another version."""
