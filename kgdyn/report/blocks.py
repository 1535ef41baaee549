"""What a page is made of: sections of text, tables, figures and turnable structures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Block", "Card", "Figure", "Section", "Structures", "Table", "Text"]


@dataclass(frozen=True)
class Text:
    """A paragraph, or with ``items`` a list; ``kind`` is "plain", "warning" or "words"."""

    text: str = ""
    items: tuple[str, ...] = ()
    kind: str = "plain"


@dataclass(frozen=True)
class Table:
    """Rows of text under a header. ``states`` gives the state (from 0) of each row, or None."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    states: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A picture that the page holds in itself; the same lies beside it as ``name``.pdf."""

    name: str
    caption: str
    source: str  # a data URI
    width: int  # CSS pixels
    wide: bool = False


@dataclass(frozen=True)
class Structures:
    """Structures of one state for the viewer, as it takes them."""

    name: str
    caption: str
    data: dict[str, Any]


Block = Text | Table | Figure | Structures


@dataclass(frozen=True)
class Card:
    """One of the numbers at the top: good, doubtful ("warning") or neither ("plain")."""

    title: str
    value: str
    note: str = ""
    kind: str = "plain"


@dataclass(frozen=True)
class Section:
    """A part of the page; ``state`` (from 0) gives its heading the colour of a state."""

    title: str
    blocks: tuple[Block, ...] = field(default=())
    state: int | None = None

    @property
    def anchor(self) -> str:
        return "".join(c if c.isalnum() else "-" for c in self.title.lower()).strip("-")

    def of(self, kind: type) -> list[Any]:
        """Its blocks of one kind."""
        return [block for block in self.blocks if isinstance(block, kind)]
