"""Settings from outside: dataclasses from plain data, and the bounds of their values.

A configuration that asks for the impossible is refused before it takes any memory.
"""

from __future__ import annotations

import dataclasses
import reprlib
import types
import typing
from operator import attrgetter
from typing import Any, TypeVar

T = TypeVar("T")


def check_bounds(config: object, **bounds: tuple[float, float]) -> None:
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


def from_dict(kind: type[T], content: dict[str, Any]) -> T:
    """Build a (nested) configuration dataclass from plain data; unknown keys are errors.

    Raises:
        ValueError: for an unknown key or a value of the wrong type, naming the key.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(content) - set(hints))
    if unknown:
        name = reprlib.repr(unknown[0])
        raise ValueError(f"unknown setting {name} (known: {', '.join(sorted(hints))})")
    return kind(**{name: _value(hints[name], value, name) for name, value in content.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    """`value` as the type that a dataclass field declares."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_dict(typing.cast(type, hint), value)
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        item, *others = typing.get_args(hint)
        if Ellipsis not in others and len(value) != 1 + len(others):
            raise ValueError(f"setting {name!r} must have {1 + len(others)} values, not {len(value)}")
        return tuple(_value(item, v, name) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    origin = typing.get_origin(hint) or hint
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (origin,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"setting {name!r} cannot be {reprlib.repr(value)}")
    return value
