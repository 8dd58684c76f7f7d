"""Which files make a checkpoint, and which of them hold the weights.

Knows: the published layout, the sharded layout of transformers' `save_pretrained`, which format is preferred.
Does not know: where the files come from (hub, resolution) or what their tensors are (tensors).
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from s2t2_cli.configuration import CONFIG_NAME, GENERATION_CONFIG_NAME, read_json_object
from s2t2_cli.errors import CheckpointError

SAFETENSORS_NAME = "model.safetensors"
PICKLE_NAME = "pytorch_model.bin"

# One format is enough: safetensors where it exists, for nothing in it can run and it needs no conversion.
WEIGHTS_PREFERENCE = (
    SAFETENSORS_NAME,
    f"{SAFETENSORS_NAME}.index.json",
    PICKLE_NAME,
    f"{PICKLE_NAME}.index.json",
)

# Everything beside the weights; all but the configuration may be absent (old revisions have no merges.txt).
SIDE_FILES = (
    CONFIG_NAME,
    GENERATION_CONFIG_NAME,
    "preprocessor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
)


# Of a file, in bytes, nearly everywhere.
_LONGEST_NAME = 255


def preferred_weights(names: Container[str]) -> str | None:
    """The weights file (or index of shards) to use among `names`; None where there is none we read."""
    return next((name for name in WEIGHTS_PREFERENCE if name in names), None)


def is_index(name: str) -> bool:
    """Whether the weights file is an index that names shards."""
    return name.endswith(".index.json")


def shard_names(index: Path) -> tuple[str, ...]:
    """The shards an index names, in order, each once.

    Raises CheckpointError where the index is malformed or names anything but a plain file beside itself,
    ConfigurationError where it is not JSON.
    """
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} names no shards: its 'weight_map' is missing or empty")
    ending = Path(index.name.removesuffix(".index.json")).suffix
    for shard in weight_map.values():
        if not _is_plain_name(shard) or not shard.endswith(ending):
            raise CheckpointError(f"{index} names the shard {shard!r}, which is not a {ending} file beside it")
    return tuple(dict.fromkeys(weight_map.values()))


def _is_plain_name(name: object) -> bool:
    """Whether this names a file and no way to another folder."""
    return (
        isinstance(name, str)
        and "\\" not in name
        and name.isprintable()
        and len(name.encode()) <= _LONGEST_NAME
        and Path(name).name == name
    )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files in `folder` that hold the weights, shards in the order of their index; empty without any.

    Raises CheckpointError where a shard is missing or the index is malformed.
    """
    name = next((name for name in WEIGHTS_PREFERENCE if (folder / name).is_file()), None)
    if name is None:
        return ()
    if not is_index(name):
        return (folder / name,)
    shards = tuple(folder / shard for shard in shard_names(folder / name))
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise CheckpointError(
            f"{len(missing)} of the {len(shards)} shards that {folder / name} names are missing,"
            f" {missing[0]} first: fetch them again"
        )
    return shards
