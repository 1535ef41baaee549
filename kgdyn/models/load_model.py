"""Read a model file back, with errors that say what is wrong with it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, overload

import keras

from kgdyn.models._state_model import FORMAT_VERSION
from kgdyn.models.gdynet import GDyNet
from kgdyn.models.vampnet import VAMPNet

__all__ = ["load_model"]


@overload
def load_model(path: str | Path) -> GDyNet: ...


@overload
def load_model(path: str | Path, kind: type[GDyNet]) -> GDyNet: ...


@overload
def load_model(path: str | Path, kind: type[VAMPNet]) -> VAMPNet: ...


def load_model(path: str | Path, kind: Any = GDyNet) -> Any:
    """Load a model from a ``.keras`` file, in Keras' safe mode.

    ``keras.models.load_model(path)`` does the same without these checks, once ``kgdyn.models``
    has been imported: Keras finds only classes that are.

    Parameters
    ----------
    path : path
    kind : type, optional
        :class:`kgdyn.models.GDyNet`, or :class:`kgdyn.models.VAMPNet`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no ``.keras`` file, of another kind, of another format version, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such model file")
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
            raise ValueError("config.json describes no model")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: is not a .keras model file ({error})") from error
    if config.get("registered_name") != f"kgdyn>{kind.__name__}":
        raise ValueError(
            f"{path}: holds {config.get('registered_name') or config.get('class_name')!r}, "
            f"not a kgdyn {kind.__name__}"
        )
    version = config["config"].get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path}: was written in model format version {version}; this kgdyn reads version "
            f"{FORMAT_VERSION}: use the kgdyn that wrote it, or train again"
        )
    try:
        model = keras.saving.load_model(path)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be loaded, the file is damaged ({error})") from error
    if not isinstance(model, kind):
        raise ValueError(f"{path}: holds {type(model).__name__}, not a kgdyn {kind.__name__}")
    try:
        if isinstance(model, GDyNet):
            model.novelty  # noqa: B018
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return model
