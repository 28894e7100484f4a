"""From parsed TOML to dataclasses: what is wrong is named with the file, the key and the line."""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bouncesink.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Reader:
    text: str
    path: Path

    def error(self, keys: tuple[str, ...], message: str) -> ConfigError:
        line = self._line(keys)
        where = f"{self.path}, line {line}" if line else str(self.path)
        return ConfigError(f"{where}: {'.'.join(keys)}: {message}")

    def table(
        self, cls: type[Any], data: object, keys: tuple[str, ...], *, one_of_many: bool = False
    ) -> Any:
        header = f"[{'.'.join(keys)}]"
        header = f"[{header}]" if one_of_many else header
        if not isinstance(data, dict):
            raise self.error(keys, f"a table is wanted, as in {header}")
        types_of = typing.get_type_hints(cls)
        for name in data:
            if name not in types_of:
                near = difflib.get_close_matches(name, types_of, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(types_of)}"
                raise self.error((*keys, name), f"there is no such key; {hint}")
        sections: dict[str, object] = {
            name: {}
            for name, wanted in types_of.items()
            if isinstance(wanted, type) and dataclasses.is_dataclass(wanted)
        }
        for each in dataclasses.fields(cls):
            if each.name not in data and _is_required(each):
                raise self.error((*keys, each.name), "this key is missing")
        made = cls(
            **{
                name: self.value(types_of[name], value, (*keys, name))
                for name, value in (sections | data).items()
            }
        )
        paths = {
            each.name: self.path.parent / path
            for each in dataclasses.fields(made)
            if isinstance(path := getattr(made, each.name), Path)
        }
        return dataclasses.replace(made, **paths)

    def value(self, wanted: Any, value: object, keys: tuple[str, ...]) -> Any:
        if isinstance(wanted, types.UnionType):
            wanted = next(arm for arm in typing.get_args(wanted) if arm is not types.NoneType)
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            return self.table(wanted, value, keys)
        origin = typing.get_origin(wanted)
        if origin is Literal:
            choices = typing.get_args(wanted)
            if value not in choices:
                raise self.error(keys, f"one of {', '.join(map(repr, choices))} is wanted")
            return value
        if origin is tuple:
            return self._several(typing.get_args(wanted)[0], value, keys)
        if origin is Mapping:
            if not isinstance(value, dict):
                raise self.error(keys, f"a table is wanted, as in [{'.'.join(keys)}]")
            wanted = typing.get_args(wanted)[1]
            return {name: self.value(wanted, each, (*keys, name)) for name, each in value.items()}
        return self._one(wanted, value, keys)

    def _one(self, wanted: Any, value: object, keys: tuple[str, ...]) -> Any:
        if wanted is Path and isinstance(value, str) and value:
            return Path(value)
        if wanted in (int, float) and type(value) in (int, float):
            most = _most(keys[-1], wanted)
            if not typing.cast("float", value) <= most:
                raise self.error(keys, f"at most {most:,} is wanted, not {value!r}")
        if wanted is float and type(value) in (int, float):
            return float(typing.cast("float", value))
        if type(value) is not wanted:
            name = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
            raise self.error(keys, f"{name.get(wanted, 'text')} is wanted, not {value!r}")
        return value

    def _several(self, wanted: Any, value: object, keys: tuple[str, ...]) -> tuple[Any, ...]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise self.error(keys, f"a list is wanted, not {value!r}")
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            return tuple(self.table(wanted, item, keys, one_of_many=True) for item in items)
        return tuple(self.value(wanted, item, keys) for item in items)

    def _line(self, keys: tuple[str, ...]) -> int | None:
        """Find the line of a key by its table header: tomllib does not tell."""
        table, wanted = "", ".".join(keys[:-1])
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[+\s*([\w.-]+)\s*\]+", line):
                table = header[1]
                if table == ".".join(keys):
                    return number
            elif table == wanted and re.match(rf"\s*\"?{re.escape(keys[-1])}\"?\s*=", line):
                return number
        return None


def _is_required(field_: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field_.default is missing and field_.default_factory is missing


def _most(key: str, wanted: type) -> int:
    """Give the largest number that a key may have: beyond it, clocks and counters overflow."""
    if key.endswith("_days"):
        return 36_500
    if key.endswith("_months"):
        return 1_200
    if key == "workers":
        return 256
    return 1_000_000_000 if wanted is float else 2**40
