"""A figure in several formats, under one name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgdyn._atomic import replacing
from kgdyn.plots._style import TEXT_AS_TEXT

__all__ = ["save_figures"]

_FORMATS = ("png", "pdf", "svg")
# No date, so that the same figure is the same file.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}


def save_figures(
    path_stem: str | Path,
    axes: Any,
    formats: Sequence[str] = ("png", "pdf", "svg"),
    *,
    dpi: float = 200.0,
) -> list[Path]:
    """Write a figure as PNG, PDF and SVG; each file is whole, or is not there.

    Text in PDF and SVG is text, to be searched and edited. The figure stays open
    (``matplotlib.pyplot.close``). The same figure gives the same bytes.

    Parameters
    ----------
    path_stem : str or Path
        Path without suffix: ``"figures/rdf"`` makes ``figures/rdf.png`` and so on; the folder is
        made where it is missing.
    axes : matplotlib Axes, or an array of them, or a Figure
    formats : sequence of {"png", "pdf", "svg"}
    dpi : float
        Of PNG, and of what is a picture inside of the others.

    Returns
    -------
    list of Path
        The files, in the order of ``formats``.

    Raises
    ------
    ValueError
        For another format, none, or a path that ends like one.
    """
    import matplotlib as mpl

    wanted = [formats] if isinstance(formats, str) else list(formats)
    if not wanted or not set(wanted) <= set(_FORMATS):
        raise ValueError(f"formats must be some of {_FORMATS}, received {wanted}")
    stem = Path(path_stem)
    if stem.suffix.lower().lstrip(".") in _FORMATS:
        raise ValueError(f"path_stem must be without the suffix of a format, received {stem}")
    first = np.ravel(np.asarray(axes, dtype=object))[0]
    figure = first if hasattr(first, "savefig") else first.figure
    written = []
    with mpl.rc_context({**TEXT_AS_TEXT, "svg.hashsalt": "kgdyn"}):
        for name in wanted:
            path = stem.with_name(f"{stem.name}.{name}")
            with replacing(path) as partial:
                figure.savefig(partial, format=name, dpi=dpi, metadata=_METADATA[name])
            written.append(path)
    return written
