"""The configuration of ``kgdyn train``: a TOML file with tables [data], [model] and [training].

Keys of [model] are the arguments of :class:`kgdyn.models.GDyNet`, those of [training] the fields
of :class:`kgdyn.training.TrainingSettings`; nothing is repeated here. Paths in a file are
relative to its folder.
"""

from __future__ import annotations

import difflib
import inspect
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from kgdyn.cli._files import replacing

__all__ = ["Tables", "complete_config", "parse_settings", "read_config", "write_config"]

Tables = dict[str, dict[str, Any]]

_REQUIRED: Any = inspect.Parameter.empty
# Of the model, but known from the data.
_OF_DATA = ("self", "elements", "frame_interval", "targets", "kwargs")
_PATHS = ("trajectories", "topology")


class _Key(NamedTuple):
    hint: Any
    default: Any


def _known_keys() -> dict[str, dict[str, _Key]]:
    """Type and default of every key of every table."""
    from kgdyn.models import GDyNet
    from kgdyn.training import TrainingSettings

    hints = get_type_hints(GDyNet.__init__)
    parameters = inspect.signature(GDyNet.__init__).parameters
    model = {
        name: _Key(hints[name], parameter.default)
        for name, parameter in parameters.items()
        if name not in _OF_DATA
    }
    model["lagtime"] = _Key(int, _REQUIRED)  # a default would never be right
    types = get_type_hints(TrainingSettings)
    return {
        "data": {
            "trajectories": _Key(list[str], _REQUIRED),
            "targets": _Key(str | None, None),
            "groupby": _Key(str, "atoms"),
            "topology": _Key(str | None, None),
            "elements": _Key(str | list[str] | None, None),
            "frame_interval": _Key(float | None, None),
            "timestep": _Key(float | None, None),
            "train_fraction": _Key(float, 0.7),
            "validation_fraction": _Key(float, 0.15),
        },
        "model": model,
        "training": {
            field.name: _Key(types[field.name], field.default) for field in fields(TrainingSettings)
        },
    }


def read_config(path: Path) -> Tables:
    """What a file sets; its paths become such that hold in the current folder.

    Raises
    ------
    ValueError
        If it is no TOML, or has a table or key that is not known, naming the nearest that is.
    TypeError
        For a value of another type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not TOML: {error}") from error
    content.pop("kgdyn", None)  # the version that wrote it
    tables = _checked(content, str(path))
    data = tables["data"]
    for key in _PATHS:
        if key in data:
            data[key] = _each(data[key], lambda name: os.path.normpath(path.parent / name))
    return tables


def parse_settings(settings: Iterable[str]) -> Tables:
    """``["model.n_features=32"]`` of a command line as tables; values as in TOML, or text."""
    tables: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        table, dot, key = name.strip().partition(".")
        if not equals or not dot or not key:
            raise ValueError(f"--set must be TABLE.KEY=VALUE, received {setting!r}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        tables.setdefault(table, {})[key] = value
    return _checked(tables, "--set")


def complete_config(*tables: Mapping[str, Mapping[str, Any]]) -> Tables:
    """Every key with a value: defaults, then what each of ``tables`` sets, the last wins.

    None and an empty list set nothing.

    Raises
    ------
    ValueError
        For a value that is needed and not there.
    """
    result: Tables = {}
    for table, keys in _known_keys().items():
        result[table] = {}
        for key, (_, default) in keys.items():
            values = [part[table].get(key) for part in tables if table in part]
            set_to = [value for value in values if value not in (None, [])]
            value = set_to[-1] if set_to else default
            if value is _REQUIRED:
                raise ValueError(f"{key} is needed: on the command line, or in [{table}] of a file")
            result[table][key] = value
    elements = result["data"]["elements"]
    if isinstance(elements, list):
        result["data"]["elements"] = ",".join(elements)
    return result


def write_config(path: Path, config: Tables) -> None:
    """Write it whole, for ``kgdyn train --config``; what is None has no line."""
    import tomli_w

    import kgdyn

    tables = {
        table: {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in values.items()
            if value is not None
        }
        for table, values in config.items()
    }
    data = tables["data"]
    for key in _PATHS:
        if key in data:
            data[key] = _each(data[key], lambda name: _relative(name, path.parent))
    with replacing(path) as partial:
        text = "# For kgdyn train --config; paths are relative to the folder of this file.\n"
        text += tomli_w.dumps({"kgdyn": kgdyn.__version__, **tables})
        partial.write_text(text, encoding="utf-8")


def _checked(content: Mapping[str, Any], where: str) -> Tables:
    from kgdyn.training._value_types import typed

    known = _known_keys()
    result: Tables = {table: {} for table in known}
    for table, values in content.items():
        if table not in known:
            raise ValueError(f"{where}: there is no table [{table}]{_nearest(table, known)}")
        if not isinstance(values, Mapping):
            raise TypeError(f"{where}: {table} must be a table, received {values!r}")
        for key, value in values.items():
            if key not in known[table]:
                hint = _nearest(key, known[table])
                raise ValueError(f"{where}: [{table}] has no key {key}{hint}")
            try:
                result[table][key] = typed(f"{table}.{key}", value, known[table][key].hint)
            except TypeError as error:
                raise TypeError(f"{where}: {error}") from None
    return result


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"


def _each(value: Any, change: Any) -> Any:
    return [change(item) for item in value] if isinstance(value, list) else change(value)


def _relative(name: str, folder: Path) -> str:
    try:
        return Path(os.path.relpath(Path(name).resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return str(Path(name).resolve())
