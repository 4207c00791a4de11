"""Train a small neural network on handwritten digits; writes its weights and its metrics."""

import json
import os
import tomllib
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

params = tomllib.loads(Path("params.toml").read_text())
models = Path(os.environ.get("MLSNAP_MODEL_DIR", "models"))
images, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images / 16.0, labels, test_size=0.3, random_state=1)

network = MLPClassifier(
    hidden_layer_sizes=params["hidden"],
    learning_rate_init=params["learning_rate"],
    batch_size=64,
    random_state=1,
)
curve = []
for epoch in range(params["epochs"]):
    network.partial_fit(train_x, train_y, classes=range(10))
    curve.append(accuracy_score(test_y, network.predict(test_x)))
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:3}  loss {network.loss_:.4f}  accuracy {curve[-1]:.4f}", flush=True)

layers = {f"weights{i}": matrix for i, matrix in enumerate(network.coefs_)}
layers |= {f"biases{i}": vector for i, vector in enumerate(network.intercepts_)}
np.savez(models / "digits.npz", **layers)
(models / "labels.txt").write_text("\n".join(map(str, range(10))) + "\n")
metrics = {
    "accuracy": curve,
    "loss": log_loss(test_y, network.predict_proba(test_x)),
    "parameters": sum(layer.size for layer in layers.values()),
}
Path(os.environ.get("MLSNAP_METRICS", models / "metrics.json")).write_text(json.dumps(metrics))
