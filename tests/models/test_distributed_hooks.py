"""Whether Keras still needs the overrides of `kgdyn/models/_distribution.py`."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PLAIN = """
    import os
    import sys
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras, numpy as np, tensorflow as tf

    def train(strategy, n_samples, **how):
        with strategy.scope():
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            model.compile("adam", "mse", **how)
        x = np.ones((n_samples, 3), "float32")
        data = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(5)
        model.fit(data, verbose=0, shuffle=False)

    def mirrored():
        (cpu,) = tf.config.list_physical_devices("CPU")
        two = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        tf.config.set_logical_device_configuration(cpu, two)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
"""
CASES = {
    "a first batch that the replicas do not divide": (
        "train(mirrored(), 5)",
        "the override of _maybe_symbolic_build may go, if the ragged inputs of "
        "tests/models/test_distributed.py train without it",
    ),
    "several steps per execution": (
        "train(mirrored(), 10, steps_per_execution=2)",
        "make_train_function need not refuse steps_per_execution under a strategy",
    ),
    "several workers": (
        "train(tf.distribute.MultiWorkerMirroredStrategy(), 10)",
        "the override of compute_metrics may go",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_keras_itself_still_fails(case: str, tmp_path: Path) -> None:
    code, then = CASES[case]
    program = tmp_path / "plain.py"
    program.write_text(textwrap.dedent(PLAIN) + code + "\n")
    command = [sys.executable, str(program)]
    if "MultiWorker" in code:
        launch = [sys.executable, "-c", "from kgdyn.cli.app import app; app()", "launch"]
        command = [*launch, "--workers", "2", "--", *command]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=900, env=dict(os.environ)
    )
    assert done.returncode != 0, f"Keras mended '{case}' (a plain Dense trains): {then}"
    # It is Keras that fails, not this program.
    assert "keras/src" in done.stderr or "tensorflow/python" in done.stderr, done.stderr


def test_what_keras_cannot_do_is_refused() -> None:
    import keras
    import tensorflow as tf

    from kgdyn.models import GDyNet
    from kgdyn.scores import VAMP2Loss

    model = GDyNet(2, [3, 16], 3)
    model.compile(keras.optimizers.SGD(), loss=VAMP2Loss(), steps_per_execution=4)
    model._n_replicas = lambda: 2
    with pytest.raises(ValueError, match=r"steps_per_execution must be 1 under .* received 4"):
        model.make_train_function()
    assert isinstance(model.distribute_strategy, tf.distribute.Strategy)
