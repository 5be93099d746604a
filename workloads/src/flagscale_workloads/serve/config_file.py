"""Reading a `ServeConfig` from a file, and telling what is wrong in it, field by field."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from flagscale_api.runtime.serve import ServeConfig


class ConfigFileError(Exception):
    """The configuration can't be used."""


def read_config(path: Path) -> ServeConfig:
    """The configuration in a YAML or JSON file. Raises ConfigFileError naming field and value."""
    try:
        return ServeConfig.model_validate(yaml.safe_load(path.read_bytes()))
    except OSError as error:
        msg = f"config: cannot be read, got {path} ({error.strerror}); give an existing file"
        raise ConfigFileError(msg) from error
    except yaml.YAMLError as error:
        msg = f"config: not valid YAML, got {path} ({error}); correct it"
        raise ConfigFileError(msg) from error
    except ValidationError as error:
        told = "\n  ".join(map(_told, error.errors(include_url=False)))
        raise ConfigFileError(f"{path}: not valid\n  {told}") from error


def _told(error: ErrorDetails) -> str:
    *parents, name = error["loc"] or ("config",)
    wrong, remedy = error["msg"], "correct it"
    if error["type"] == "missing":
        remedy = "give it"
    elif error["type"] == "extra_forbidden":
        wrong, remedy = "no such field", _suggestion(str(name), parents)
    where = ".".join(map(str, (*parents, name)))
    return f"{where}: {wrong}, got {error['input']!r:.80}; {remedy}"


def _suggestion(name: str, parents: Sequence[str | int]) -> str:
    names = _fields_at(parents)
    # Names differ from each other in more than their case.
    folded = {field.lower(): field for field in names}
    close = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1)
    return f"did you mean {folded[close[0]]}?" if close else f"it has {', '.join(names)}"


def _fields_at(parents: Sequence[str | int]) -> list[str]:
    """What the object at this place may have, as users write it."""
    model: type[BaseModel] = ServeConfig
    for parent in parents:
        fields = model.model_fields.items()
        annotation = next(f.annotation for n, f in fields if parent in (n, f.alias))
        kinds = (annotation, *get_args(annotation))
        model = next(k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel))
    return sorted(field.alias or name for name, field in model.model_fields.items())
