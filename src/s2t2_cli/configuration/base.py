"""A JSON object as a typed dataclass, and the files such objects live in.

Knows: types, left-over keys, how the reference writes JSON. Does not know: what any field means.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from s2t2_cli.errors import ConfigurationError, ModelNotFoundError, OutputError
from s2t2_cli.whole_files import write_whole

MAX_TEXT_BYTES = 2**26
"""What a text file of a checkpoint may hold: a vocabulary of 250,000 tokens takes six."""

ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu", "swish")


@dataclass(kw_only=True)
class JsonConfig:
    """A flat JSON object: known fields are attributes, the rest lies in `extra`."""

    model_type: ClassVar[str] = ""

    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build from a JSON object; `overrides` win over it. Unknown keys go to `extra`.

        Raises ConfigurationError for a value of the wrong type or one that cannot be honoured.
        """
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"{cls.__name__}: expected a JSON object, found {type(values).__name__}")
        known = {one.name: one for one in dataclasses.fields(cls) if one.name != "extra"}
        given = {**values, **overrides}
        given.pop("model_type", None)
        arguments = {name: _checked(cls, known[name], given.pop(name)) for name in list(given) if name in known}
        return cls(**arguments, extra=given)

    def to_dict(self) -> dict[str, Any]:
        """All fields and the left-over keys, ready for JSON."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "extra"}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        if self.model_type:
            values["model_type"] = self.model_type
        return {**self.extra, **values}

    def refuse(self, name: str, reason: str) -> ConfigurationError:
        return ConfigurationError(f"{type(self).__name__}: {name}={getattr(self, name)!r} {reason}")

    def require_positive(self, *names: str) -> None:
        for name in names:
            values = getattr(self, name)
            for value in values if isinstance(values, list | tuple) else (values,):
                if value < 1:
                    raise self.refuse(name, "must be at least 1")

    def require_at_most(self, limit: int, *names: str) -> None:
        """Refuse what no network has: whoever wrote it wants memory or time, not a translation."""
        for name in names:
            values = getattr(self, name)
            for value in values if isinstance(values, list | tuple) else (values,):
                if value is not None and value > limit:
                    raise self.refuse(name, f"must be at most {limit}")

    def require_probability(self, *names: str) -> None:
        for name in names:
            if not 0 <= getattr(self, name) <= 1:
                raise self.refuse(name, "must lie between 0 and 1")

    def require_activation(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) not in ACTIVATIONS:
                raise self.refuse(name, f"is not supported; known activations: {', '.join(ACTIVATIONS)}")


def _checked(cls: type[JsonConfig], spec: dataclasses.Field[Any], value: Any) -> Any:
    """`value` in the form of the field's annotation, or ConfigurationError."""
    annotation = str(spec.type)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if (value is None and "None" in annotation) or isinstance(value, JsonConfig):
        return value
    if "tuple" in annotation and isinstance(value, list | tuple):
        value = tuple(tuple(item) if isinstance(item, list | tuple) else item for item in value)
        flat = [one for item in value for one in (item if isinstance(item, tuple) else (item,))]
        if all(isinstance(one, int) and not isinstance(one, bool) for one in flat):
            return value
    if "bool" in annotation and (isinstance(value, bool) or (is_number and value in (0, 1))):
        return bool(value)
    if ("str" in annotation and isinstance(value, str)) or (
        "int" in annotation and isinstance(value, int) and is_number
    ):
        return value
    if annotation == "float" and is_number:
        if abs(value) <= sys.float_info.max:
            return float(value)
        raise ConfigurationError(f"{cls.__name__}: {spec.name} must be a finite number, not {value!r}")
    raise ConfigurationError(f"{cls.__name__}: {spec.name}={value!r} should be {annotation}")


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises ModelNotFoundError or ConfigurationError, naming the file."""
    try:
        value = json.loads(read_limited(path).decode("utf-8-sig"))
    except FileNotFoundError:
        raise ModelNotFoundError(f"there is no {path.name} in {path.parent}: not a checkpoint folder") from None
    except OSError as error:
        raise ModelNotFoundError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path} holds a JSON {type(value).__name__}, not an object")
    return value


def read_limited(path: Path) -> bytes:
    """The content of a small file. Raises OSError, or ValueError where it is larger than any text of a checkpoint."""
    with path.open("rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(f"it is larger than {MAX_TEXT_BYTES // 2**20} MiB")
    return content


def write_json_object(path: Path, values: Mapping[str, Any]) -> None:
    """Write the object as the reference does: indented by two, keys sorted, final newline. Raises OutputError."""
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, [text.encode()])
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
