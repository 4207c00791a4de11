"""A pickle's instructions followed on paper: what would be imported, called and built, and nothing of it done.

`pickletools.genops` gives the instructions. The machine here has a pickle's stack and memo, and puts a `Global` or
a `Thing` there where the real one would have an object. Nothing is ever imported, called, hashed or compared by
what a file says, so that what is nested in itself costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ci_mlsnap.training.models.found import TooMuch, Unread
from ci_mlsnap.training.models.source import Source

STEPS_AT_MOST = 1_000_000
_KEPT = 64 << 10
"""Longer texts and arrays of bytes are passed by."""

_CONSTANTS = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "NONE"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    )
)
_NOTHING = frozenset(("PROTO", "FRAME", "READONLY_BUFFER", "STOP"))
_MARK = object()


class Global:
    """Something that would be imported, by its dotted name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Stored:
    """Something that stands elsewhere in the file, by the key that the loader is given."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key


class Thing:
    """An object: what would be called to make it (None for lists and dictionaries), and what it would be filled
    with."""

    __slots__ = ("arguments", "elements", "maker", "pairs", "state")

    def __init__(self, maker: Any = None, arguments: Any = ()) -> None:
        self.maker = maker
        self.arguments = arguments
        self.pairs: list[tuple[Any, Any]] = []
        self.elements: list[Any] = []
        self.state: Any = None

    @property
    def kind(self) -> str:
        """The dotted name of what would make it; empty for what is plain, or is made by something made."""
        return self.maker.name if isinstance(self.maker, Global) else ""

    def get(self, name: str) -> Any:
        """Give what stands under a name in its state, or in itself."""
        for holder in (self, *(self.state if isinstance(self.state, tuple) else (self.state,))):
            for key, value in reversed(holder.pairs) if isinstance(holder, Thing) else ():
                if isinstance(key, str) and key == name:
                    return value
        return None


class Skipped(bytes):
    """Bytes that were passed by: as long as they are, and empty to look at."""

    length: int

    def __len__(self) -> int:
        return self.length


class _Stream:
    """A source as `genops` reads it: what is long is passed by."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.readline = source.readline
        self.tell = source.tell

    def read(self, count: int) -> bytes:
        if count <= _KEPT:
            return self._source.read(count)
        if count > self._source.size - self._source.tell():
            raise Unread("it is cut off")
        self._source.seek(count, 1)
        passed = Skipped()
        passed.length = count
        return passed


class Machine:
    """Follows pickles that stand in a source one after the other. `built` is told of each object that got a state,
    as some libraries put an array's bytes behind it.

    `imports` are the names in their order, as far as they can be told, `calls` counts what would be called.
    Raises `Unread`.
    """

    def __init__(self, source: Source, built: Callable[[Thing], None] = lambda thing: None) -> None:
        self._stream = _Stream(source)
        self._built = built
        self._steps = 0
        self.imports: dict[str, None] = {}
        self.calls = 0

    def follow(self) -> Any:
        """Follow the pickle that begins here, to its end, and give what it would be."""
        import pickletools

        stack: list[Any] = []
        memo: dict[int, Any] = {}
        try:
            for opcode, argument, _ in pickletools.genops(cast("Any", self._stream)):
                self._steps += 1
                if self._steps > STEPS_AT_MOST:
                    raise TooMuch(f"it has more than {STEPS_AT_MOST:,} instructions")
                name = opcode.name
                if name in _CONSTANTS:
                    stack.append(argument)
                elif name not in _NOTHING:
                    _ACTS[name](self, stack, memo, argument)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError):
            raise Unread("it is no pickle that can be read: it is cut off, or damaged") from None
        return stack[-1] if stack else None

    def imported(self, name: str) -> Global:
        """Note an import."""
        self.imports[name] = None
        return Global(name)

    def called(self, maker: Any, arguments: Any) -> Thing:
        """Note a call, and give what it would make."""
        self.calls += 1
        return Thing(maker, arguments)

    def build(self, stack: list[Any]) -> None:
        """Give the object on the stack its state."""
        state = stack.pop()
        if isinstance(stack[-1], Thing):
            stack[-1].state = state
            self._built(stack[-1])


