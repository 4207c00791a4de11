"""Pickles that do something when they are loaded, in every container: looking at them does nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from tests.training.models.looking import here, model_of
from tests.training.models.torch_zip import torch_legacy, torch_zip


class Canary:
    """Makes a folder when it is loaded."""

    def __init__(self, nest: Path) -> None:
        self.nest = nest

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.nest),)


def _pickled(protocol: int) -> Callable[[Canary], bytes]:
    return lambda canary: pickle.dumps({"weights": [1.0], "canary": canary}, protocol=protocol)


def _packed(pack: Callable[[bytes], bytes]) -> Callable[[Canary], bytes]:
    return lambda canary: pack(pickle.dumps(canary, protocol=4))


def _with_numpy(save: Callable[..., None]) -> Callable[[Canary], bytes]:
    def made(canary: Canary) -> bytes:
        content = io.BytesIO()
        save(content, np.array([canary, None], dtype=object))
        return content.getvalue()

    return made


def _with_joblib(**wishes: Any) -> Callable[[Canary], bytes]:
    def made(canary: Canary) -> bytes:
        content = io.BytesIO()
        joblib.dump({"array": np.zeros(3), "objects": np.array([canary], dtype=object)}, content, **wishes)
        return content.getvalue()

    return made


def _in_tar(canary: Canary) -> bytes:
    content, inner = io.BytesIO(), pickle.dumps(canary)
    with tarfile.open(fileobj=content, mode="w") as archive:
        member = tarfile.TarInfo("model.pkl")
        member.size = len(inner)
        archive.addfile(member, io.BytesIO(inner))
    return content.getvalue()


def _broken_behind(canary: Canary) -> bytes:
    """What was called before the damage has run by then."""
    return pickle.dumps(canary, protocol=0).removesuffix(b".") + b"0\xffdamage"


CONTAINERS: dict[str, tuple[str, Callable[[Canary], bytes]]] = {
    **{f"pickle of protocol {it}": ("pickle", _pickled(it)) for it in range(6)},
    "pickle, broken behind": ("pickle", _broken_behind),
    "joblib": ("pickle", _with_joblib()),
    "joblib, compressed": ("pickle", _with_joblib(compress=3)),
    "joblib, compressed by xz": ("pickle", _with_joblib(compress=("xz", 1))),
    "gzip": ("pickle", _packed(gzip.compress)),
    "zlib": ("pickle", _packed(zlib.compress)),
    "bzip2": ("pickle", _packed(bz2.compress)),
    "lzma": ("pickle", _packed(lzma.compress)),
    "array of objects": ("numpy", _with_numpy(np.save)),
    "arrays of objects": ("numpy", _with_numpy(np.savez)),
    "torch": ("pytorch", torch_zip),
    "torch, by itself": ("pytorch", lambda canary: torch_zip(canary, folder="")),
    "torch of before 1.6": ("pytorch", torch_legacy),
    "TorchScript": ("torchscript", lambda canary: torch_zip(canary, constants=True)),
    "tar": ("archive", _in_tar),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_looking_never_runs_what_loading_would(tmp_path: Path, container: str) -> None:
    nest, file = tmp_path / "nest", tmp_path / "model"
    expected, make = CONTAINERS[container]
    file.write_bytes(make(Canary(nest)))
    model = model_of(file)
    assert model.format == expected
    assert model.runs_code == ("unknown" if expected == "archive" else "yes")
    assert here(file.read_bytes())["format"] == expected
    assert not nest.exists()


@pytest.mark.parametrize(
    "container", ["pickle of protocol 0", "pickle, broken behind", "joblib, compressed", "array of objects"]
)
def test_the_canary_is_alive(tmp_path: Path, container: str) -> None:
    nest, file = tmp_path / "nest", tmp_path / "model"
    file.write_bytes(CONTAINERS[container][1](Canary(nest)))
    load: Callable[[Path], object] = joblib.load if "joblib" in container else _unpickled
    try:
        np.load(file, allow_pickle=True) if "array" in container else load(file)
    except (pickle.UnpicklingError, ValueError):
        assert "broken" in container
    assert nest.is_dir()


def _unpickled(file: Path) -> object:
    return pickle.loads(file.read_bytes())


def test_what_a_pickle_would_run_is_named(tmp_path: Path) -> None:
    for protocol in range(6):
        found = here(pickle.dumps(Canary(tmp_path / "nest"), protocol=protocol))
        assert found["imports"] == ["posix.mkdir"]
