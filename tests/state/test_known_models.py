"""Facts of model files, remembered by digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.domain.models import Model
from ci_mlsnap.state import known_models

FACTS = {"a" * 64: Model(format="onnx", runs_code="no")}


def test_what_was_written_last_is_known(tmp_path: Path) -> None:
    assert known_models.read(tmp_path) == {}
    known_models.write(tmp_path, {"b" * 64: Model(format="pickle")})
    known_models.write(tmp_path, FACTS)
    assert known_models.read(tmp_path) == FACTS


@pytest.mark.parametrize("content", [b"", b"no JSON", b'{"format": "mlsnap/known-models/2", "models": {}}'])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, content: bytes) -> None:
    known_models.write(tmp_path, FACTS)
    (tmp_path / "known-models.json").write_bytes(content)
    assert known_models.read(tmp_path) == {}
