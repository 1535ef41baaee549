"""Converged yet? One number of a running Koopman model, and how narrow its interval must be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from kgdyn.koopman._spectrum import relaxation_times
from kgdyn.koopman.running_koopman import RunningKoopman

__all__ = ["Convergence"]

_FORMS = '"timescale 1", "population 1" or "koopman_matrix 1 2"'
_QUANTITY = re.compile(r"(timescale|population|koopman_matrix) ([0-9]+)(?: ([0-9]+))?")
_CONDITION = re.compile(
    r"\s*(?P<quantity>\w+(?:\s+[0-9]+)+)(?:\s+at\s+(?P<lagtime>[0-9]+))?"
    r"\s*<\s*(?P<bound>[0-9.eE+-]+)\s*(?P<unit>%|ps|)\s*"
)


class _Found(NamedTuple):
    value: float
    lower: float
    upper: float
    independent: float


@dataclass(frozen=True)
class Convergence:
    """A quantity of :class:`RunningKoopman`, and a bound for the half width of its 95% interval.

    A bound alone would be met by chance early in a run, when the interval itself is not known yet.
    So it counts only once the interval rests on enough data: at least 10 blocks of time of at least
    four correlation times each, and at least 6 of them independent for this quantity, as the
    intervals' own warnings ask for.

    Parameters
    ----------
    quantity : str
        "timescale K" (1 is the slowest), "population K" or "koopman_matrix I J" (from state I to
        J). Timescales and states are counted from 1, as in all tables and figures of kgdyn.
    bound : float
        Of the half width.
    relative : bool, optional
        The bound is a share of the value. If not given: true for timescales, false for others.
    lagtime : int, optional, frames
        Of the Koopman model; the first lag time of the statistics if not given. Populations are of
        all frames and do not depend on it.

    Raises
    ------
    ValueError
        For another quantity, or a bound that is not positive.

    Examples
    --------
    >>> from kgdyn.koopman import Convergence
    >>> Convergence.parse("timescale 1 < 10%")
    Convergence(quantity='timescale 1', bound=0.1, relative=True, lagtime=None)
    >>> Convergence.parse("koopman_matrix 1 2 at 20 < 0.005").lagtime
    20
    """

    quantity: str
    bound: float
    relative: bool | None = None
    lagtime: int | None = None

    def __post_init__(self) -> None:
        words = " ".join(self.quantity.split())
        match = _QUANTITY.fullmatch(words)
        if match is None or (match[1] == "koopman_matrix") != (match[3] is not None):
            raise ValueError(f"quantity must be like {_FORMS}, received {self.quantity!r}")
        numbers = [int(text) for text in match.groups()[1:] if text is not None]
        if min(numbers) < 1:
            raise ValueError(
                f"quantity: states and timescales are counted from 1, received {self.quantity!r}"
            )
        if not 0.0 < self.bound < float("inf"):
            raise ValueError(f"bound must be a positive number, received {self.bound}")
        object.__setattr__(self, "quantity", words)
        if self.relative is None:
            object.__setattr__(self, "relative", match[1] == "timescale")

    @classmethod
    def parse(cls, condition: str) -> Convergence:
        """From words: "timescale 1 < 10%", "timescale 1 at 20 < 5 ps", "population 1 < 0.01".

        With "%" the bound is relative to the value; without, it is in the quantity's own unit (ps
        for timescales). "at 20": of the Koopman model at a lag time of 20 frames.

        Raises
        ------
        ValueError
            If the words are none of these.
        """
        match = _CONDITION.fullmatch(condition)
        try:
            number = float(match["bound"]) if match else None
        except ValueError:
            number = None
        if match is None or number is None:
            raise ValueError(
                'condition must be like "timescale 1 < 10%", "timescale 1 at 20 < 5 ps", '
                f'"population 1 < 0.01" or "koopman_matrix 1 2 < 0.005", received {condition!r}'
            )
        unit = match["unit"]
        if unit == "ps" and not match["quantity"].startswith("timescale"):
            raise ValueError(f"condition: only timescales are in ps, received {condition!r}")
        return cls(
            match["quantity"],
            number / 100.0 if unit == "%" else number,
            relative=unit == "%",
            lagtime=None if match["lagtime"] is None else int(match["lagtime"]),
        )

    def met(self, statistics: RunningKoopman) -> bool:
        """Is the interval narrow enough, and does it rest on enough data?

        Reads a Koopman model with its intervals: some tens of milliseconds. Ask now and then, not
        after each frame.

        Raises
        ------
        ValueError
            For a state, timescale or lag time that the statistics do not have.
        """
        found = self._read(statistics)
        if isinstance(found, str) or self._doubt(statistics, found) is not None:
            return False
        return self._half_width(found) <= self.bound

    def describe(self, statistics: RunningKoopman) -> str:
        """In words: "timescale 1: 49.1 ps [45.0, 53.9], half width 9.1% (bound 10%)".

        Says so where there is no value yet, or too little data behind it.

        Raises
        ------
        ValueError
            As :meth:`met`.
        """
        name = self.quantity
        if self.lagtime is not None and not name.startswith("population"):
            name += f" at {self.lagtime} frames"
        found = self._read(statistics)
        if isinstance(found, str):
            return f"{name}: not known yet, {found}"
        unit = ""
        if self.quantity.startswith("timescale"):
            unit = " frames" if statistics.frame_interval is None else " ps"
        half, bound = self._half_width(found), self.bound
        if self.relative:
            width = f"half width {100 * half:.1f}% (bound {100 * bound:g}%)"
        else:
            width = f"half width {half:.3g}{unit} (bound {bound:g}{unit})"
        value, lower, upper = found[:3]
        if unit:
            decimals = 1 if abs(value) >= 10 else 3
            numbers = f"{value:.{decimals}f}{unit} [{lower:.{decimals}f}, {upper:.{decimals}f}]"
        else:
            numbers = f"{value:.4f} [{lower:.4f}, {upper:.4f}]"
        doubt = self._doubt(statistics, found)
        return f"{name}: {numbers}, {width}" + ("" if doubt is None else f"; {doubt}")

    def _half_width(self, found: _Found) -> float:
        half = 0.5 * (found.upper - found.lower)
        if not self.relative:
            return half
        return half / abs(found.value) if found.value else float("inf")

    def _doubt(self, statistics: RunningKoopman, found: _Found) -> str | None:
        if not found.upper >= found.lower:  # NaN
            return "no interval yet"
        return statistics.doubt(self.lagtime, found.independent)

    def _read(self, statistics: RunningKoopman) -> _Found | str:
        """The number and its interval, or why there is none yet."""
        kind, *texts = self.quantity.split()
        place = tuple(int(text) - 1 for text in texts)
        largest = statistics.n_states - (kind == "timescale")
        if max(place) >= largest:
            raise ValueError(f"quantity: there are only {largest}, received {self.quantity!r}")
        if self.lagtime is not None and self.lagtime not in statistics.lagtimes:
            raise ValueError(
                f"lagtime must be one of {list(statistics.lagtimes)}, received {self.lagtime}"
            )
        try:
            model = statistics.koopman_model(self.lagtime)
        except ValueError as error:
            return str(error).split(": ", 1)[-1]
        name = kind if kind == "koopman_matrix" else f"{kind}s"
        if kind == "koopman_matrix":
            value = model.koopman_matrix[place]
            bounds = model.koopman_matrix_interval
        elif kind == "population":
            value = statistics.mean_probabilities[place]
            bounds = statistics.populations()
        else:
            times = relaxation_times(model.eigenvalues, model.lagtime * model.frame_interval)
            value = times[place]
            bounds = model.timescales_interval
        independent = statistics.independent_blocks(name, self.lagtime)[place]
        if bounds is None:
            return "no interval yet"
        if value != value:
            return "its eigenvalue is negative, complex or 1"
        lag = model.lagtime * model.frame_interval
        if kind == "timescale" and value <= lag:
            return f"the process is not slower than the lag time ({value:.3g} of {lag:.3g})"
        return _Found(
            float(value), float(bounds.lower[place]), float(bounds.upper[place]), float(independent)
        )
