"""Makes the files beside it with the real libraries; README.md says how to run it.

Each part needs only its own library: `python make.py keras mlflow` makes just those two. They are imported by
name, since none of them is there where types are checked.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.resolve()
LOSSES = (0.9, 0.5, 0.25)


def empty(name: str) -> Path:
    """Give an empty folder for one library's files."""
    folder = Path(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


def transformers() -> None:
    """Train one small linear model with Trainer: its state, and what its example scripts save beside it."""
    torch: Any = import_module("torch")
    hugging: Any = import_module("transformers")

    class Line(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            return {"loss": ((x * self.weight - labels) ** 2).mean(), "logits": x * self.weight}

    hugging.set_seed(1)
    folder = empty("transformers")
    data = [{"x": torch.tensor([i / 8]), "labels": torch.tensor([i / 4])} for i in range(8)]
    arguments = hugging.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=3,
        per_device_train_batch_size=4,
        learning_rate=0.1,
        logging_steps=2,
        eval_strategy="epoch",
        save_strategy="best",
        metric_for_best_model="loss",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = hugging.Trainer(model=Line(), args=arguments, train_dataset=data, eval_dataset=data)
    trainer.save_metrics("train", trainer.train().metrics)
    trainer.save_metrics("eval", trainer.evaluate())
    trainer.save_state()
    for checkpoint in folder.glob("checkpoint-*"):
        for file in checkpoint.iterdir():
            if file.name != "trainer_state.json":
                file.unlink()


def lightning() -> None:
    """Log with CSVLogger as a LightningModule does: training by step, validation by epoch."""
    loggers: Any = import_module("lightning.pytorch.loggers")
    logger = loggers.CSVLogger(save_dir=str(empty("lightning")))
    for epoch, loss in enumerate(LOSSES):
        logger.log_metrics({"train_loss": loss, "epoch": epoch}, step=epoch * 10)
        logger.log_metrics({"val_loss": loss + 0.1, "val_acc": 1 - loss, "epoch": epoch}, step=epoch * 10 + 9)
    logger.save()


def keras() -> None:
    """Fit a small model: its History as JSON, and CSVLogger's table."""
    keras: Any = import_module("keras")
    np: Any = import_module("numpy")
    folder = empty("keras")
    keras.utils.set_random_seed(1)
    x = np.linspace(0, 1, 32).reshape(-1, 1)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    table = keras.callbacks.CSVLogger(str(folder / "training.log"))
    history = model.fit(x, 2 * x, epochs=4, validation_split=0.25, verbose=0, callbacks=[table])
    dump(folder / "history.json", history.history)


def tensorboard() -> None:
    """Write plain values, as torch's SummaryWriter and tensorboardX do, among things that are no scalars."""
    folder = empty("tensorboard")
    writer = import_module("tensorboardX").SummaryWriter(str(folder / "runs/first"))
    writer.add_text("note", "no scalar")
    for step, loss in enumerate(LOSSES):
        writer.add_scalar("loss/train", loss, step * 100)
        writer.add_scalar("accuracy", 0.1 + step / 10, step * 100)
        writer.add_histogram("weights", [loss, 1.0, 2.0], step * 100)
    writer.close()
    rename_events(folder)


def tensorflow() -> None:
    """Fit a small model with the TensorBoard callback, which writes scalars as tensors into two folders."""
    keras: Any = import_module("keras")
    np: Any = import_module("numpy")
    folder = empty("tensorflow")
    keras.utils.set_random_seed(1)
    x = np.linspace(0, 1, 32).reshape(-1, 1)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    logs = keras.callbacks.TensorBoard(str(folder / "logs"), write_graph=False)
    history = model.fit(x, 2 * x, epochs=4, validation_split=0.25, verbose=0, callbacks=[logs])
    dump(folder / "history.json", history.history)
    rename_events(folder)


def rename_events(folder: Path) -> None:
    """Take the machine's name and the process's number out of the files' names."""
    for file in folder.rglob("events.*"):
        file.rename(file.with_name("events.out.tfevents.1700000000.host.1"))


def scikit_learn() -> None:
    """Score a classifier on the bundled iris data: a report, and a search's results."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import classification_report
    from sklearn.model_selection import GridSearchCV

    folder = empty("scikit_learn")
    x, y = load_iris(return_X_y=True)
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": [0.01, 1.0, 0.001]}, cv=3).fit(x, y)
    dump(folder / "report.json", classification_report(y, search.predict(x), output_dict=True))
    results = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in search.cv_results_.items()}
    dump(folder / "cv_results.json", results)


def mlflow() -> None:
    """Log two runs to a file store, one after the other."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    mlflow: Any = import_module("mlflow")
    folder = empty("mlflow")
    mlflow.set_tracking_uri((HERE / folder / "mlruns").as_uri())
    for add in (0.5, 0.0):
        with mlflow.start_run():
            mlflow.log_param("lr", 0.1)
            for step, loss in enumerate(LOSSES):
                mlflow.log_metric("val/loss", loss + add, step=step)
            mlflow.log_metric("accuracy", 0.75 - add)
    for meta in folder.rglob("meta.yaml"):
        kept = [line for line in meta.read_text().splitlines(True) if not line.startswith(("artifact", "user_id"))]
        meta.write_text("".join(kept))
    for unread in folder.rglob("tags"):
        shutil.rmtree(unread)


MAKERS: dict[str, Callable[[], None]] = {
    make.__name__: make for make in (transformers, lightning, keras, tensorboard, tensorflow, scikit_learn, mlflow)
}

if __name__ == "__main__":
    # The folders beside have the names of libraries.
    sys.path.remove(str(HERE))
    # Some libraries write paths down as they were given.
    os.chdir(HERE)
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name]()
