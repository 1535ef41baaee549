"""Values of settings, checked against type hints: what came from a file or a command line."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

import numpy as np

__all__ = ["typed", "words"]

_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def typed(name: str, value: Any, hint: Any) -> Any:
    """The value as plain Python of the hinted type (an int is a float too).

    Raises
    ------
    TypeError
        Naming the argument, the type and the value, if it is of another type.
    """
    for option in _options(hint):
        if option is Any or (option is type(None) and value is None):
            return value
        if option is bool and isinstance(value, (bool, np.bool_)):
            return bool(value)
        if isinstance(value, (bool, np.bool_)):
            continue
        if option is int and isinstance(value, (int, np.integer)):
            return int(value)
        if option is float and isinstance(value, (int, float, np.integer, np.floating)):
            return float(value)
        if option is str and isinstance(value, str):
            return value
        if _is_list(option) and isinstance(value, (list, tuple)):
            inner = (get_args(option) or (Any,))[0]
            return [typed(f"{name}[{place}]", item, inner) for place, item in enumerate(value)]
    raise TypeError(f"{name} must be {words(hint)}, received {value!r}")


def words(hint: Any) -> str:
    """A type hint as a user would say it: ``int | None`` is "a whole number"."""
    options = [option for option in _options(hint) if option is not type(None)]
    texts = [
        f"a list, each {words((get_args(option) or (Any,))[0])}"
        if _is_list(option)
        else _NAMES.get(option, "a value")
        for option in options
    ]
    return " or ".join(dict.fromkeys(texts))


def _options(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return get_args(hint)
    return (hint if hint in (*_NAMES, type(None)) or _is_list(hint) else Any,)


def _is_list(hint: Any) -> bool:
    return hint in (list, tuple) or get_origin(hint) in (list, tuple, Sequence)
