"""Tensors become the weights of a module and back: names, shapes, both namings of weight norm, no copies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from s2t2_cli.checkpoint import load_weights, save_weights
from s2t2_cli.checkpoint.safetensor_files import read_safetensors
from s2t2_cli.errors import CheckpointError, OutputError


class Convolution(nn.Module):
    """With the names of the published files."""

    def __init__(self) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(1, 1, 4))
        self.weight_v = nn.Parameter(torch.ones(6, 3, 4))


class NewConvolution(nn.Module):
    """With the names torch has given them since 2.1."""

    def __init__(self) -> None:
        super().__init__()
        self.parametrizations = nn.ModuleDict({"weight": nn.Module()})
        self.parametrizations["weight"].original0 = nn.Parameter(torch.ones(1, 1, 4))
        self.parametrizations["weight"].original1 = nn.Parameter(torch.ones(6, 3, 4))


class Tiny(nn.Module):
    tensors_optional = (r"positions\..*",)
    tensors_ignored = (r"decoder\.version", r"positions\..*")

    def __init__(self, convolution: type[nn.Module] = Convolution) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.conv = convolution()
        self.positions = nn.Module()
        self.positions.register_buffer("weights", torch.zeros(5))
        self.register_buffer("steps", torch.tensor(0))


def tiny_on_meta(convolution: type[nn.Module] = Convolution) -> Tiny:
    with torch.device("meta"):
        return Tiny(convolution)


def stored() -> dict[str, torch.Tensor]:
    return {
        "linear.weight": torch.randn(2, 3),
        "linear.bias": torch.randn(2),
        "conv.weight_g": torch.randn(1, 1, 4),
        "conv.weight_v": torch.randn(6, 3, 4),
        "positions.weights": torch.randn(5),
        "steps": torch.tensor(7),
    }


def with_new_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    new = {
        "conv.weight_g": "conv.parametrizations.weight.original0",
        "conv.weight_v": "conv.parametrizations.weight.original1",
    }
    return {new.get(name, name): tensor for name, tensor in tensors.items()}


def refusal(tensors: dict[str, torch.Tensor], module: nn.Module | None = None) -> str:
    """The sentence with which the tensors are refused."""
    module = module or tiny_on_meta()
    with pytest.raises(CheckpointError) as error:
        load_weights(module, tensors, source="someone/model")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("the weights of someone/model do not fit its configuration: ")
    assert all(one.is_meta for one in module.parameters()), "nothing may have been loaded"
    return message


def test_tensors_are_assigned_not_copied() -> None:
    module, tensors = tiny_on_meta(), stored()
    load_weights(module, tensors, source="m")
    for name, tensor in module.state_dict().items():
        assert tensor.data_ptr() == tensors[name].data_ptr()
    assert isinstance(module.linear.weight, nn.Parameter)
    assert module.linear.weight.requires_grad
    assert int(module.steps) == 7


def test_a_module_that_is_not_on_the_meta_device() -> None:
    module, tensors = Tiny(), stored()
    load_weights(module, tensors, source="m")
    assert torch.equal(module.linear.weight, tensors["linear.weight"])


@pytest.mark.parametrize("convolution", [Convolution, NewConvolution])
@pytest.mark.parametrize("are_new", [False, True])
def test_both_namings_of_weight_norm(convolution: type[nn.Module], are_new: bool) -> None:
    tensors = stored()
    module = tiny_on_meta(convolution)
    load_weights(module, with_new_names(tensors) if are_new else tensors, source="m")
    factors = [tensor for name, tensor in module.state_dict().items() if name.startswith("conv.")]
    assert torch.equal(factors[0], tensors["conv.weight_g"])
    assert torch.equal(factors[1], tensors["conv.weight_v"])


def test_what_is_optional_may_be_missing() -> None:
    tensors = stored()
    del tensors["positions.weights"]
    module = Tiny()
    load_weights(module, tensors, source="m")
    assert torch.equal(module.positions.weights, torch.zeros(5))


def test_what_is_ignored_may_be_there() -> None:
    load_weights(tiny_on_meta(), {**stored(), "decoder.version": torch.ones(1)}, source="m")


def test_the_type_is_converted_where_asked() -> None:
    module = tiny_on_meta()
    load_weights(module, stored(), source="m", dtype=torch.bfloat16)
    assert module.linear.weight.dtype == torch.bfloat16
    assert module.steps.dtype == torch.int64


def test_the_type_is_kept_otherwise() -> None:
    module = tiny_on_meta()
    load_weights(
        module, {name: one.half() if one.is_floating_point() else one for name, one in stored().items()}, source="m"
    )
    assert module.linear.weight.dtype == torch.float16


def test_everything_that_is_wrong_is_named_at_once() -> None:
    tensors = stored()
    del tensors["linear.bias"]
    tensors["linear.wight"] = torch.ones(1)
    tensors["conv.weight_v"] = torch.ones(6, 3, 5)
    assert refusal(tensors).partition(": ")[2] == (
        "1 tensor missing (linear.bias); 1 tensor unexpected (linear.wight);"
        " 1 tensor wrongly shaped (conv.weight_v is [6, 3, 5] instead of [6, 3, 4])"
    )


def test_a_long_list_is_cut() -> None:
    tensors = stored() | {f"extra.{number}": torch.ones(1) for number in range(10)}
    assert "10 tensors unexpected (extra.0, extra.1, extra.2, extra.3 and 6 more)" in refusal(tensors)


def test_nothing_at_all() -> None:
    assert "5 tensors missing" in refusal({})


def test_one_tensor_under_both_names() -> None:
    assert "2 tensors there twice" in refusal(stored() | with_new_names(stored()))


def test_integers_where_numbers_belong() -> None:
    tensors = stored() | {"linear.bias": torch.tensor([1, 2])}
    assert "linear.bias is [2] of int64 instead of [2]" in refusal(tensors)
    assert "steps is [] instead of [] of int64" in refusal(stored() | {"steps": torch.tensor(1.0)})


def test_a_type_no_model_computes_in() -> None:
    tensors = stored() | {"linear.bias": torch.zeros(2).to(torch.float8_e4m3fn)}
    assert "linear.bias is [2] of float8_e4m3fn instead of [2]" in refusal(tensors)


def test_patterns_match_whole_names() -> None:
    assert "decoder.version2" in refusal(stored() | {"decoder.version2": torch.ones(1)})


def test_saved_and_loaded_again(tmp_path: Path) -> None:
    module = Tiny()
    path = save_weights(module, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "model.safetensors"
    again = tiny_on_meta()
    load_weights(again, read_safetensors(path), source="m")
    for name, tensor in module.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_tied_weights_are_saved_under_both_names(tmp_path: Path) -> None:
    module = nn.ModuleDict({"embed": nn.Linear(3, 2, bias=False), "head": nn.Linear(3, 2, bias=False)})
    module["head"].weight = module["embed"].weight
    saved = read_safetensors(save_weights(module, tmp_path))
    assert torch.equal(saved["embed.weight"], saved["head.weight"])
    assert saved.keys() == {"embed.weight", "head.weight"}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        save_weights(Tiny(), tmp_path / "taken")


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()  # a file cannot take its place
    with pytest.raises(OutputError, match="cannot write"):
        save_weights(Tiny(), tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]
