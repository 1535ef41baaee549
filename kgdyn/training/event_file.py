"""Scores for TensorBoard, written with TensorFlow alone: TensorBoard is needed only to look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

__all__ = ["WriteEvents"]


class WriteEvents(keras.callbacks.Callback):
    """Write an event file of the values of each epoch: folders `train` and `validation`.

    Args:
        folder: For `tensorboard --logdir`.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = {**(logs or {}), "learning_rate": float(self.model.optimizer.learning_rate)}
        for name, value in values.items():
            part, tag = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            self._write(part, f"epoch_{tag}", float(value), epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(self, part: str, tag: str, value: float, step: int) -> None:
        """As `tf.summary.scalar`, which is TensorBoard's and may not be there."""
        import tensorflow as tf

        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(str(self.folder / part))
        metadata = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        )
        with self._writers[part].as_default():
            tf.summary.write(tag, tf.constant(value, tf.float32), step, metadata)
