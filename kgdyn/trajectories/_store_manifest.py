"""The manifest of a frame store: what is in it, from which source, and whether it is complete."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "MANIFEST",
    "manifest_checksum",
    "new_manifest",
    "read_manifest",
    "store_lock",
    "sync_folder",
    "write_manifest",
]

MANIFEST = "manifest.json"
FORMAT = "kgdyn frame store"
FORMAT_VERSION = 1

Manifest = dict[str, Any]


def new_manifest(creator: str | None) -> Manifest:
    """The manifest of an empty store."""
    if creator is None:
        try:
            creator = f"kgdyn {importlib.metadata.version('kgdyn')}"
        except importlib.metadata.PackageNotFoundError:  # run from a source tree
            creator = "kgdyn, version unknown"
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "creator": creator,
        "units": {
            "positions": "angstrom",
            "cells": "angstrom, rows are lattice vectors",
            "images": "lattice vectors: positions + images @ cell are unwrapped",
            "steps": "simulation steps",
            "times": "ps",
            "frame_interval": "ps",
        },
        "trajectories": [],
    }


def read_manifest(store: Path) -> Manifest:
    """Read and check the manifest of a store.

    Raises
    ------
    ValueError
        If the folder is no store, the manifest is damaged, or of another format version.
    """
    path = store / MANIFEST
    if not path.is_file():
        raise ValueError(f"{store}: is no frame store, it must be a folder with a {MANIFEST}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is not valid JSON ({error}); the store is damaged") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{store}: is no frame store, its {MANIFEST} must say {FORMAT!r}")
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{store}: is a frame store of format version {version}, this kgdyn reads version "
            f"{FORMAT_VERSION}; convert the trajectories again"
        )
    return manifest


def write_manifest(store: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step: a reader sees the old one or the new one."""
    contents = {key: value for key, value in manifest.items() if key != "crc32"}
    contents["crc32"] = manifest["crc32"] = manifest_checksum(contents)
    temporary = store / (MANIFEST + ".new")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(contents, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, store / MANIFEST)
    sync_folder(store)


def manifest_checksum(manifest: Manifest) -> int:
    """CRC-32 of all entries but the checksum itself."""
    contents = {key: value for key, value in manifest.items() if key != "crc32"}
    return zlib.crc32(json.dumps(contents, sort_keys=True).encode("utf-8"))


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable, where the system can open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def store_lock(store: Path) -> Iterator[None]:
    """Let one process at a time write; the lock falls with the process, even when killed."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        yield
        return
    with open(store / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{store}: another process is writing to this store") from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        yield
