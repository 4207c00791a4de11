"""Train a small network to tell the inside of a circle from its outside."""

import os
from pathlib import Path

import keras
import numpy as np

models = Path(os.environ.get("MLSNAP_MODEL_DIR", "models"))
keras.utils.set_random_seed(1)
points = np.random.default_rng(1).uniform(-1, 1, size=(1000, 2)).astype("float32")
inside = (np.hypot(*points.T) < 0.7).astype("float32")

network = keras.Sequential(
    [
        keras.Input((2,)),
        keras.layers.Dense(16, activation="relu", name="hidden"),
        keras.layers.Dense(1, activation="sigmoid", name="out"),
    ]
)
network.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
logger = keras.callbacks.CSVLogger("training.csv")
network.fit(points, inside, epochs=15, validation_split=0.3, callbacks=[logger], verbose=2)
network.save(models / "model.keras")
network.save(models / "model.h5")
