"""Fit a linear model by gradient descent."""

import json
import os
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

models = Path(os.environ.get("MLSNAP_MODEL_DIR", "models"))
random = np.random.default_rng(1)
inputs = random.normal(size=(200, 8)).astype("float32")
wanted = inputs @ random.normal(size=(8, 2)).astype("float32") + 1.0

weight, bias, losses = np.zeros((8, 2), "float32"), np.zeros(2, "float32"), []
for _ in range(60):
    error = inputs @ weight + bias - wanted
    losses.append(float((error**2).mean()))
    weight -= 0.1 * 2 * inputs.T @ error / len(inputs)
    bias -= 0.1 * 2 * error.mean(axis=0)

save_file({"weight": weight, "bias": bias}, models / "model.safetensors", metadata={"format": "np"})
metrics = {"loss": losses, "parameters": weight.size + bias.size}
Path(os.environ.get("MLSNAP_METRICS", "metrics.json")).write_text(json.dumps(metrics))
print(f"loss {losses[-1]:.4f}")
