"""ONNX: one protobuf message, of which these fields are looked at (number, name).

Model 1 ir_version, 2 producer_name, 3 producer_version, 7 graph, 8 opset_import, 25 functions ·
Operator set 1 domain, 2 version · Graph 1 node, 2 name, 5 initializer, 15 sparse_initializer ·
Node 5 attribute, 7 domain · Attribute 6 graph, 11 graphs · Sparse tensor 1 values, 3 dims ·
Tensor 1 dims, 2 data_type, 8 name, 13 external_data · Entry 1 key, 2 value.
"""

from __future__ import annotations

from collections.abc import Iterator

from ci_mlsnap.training.models.found import Found, Unread
from ci_mlsnap.training.models.source import Source
from ci_mlsnap.training.models.wire import Message

_TYPES = (
    *("undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16"),
    *("float64", "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz"),
    *("float8_e5m2", "float8_e5m2fnuz", "uint4", "int4", "float4_e2m1", "float8_e8m0", "uint2", "int2"),
)
_MODEL_FIELDS = frozenset((*range(1, 9), 14, 20, 25, 26))
_OWN_DOMAINS = frozenset(
    ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training")
)
_DEEP_AT_MOST = 30


def is_onnx(source: Source) -> bool:
    """Tell it by the whole of the outermost message: all its fields are a model's, and a graph is among them."""
    if source.size < 8 or source.at(0, 1) != b"\x08":
        return False
    try:
        kinds = {number: isinstance(value, int) for number, value in Message(source, 0, source.size).fields()}
    except Unread:
        return _begins(source)
    return kinds.keys() <= _MODEL_FIELDS and kinds.get(1) is True and kinds.get(7) is False


def read_onnx(source: Source, found: Found) -> None:
    """Take producer, operator sets and the tensors of the graph and of those in it. Raises `Unread`."""
    found.runs_code, found.why = "no", "a graph of ONNX's own operators"
    reader = _Reader(found)
    for number, value in Message(source, 0, source.size).fields():
        if number == 2 and isinstance(value, Message):
            found.framework = value.text()
        elif number == 3 and isinstance(value, Message):
            found.version = value.text()
        elif number == 7 and isinstance(value, Message):
            reader.graph(value, _DEEP_AT_MOST)
        elif number == 8 and isinstance(value, Message):
            reader.domains |= {it.text() for field, it in value.fields() if field == 1 and isinstance(it, Message)}
    foreign = sorted(reader.domains - _OWN_DOMAINS)
    if foreign:
        found.why = f"a graph that needs operators of another library: {', '.join(foreign)}"
        found.runs_code = "unknown"
    if reader.outside:
        found.why += f"; tensors stand in other files: {', '.join(sorted(reader.outside)[:3])}"


class _Reader:
    def __init__(self, found: Found) -> None:
        self._found = found
        self.domains: set[str] = set()
        self.outside: set[str] = set()

    def graph(self, graph: Message, depth: int) -> None:
        if not depth:
            raise Unread("its graphs are nested too deeply")
        for number, value in graph.fields():
            if not isinstance(value, Message):
                continue
            if number == 1:
                self._node(value, depth)
            elif number == 2 and depth == _DEEP_AT_MOST:
                self._found.architecture = value.text()
            elif number == 5:
                self._tensor(value)
            elif number == 15:
                self._sparse(value)

    def _node(self, node: Message, depth: int) -> None:
        for number, value in node.fields():
            if number == 7 and isinstance(value, Message):
                self.domains.add(value.text())
            elif number == 5 and isinstance(value, Message):
                for field, inner in value.fields():
                    if field in (6, 11) and isinstance(inner, Message):
                        self.graph(inner, depth - 1)

    def _tensor(self, tensor: Message) -> None:
        shape, kind, name = list[int](), 0, ""
        for number, value in tensor.fields():
            if number == 1:
                shape += [value] if isinstance(value, int) else value.varints()
            elif number == 2 and isinstance(value, int):
                kind = value
            elif number == 8 and isinstance(value, Message):
                name = value.text()
            elif number == 13 and isinstance(value, Message):
                self._outside(value)
        self._found.add(name, shape, _TYPES[kind] if kind < len(_TYPES) else "unknown")

    def _sparse(self, tensor: Message) -> None:
        for number, value in tensor.fields():
            if number == 1 and isinstance(value, Message):
                self._tensor(value)

    def _outside(self, entry: Message) -> None:
        texts = {number: value.text() for number, value in entry.fields() if isinstance(value, Message)}
        if texts.get(1) == "location":
            self.outside.add(texts.get(2, ""))


def _begins(source: Source) -> bool:
    """Tell whether what is damaged, or cut off, begins as a model does: its version, then its producer."""
    fields: Iterator[tuple[int, int | Message]] = Message(source, 0, source.size).fields()
    try:
        first, second = next(fields), next(fields)
    except (Unread, StopIteration):
        return False
    return first[0] == 1 and isinstance(first[1], int) and first[1] < 1000 and second[0] == 2
