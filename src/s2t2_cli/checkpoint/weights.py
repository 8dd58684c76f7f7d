"""Tensors become the weights of a module, and the weights of a module become a file.

Knows: how names and shapes are compared, both namings of weight norm.
Does not know: which model it is, where the tensors come from (tensors).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch

from s2t2_cli.checkpoint.layout import SAFETENSORS_NAME
from s2t2_cli.checkpoint.safetensor_files import write_safetensors
from s2t2_cli.errors import CheckpointError, OutputError

# torch 2.1 renamed the two factors of a weight-normed weight when it made weight norm a parametrisation.
_OLD_WEIGHT_NORM_NAMES = {
    ".parametrizations.weight.original0": ".weight_g",
    ".parametrizations.weight.original1": ".weight_v",
}

FLOATING_TYPES = frozenset({torch.float32, torch.float16, torch.bfloat16, torch.float64})

_NAMED_IN_ERRORS = 4


def load_weights(
    module: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    *,
    source: str,
    dtype: torch.dtype | None = None,
) -> None:
    """Make `tensors` the parameters and buffers of `module`, which may be on the meta device.

    Tensors are assigned, not copied, so memory-mapped ones stay so; `dtype` converts the floating-point ones
    that have another. Weight-norm tensors are known by their old names (`weight_g`, `weight_v`) and new ones.
    Class attributes of the module say what is tolerated, as regular expressions that match the whole name:
    `tensors_optional` may be missing (what the module has is left), `tensors_ignored` may be there in vain.

    Raises one CheckpointError for all that is missing, unexpected or wrongly shaped, and then the module is
    unchanged. `source` names the checkpoint in its message.
    """
    expected: dict[str, torch.Tensor] = module.state_dict()
    stored_names: dict[str, str] = {}
    twice = [name for name in tensors if stored_names.setdefault(_old_name(name), name) != name]
    known = {_old_name(name) for name in expected}
    unexpected = [
        stored
        for name, stored in stored_names.items()
        if name not in known and not _is_listed(module, "tensors_ignored", stored)
    ]
    missing: list[str] = []
    misshapen: list[str] = []
    assigned: dict[str, torch.Tensor] = {}
    for name, wanted in expected.items():
        stored = stored_names.get(_old_name(name))
        if stored is None:
            if not _is_listed(module, "tensors_optional", name):
                missing.append(name)
            continue
        tensor = tensors[stored]
        if tensor.shape != wanted.shape or _kind(tensor) != _kind(wanted):
            misshapen.append(f"{stored} is {_described(tensor)} instead of {_described(wanted)}")
        assigned[name] = tensor
    _raise_if_any(
        source,
        {"missing": missing, "unexpected": unexpected, "wrongly shaped": misshapen, "there twice": twice},
    )
    if dtype is not None:
        assigned = {name: one.to(dtype) if one.is_floating_point() else one for name, one in assigned.items()}
    module.load_state_dict(assigned, strict=False, assign=True)


def save_weights(module: torch.nn.Module, folder: str | os.PathLike[str]) -> Path:
    """Write the state dict of `module` to `model.safetensors` in `folder`, made if need be; returns its path.

    The file is whole or, where writing fails, as it was. Raises OutputError.
    """
    path = Path(folder) / SAFETENSORS_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_safetensors(module.state_dict(), path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return path


def _old_name(name: str) -> str:
    """The name before torch 2.1, under which both are compared."""
    for new, old in _OLD_WEIGHT_NORM_NAMES.items():
        if name.endswith(new):
            return name.removesuffix(new) + old
    return name


def _is_listed(module: torch.nn.Module, attribute: str, name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in getattr(module, attribute, ()))


def _kind(tensor: torch.Tensor) -> str:
    """Empty for the floating-point types a model computes in, which may stand for each other; else the type's name."""
    return "" if tensor.dtype in FLOATING_TYPES else str(tensor.dtype).removeprefix("torch.")


def _described(tensor: torch.Tensor) -> str:
    kind = _kind(tensor)
    return f"{list(tensor.shape)} of {kind}" if kind else f"{list(tensor.shape)}"


def _raise_if_any(source: str, problems: Mapping[str, list[str]]) -> None:
    parts = []
    for kind, names in problems.items():
        if names:
            named = ", ".join(names[:_NAMED_IN_ERRORS])
            more = f" and {len(names) - _NAMED_IN_ERRORS} more" if len(names) > _NAMED_IN_ERRORS else ""
            parts.append(f"{len(names)} tensor{'s' if len(names) > 1 else ''} {kind} ({named}{more})")
    if parts:
        raise CheckpointError(f"the weights of {source} do not fit its configuration: {'; '.join(parts)}")