Act = Callable[[Machine, list[Any], dict[int, Any], Any], None]


def _above_mark(stack: list[Any]) -> list[Any]:
    above: list[Any] = []
    while (it := stack.pop()) is not _MARK:
        above.append(it)
    above.reverse()
    return above


def _tuple_of(count: int) -> Act:
    def act(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
        if len(stack) < count:
            raise IndexError
        stack[-count:] = [tuple(stack[-count:])]

    return act


def _pairs(thing: Any, flat: list[Any]) -> None:
    if isinstance(thing, Thing):
        thing.pairs += zip(flat[::2], flat[1::2], strict=True)


def _elements(thing: Any, elements: list[Any]) -> None:
    if isinstance(thing, Thing):
        thing.elements += elements


def _push(make: Callable[[], Any]) -> Act:
    return lambda machine, stack, memo, argument: stack.append(make())


def _filled(put: Callable[[Any, list[Any]], None]) -> Act:
    """Make a new object of what is above the mark."""

    def act(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
        thing = Thing()
        put(thing, _above_mark(stack))
        stack.append(thing)

    return act


def _added(put: Callable[[Any, list[Any]], None]) -> Act:
    """Add what is above the mark to the object below it."""

    def act(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
        above = _above_mark(stack)
        put(stack[-1], above)

    return act


def _append(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    it = stack.pop()
    _elements(stack[-1], [it])


def _set_item(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    value, key = stack.pop(), stack.pop()
    _pairs(stack[-1], [key, value])


def _tuple(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    stack.append(tuple(_above_mark(stack)))


def _pop(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    stack.pop()


def _pop_mark(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    _above_mark(stack)


def _dup(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    stack.append(stack[-1])


def _get(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    stack.append(memo[argument])


def _put(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    memo[len(memo) if argument is None else argument] = stack[-1]


def _global(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    stack.append(machine.imported(".".join(argument.split(" ", 1))))


def _stack_global(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    name, module = stack.pop(), stack.pop()
    both = (module, name)
    known = all(isinstance(it, str) for it in both)
    stack.append(machine.imported(".".join(both) if known else "(a name that is computed)"))


def _extension(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    stack.append(machine.imported(f"(extension {argument} of the loading program)"))


def _reduce(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    arguments, maker = stack.pop(), stack.pop()
    stack.append(machine.called(maker, arguments))


def _new_with_names(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    named, arguments, maker = stack.pop(), stack.pop(), stack.pop()
    stack.append(machine.called(maker, (arguments, named)))


def _instance(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    arguments = _above_mark(stack)
    stack.append(machine.called(machine.imported(".".join(argument.split(" ", 1))), tuple(arguments)))


def _object(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    maker, *arguments = _above_mark(stack)
    stack.append(machine.called(maker, tuple(arguments)))


def _build(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    machine.build(stack)


def _stored(machine: Machine, stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    stack.append(Stored(argument if argument is not None else stack.pop()))


_ACTS: dict[str, Act] = {
    "NEWTRUE": _push(lambda: True),
    "NEWFALSE": _push(lambda: False),
    "EMPTY_TUPLE": _push(tuple),
    "MARK": _push(lambda: _MARK),
    "NEXT_BUFFER": _push(bytes),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"), _push(Thing)),
    **dict.fromkeys(("LIST", "FROZENSET"), _filled(_elements)),
    "DICT": _filled(_pairs),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _added(_elements)),
    "SETITEMS": _added(_pairs),
    "APPEND": _append,
    "SETITEM": _set_item,
    "TUPLE": _tuple,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": _dup,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _put),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _reduce),
    "NEWOBJ_EX": _new_with_names,
    "INST": _instance,
    "OBJ": _object,
    "BUILD": _build,
    **dict.fromkeys(("PERSID", "BINPERSID"), _stored),
}
"""What each instruction does to the stack."""
