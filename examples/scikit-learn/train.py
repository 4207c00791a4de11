"""Train a forest on handwritten digits."""

import json
import os
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split

models = Path(os.environ.get("MLSNAP_MODEL_DIR", "models"))
images, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.3, random_state=1)

forest = RandomForestClassifier(n_estimators=30, random_state=1).fit(train_x, train_y)
joblib.dump(forest, models / "model.joblib")
report = classification_report(test_y, forest.predict(test_x), output_dict=True)
Path("scores.json").write_text(json.dumps(report))
print(f"accuracy {report['accuracy']:.4f}")
