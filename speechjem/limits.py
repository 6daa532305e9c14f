"""Bounds of settings: a configuration that asks for the impossible is refused before it takes any memory."""

from __future__ import annotations

from operator import attrgetter


def check(config: object, **bounds: tuple[float, float]) -> None:
    """Hold settings, or every item of one that is a tuple, to their bounds.

    Args:
        config: a dataclass of settings.
        bounds: smallest and largest value by name, which may lead into parts: fbank.bins.

    Raises:
        ValueError: naming the setting; NaN is within no bounds.
    """
    for name, (low, high) in bounds.items():
        setting = attrgetter(name)(config)
        for value in setting if isinstance(setting, tuple) else (setting,):
            if not low <= value <= high:
                raise ValueError(f"setting {name!r} must be from {low:g} to {high:g}, not {value:g}")
