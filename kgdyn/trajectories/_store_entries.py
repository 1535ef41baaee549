"""The manifest's entries: which source is which trajectory, and what stands in the way."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgdyn.frames import TargetGroups
from kgdyn.trajectories._store_manifest import Manifest, write_manifest
from kgdyn.trajectories.source import FrameSource

__all__ = ["check_request", "entry_for", "how_to_go_on", "unfinished_entry"]

# Files up to this size are hashed as a whole, longer ones in evenly spread blocks.
_WHOLE_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
_BLOCKS = 32

Entry = dict[str, Any]


def unfinished_entry(manifest: Manifest) -> Entry | None:
    """The trajectory whose conversion was interrupted: there is one at most."""
    entries: list[Entry] = manifest["trajectories"]
    return next((entry for entry in entries if not entry["complete"]), None)


def entry_for(
    store: Path, manifest: Manifest, source: FrameSource, name: str | None, resume: bool
) -> Entry:
    """The entry to continue, the entry that is complete already, or a new one.

    Raises
    ------
    ValueError
        If the name is taken, or an interrupted conversion is in the way.
    """
    described = describe_source(source)
    files = described["files"]
    name = name or (files[0]["name"] if len(files) == 1 else described["text"])
    entries: list[Entry] = manifest["trajectories"]
    known = next((entry for entry in entries if entry["name"] == name), None)
    if known is not None and known["complete"]:
        same = bool(files) and same_source(known["source"], described)
        if same and resume:
            return known
        raise ValueError(
            f"{store}: already holds a trajectory {name!r}, with "
            f"{'the same' if same else 'another'} content; name= must give another name"
        )
    unfinished = unfinished_entry(manifest)
    if unfinished is None:
        entry = _new_entry(f"trajectory-{len(entries):04d}", name, source, described)
        entries.append(entry)
        write_manifest(store, manifest)
        return entry
    if not resume:
        raise ValueError(f"{store}: {how_to_go_on(unfinished)}")
    if name != unfinished["name"] or not same_source(unfinished["source"], described):
        raise ValueError(
            f"{store}: the interrupted conversion is of {unfinished['name']!r} and must go on "
            f"with the same content, received {name!r} ({_sizes(described)}; before: "
            f"{_sizes(unfinished['source'])})"
        )
    return unfinished


def _new_entry(folder: str, name: str, source: FrameSource, described: Entry) -> Entry:
    return {
        "name": name,
        "folder": folder,
        "complete": False,
        "source": described,
        "n_frames": 0,
        "n_atoms": len(source.species),
        "pbc": np.broadcast_to(np.asarray(source.pbc, dtype=bool), (3,)).tolist(),
        "frame_interval": None,
        "segment_offsets": None,
        "targets": None,
        "first_wrapped": None,
        "arrays": {},
    }


def check_request(
    source: FrameSource,
    targets: TargetGroups,
    frame_interval: float | None,
    frames_per_chunk: int | None,
) -> None:
    """Raise if a source, or what is asked of it, cannot be right, before anything is read."""
    if not isinstance(targets, TargetGroups):
        raise TypeError(f"targets must be TargetGroups, received {type(targets).__name__}")
    species = np.asarray(source.species)
    if species.ndim != 1 or not len(species) or int(species.min()) < 1:
        raise ValueError(
            f"{source.source}: species must be positive, one for each atom, "
            f"received {species.tolist()[:10]}"
        )
    targets.check_within(len(species))
    if frame_interval is not None and not (np.isfinite(frame_interval) and frame_interval > 0.0):
        raise ValueError(f"frame_interval must be a positive time in ps, received {frame_interval}")
    if frames_per_chunk is not None and frames_per_chunk < 1:
        raise ValueError(f"frames_per_chunk must be at least 1, received {frames_per_chunk}")


def how_to_go_on(entry: Entry) -> str:
    """What messages say about an interrupted conversion."""
    return (
        f"the conversion of {entry['name']!r} is not finished ({entry['n_frames']} frames are "
        "stored; it was interrupted, or another process is at it). To go on: "
        "store = FrameStore.open(path, writable=True), then store.append(the same source, ..., "
        "resume=True), or store.discard_incomplete()"
    )


def _sizes(described: Entry) -> str:
    sizes = [f"{file['name']} of {file['size']} bytes" for file in described["files"]]
    return ", ".join(sizes) or described["text"]


def describe_source(source: FrameSource) -> Entry:
    """What identifies a source: its files by name, size, time and checksum; its species and pbc.

    The files are ``source.files`` where a source offers that, else ``source.source`` if it is
    the path of a file, or of several with ", " between. Paths are cut down to names.
    """
    files: Sequence[str | os.PathLike[str]] | None = getattr(source, "files", None)
    text = source.source
    if files is None:
        parts = [text] if _is_file(text) else text.split(", ")
        files = parts if all(_is_file(part) for part in parts) else []
    paths = [Path(file) for file in files]
    for path, file in zip(paths, files, strict=True):
        text = text.replace(os.fspath(file), path.name)
    atoms = np.concatenate([source.species, np.broadcast_to(source.pbc, (3,))]).astype("<i4")
    return {
        "text": text,
        "files": [_describe_file(path) for path in paths],
        "atoms_crc32": zlib.crc32(atoms.tobytes()),
    }


def same_source(one: Entry, other: Entry) -> bool:
    """Whether two descriptions mean the same content, wherever and however old the files are."""

    def content(source: Entry) -> list[Any]:
        files = [(file["size"], file["sha256"]) for file in source["files"]]
        return [files, source["atoms_crc32"], "" if files else source["text"]]

    return content(one) == content(other)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a description too long or too odd to be a path
        return False


def _describe_file(path: Path) -> Entry:
    status = path.stat()
    whole = status.st_size <= _WHOLE_BYTES
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        if whole:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        else:
            for start in np.linspace(0, status.st_size - _BLOCK_BYTES, _BLOCKS, dtype=np.int64):
                file.seek(int(start))
                digest.update(file.read(_BLOCK_BYTES))
    return {
        "name": path.name,
        "size": status.st_size,
        "mtime": status.st_mtime,
        "sha256": digest.hexdigest(),
        "sha256_of": "the file" if whole else f"{_BLOCKS} blocks of {_BLOCK_BYTES} bytes",
    }
