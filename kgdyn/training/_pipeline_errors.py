"""A ValueError from inside a data pipeline, as the ValueError that it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["pipeline_errors"]


@contextmanager
def pipeline_errors() -> Iterator[None]:
    """Raise our own ValueError where tf.data hands it on wrapped in an InvalidArgumentError."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r"ValueError: (.*)", str(error))
        if found is None:
            raise
        raise ValueError(found[1]) from error
