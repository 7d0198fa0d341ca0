"""Read pickles without running anything that they bring.

A pickle is a program for a small stack machine. Python's own machine imports
what the program names and calls it. The one here has no means to do either: the
standard library's :func:`pickletools.genops` splits the file into instructions,
and of those it only follows the ones that build numbers, texts, lists, tuples and
dicts. A name is looked up in a table that the caller gives; what stands there, a
function of this package, takes the place of the object. All else is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from napari_rls.errors import RefusedError

PROTOCOLS = range(2, 6)
MAX_INSTRUCTIONS = 3_000_000
"""A checkpoint of 1024 x 1024 pixels has some 50,000; every instruction takes memory."""

_SHOWN = 80

_CONSTANTS: Mapping[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
    | {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
    | {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8"}
    # A text of Python 2, as in files of early PyTorch.
    | {"SHORT_BINSTRING"}
)
_MAKERS: Mapping[str, Callable[[], object]] = {
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    # A list, since to put something into a set runs its hash.
    "EMPTY_SET": list,
}
_TUPLES: Mapping[str, int] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KEYS = (str, int, float, bytes, type(None))


@runtime_checkable
class Stateful(Protocol):
    """What may stand in for an object whose state follows it in the pickle."""

    def set_state(self, state: object) -> None:
        """Take the state."""


@dataclass(frozen=True)
class Name:
    """A name in a pickle; nothing is imported."""

    text: str


Table = Mapping[str, Callable[..., object]]
"""Names, as in ``collections.OrderedDict``, and what makes the stand-in of their arguments."""


def load(
    data: io.BytesIO, table: Table, persistent: Callable[[object], object] | None = None
) -> Any:
    """Read one pickle.

    Parameters
    ----------
    data
        The bytes, in memory: a length in the pickle can then ask for no more of it than
        there is. They are left where the pickle ends.
    table
        The only names that it may use.
    persistent
        Takes the ids of what is stored beside the pickle; None refuses them.

    Returns
    -------
    Any
        What the pickle holds, made of Python's own simple types and of what ``table`` made.

    Raises
    ------
    RefusedError
        If there is anything unexpected in it, or it is cut off.
    """
    machine = _Machine(table, persistent)
    start = data.read(2)
    if start[:1] != pickle.PROTO or start[-1] not in PROTOCOLS:
        raise RefusedError("it is no pickle of protocol 2 to 5")
    data.seek(-len(start), io.SEEK_CUR)
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(data)):
            if count >= MAX_INSTRUCTIONS:
                raise RefusedError(f"its pickle has more than {MAX_INSTRUCTIONS:,} instructions")
            machine.follow(instruction.name, argument)
    except RefusedError:
        raise
    except (IndexError, KeyError) as error:
        raise RefusedError("its pickle is damaged (it uses what it never made)") from error
    except (ValueError, EOFError, struct.error, OverflowError) as error:
        raise RefusedError(f"its pickle is damaged or cut off ({plain(str(error))})") from error
    return machine.result()


def plain(text: str) -> str:
    """Return a text of a file as it may be shown: printable, on one line, not too long."""
    shown = "".join(c if c.isprintable() else "?" for c in text[: _SHOWN + 1])
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."


class _Mark:
    """Where the items of a list, tuple or dict begin on the stack."""


class _Machine:
    def __init__(self, table: Table, persistent: Callable[[object], object] | None) -> None:
        self._table = table
        self._persistent = persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self._stack) != 1:
            raise RefusedError("its pickle is damaged (it ends with more or less than one object)")
        return self._stack[0]

    def follow(self, name: str, argument: Any) -> None:  # noqa: C901, PLR0912  one case each
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            stack.append(argument)
        elif name in _MAKERS:
            stack.append(_MAKERS[name]())
        elif name in _TUPLES:
            stack.append(tuple(self._take(_TUPLES[name])))
        else:
            match name:
                case "PROTO" | "FRAME" | "STOP":
                    pass
                case "MARK":
                    stack.append(_Mark)
                case "POP":
                    stack.pop()
                case "POP_MARK":
                    self._items()
                case "TUPLE":
                    stack.append(tuple(self._items()))
                case "FROZENSET":
                    stack.append(self._items())
                case "APPEND":
                    self._extend(self._take(1))
                case "APPENDS" | "ADDITEMS":
                    self._extend(self._items())
                case "SETITEM":
                    self._update(self._take(2))
                case "SETITEMS":
                    self._update(self._items())
                case "BINPUT" | "LONG_BINPUT":
                    self._memo[argument] = stack[-1]
                case "MEMOIZE":
                    self._memo[len(self._memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(self._memo[argument])
                case "GLOBAL":
                    # genops gives module and name with a blank between them.
                    stack.append(self._name(argument.replace(" ", ".")))
                case "STACK_GLOBAL":
                    stack.append(self._name(".".join(str(part) for part in self._texts())))
                case "REDUCE" | "NEWOBJ":
                    stack.append(self._make(*self._take(2)))
                case "BUILD":
                    self._build(*self._take(1))
                case "BINPERSID" if self._persistent is not None:
                    stack.append(self._persistent(stack.pop()))
                case _:
                    raise RefusedError(f"its pickle has an instruction {name}")

    def _take(self, count: int) -> list[Any]:
        """Take the topmost objects off the stack."""
        taken = self._stack[-count:]
        if len(taken) < count or any(item is _Mark for item in taken):
            raise IndexError
        del self._stack[-count:]
        return taken

    def _items(self) -> list[Any]:
        """Take all objects down to the topmost mark, and the mark, off the stack."""
        items: list[Any] = []
        while (item := self._stack.pop()) is not _Mark:
            items.append(item)
        return items[::-1]

    def _texts(self) -> list[str]:
        texts = self._take(2)
        if not all(isinstance(text, str) for text in texts):
            raise RefusedError("a name in its pickle is no text")
        return texts

    def _extend(self, items: Sequence[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise RefusedError("its pickle adds items to what is no list")
        target.extend(items)

    def _update(self, items: Sequence[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise RefusedError("its pickle sets items of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Other keys may run code, or take for ever, as they are hashed.
            if not isinstance(key, _KEYS):
                raise RefusedError("a key of a dict in its pickle is neither text nor number")
            target[key] = value

    def _name(self, text: str) -> Name:
        if text not in self._table:
            raise RefusedError(f"it asks for {plain(text)}")
        return Name(text)

    def _make(self, name: object, arguments: object) -> object:
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise RefusedError("its pickle calls what is no name")
        try:
            return self._table[name.text](*arguments)
        except (TypeError, AttributeError, ValueError) as error:
            if isinstance(error, RefusedError):
                raise
            raise RefusedError(f"it uses {name.text} in an unknown way") from error

    def _build(self, state: object) -> None:
        target = self._stack[-1]
        if not isinstance(target, Stateful):
            raise RefusedError("its pickle gives a state to an object that has none")
        target.set_state(state)
