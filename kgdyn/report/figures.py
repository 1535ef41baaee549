"""Figures of a report: drawn once, saved beside the page, and held by it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kgdyn.report.blocks import Figure

__all__ = ["FigureFolder"]

# A vector drawing larger than this is mostly points: its picture is smaller and looks the same.
_LARGEST_SVG = 250_000
_PIXELS_PER_INCH = 96  # of CSS


class FigureFolder:
    """Draws into a folder.

    Parameters
    ----------
    folder : Path
        For ``NAME.png``, ``NAME.pdf`` and ``NAME.svg``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def draw(
        self,
        name: str,
        caption: str,
        plot: Callable[..., Any],
        *args: Any,
        wide: bool = False,
        **kwargs: Any,
    ) -> Figure:
        """Call ``plot(*args, **kwargs)``, save the figure that it drew, and close it."""
        import matplotlib.pyplot as plt
        import numpy as np

        from kgdyn.plots import save_figures

        axes = plot(*args, **kwargs)
        try:
            png, _, svg = save_figures(self.folder / name, axes, ("png", "pdf", "svg"))
        finally:
            figure = np.ravel(np.asarray(axes, dtype=object))[0].figure
            width = round(_PIXELS_PER_INCH * figure.get_size_inches()[0])
            plt.close(figure)
        vector = svg.stat().st_size <= _LARGEST_SVG
        source = _data_uri(svg, "image/svg+xml") if vector else _data_uri(png, "image/png")
        return Figure(name, caption, source, width, wide)


def _data_uri(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
