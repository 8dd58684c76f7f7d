"""Layers in another layout or in integers, against the plain ones."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2t2_cli import SpeechEncoderDecoderModel, Translator
from s2t2_cli.errors import UsageError
from s2t2_cli.modeling.common import ACTIVATION_FUNCTIONS
from s2t2_cli.modeling.few_rows import PackedLinear, TurnedLinear
from s2t2_cli.modeling.layout import ragged
from s2t2_cli.modeling.quantized import QuantizedLinear, packing_for, quantize_tensors
from s2t2_cli.modeling.wav2vec2 import WeightNormConv1d


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", str(tmp_path / "assets"))


@pytest.fixture(params=[False, True])
def turns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this processor does, and what the other kind does."""
    monkeypatch.setattr("s2t2_cli.modeling.few_rows._TURNS", request.param)


@pytest.mark.usefixtures("turns")
@pytest.mark.parametrize("kind", [PackedLinear, TurnedLinear])
class TestLinearsForFewRows:
    @pytest.mark.parametrize("shape", [(5, 1, 64), (1, 64), (40, 3, 64), (64,)])
    def test_are_the_plain_product(self, kind: type[nn.Linear], shape: tuple[int, ...]) -> None:
        layer, states = kind(64, 96), torch.randn(shape)
        with torch.no_grad():
            expected = F.linear(states, layer.weight, layer.bias)
            torch.testing.assert_close(layer(states), expected, atol=1e-5, rtol=1e-5)

    def test_take_rows_that_lie_apart(self, kind: type[nn.Linear]) -> None:
        layer, states = kind(64, 96), torch.randn(64, 15).t()
        with torch.no_grad():
            torch.testing.assert_close(layer(states), F.linear(states, layer.weight, layer.bias), atol=1e-5, rtol=1e-5)

    def test_follow_their_weights(self, kind: type[nn.Linear]) -> None:
        layer, states = kind(64, 96), torch.randn(5, 64)
        with torch.no_grad():
            before = layer(states)
            layer.weight.mul_(2)
            layer.bias.mul_(2)
            torch.testing.assert_close(layer(states), 2 * before)

    def test_follow_weights_that_learn(self, kind: type[nn.Linear]) -> None:
        layer, states = kind(64, 96), torch.randn(5, 64)
        optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)  # advances no version counter
        for _ in range(2):
            with torch.no_grad():
                torch.testing.assert_close(layer(states), F.linear(states, layer.weight, layer.bias))
            layer(states).square().sum().backward()
            optimiser.step()

    def test_gradients_pass(self, kind: type[nn.Linear]) -> None:
        layer = kind(8, 4)
        layer(torch.randn(2, 8)).sum().backward()
        assert layer.weight.grad is not None

    def test_can_be_copied(self, kind: type[nn.Linear]) -> None:
        layer, states = kind(8, 4), torch.randn(2, 8)
        with torch.no_grad():
            torch.testing.assert_close(copy.deepcopy(layer)(states), layer(states))


class TestActivations:
    @pytest.mark.parametrize(
        ("name", "function"),
        [
            ("gelu", F.gelu),
            ("gelu_new", lambda states: F.gelu(states, approximate="tanh")),
            ("relu", F.relu),
            ("silu", F.silu),
            ("swish", F.silu),
        ],
    )
    def test_are_the_functions_of_their_names_in_place_without_gradients(
        self, name: str, function: Callable[[Tensor], Tensor]
    ) -> None:
        states = torch.randn(3, 40, requires_grad=True)
        expected = function(states)
        learning = ACTIVATION_FUNCTIONS[name](states)
        assert learning.equal(expected)
        assert learning.grad_fn is not None
        with torch.inference_mode():
            product = states.clone()
            result = ACTIVATION_FUNCTIONS[name](product)
        torch.testing.assert_close(result, expected.detach())
        assert result.data_ptr() == product.data_ptr()


@pytest.mark.parametrize("group_width", [4, 12, 16])
def test_positions_in_bfloat16_are_those_of_float32(group_width: int) -> None:
    convolution = WeightNormConv1d(group_width * 4, kernel=32, groups=4)
    convolution.reset_parameters()
    states, layout = torch.randn(50, group_width * 4), ragged([20, 30])
    with torch.inference_mode():
        wanted = convolution(states, layout)
        found = convolution.bfloat16()(states.bfloat16(), layout)
    assert found.dtype == torch.bfloat16
    assert (found.float() - wanted).norm() / wanted.norm() < 0.02


def test_states_in_bfloat16_stay_near_float32(tiny_checkpoint: Path) -> None:
    signal = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(7))
    exact = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    half = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint, dtype=torch.bfloat16)
    with torch.inference_mode():
        wanted, found = exact.encode(signal).last_hidden_state, half.encode(signal.bfloat16()).last_hidden_state
    assert (found.float() - wanted).norm() / wanted.norm() < 0.05


class TestInt8:
    def test_a_weight_is_off_by_half_a_step_at_most(self) -> None:
        name = "decoder.model.decoder.layers.0.fc1"
        weight = torch.randn(6, 32)
        weight[2] = 0  # a layer may be pruned
        stored = quantize_tensors({f"{name}.weight": weight, f"{name}.bias": torch.ones(6, dtype=torch.float16)})
        scale = stored[f"{name}.weight_scale"]
        assert stored[f"{name}.weight"].dtype == torch.int8
        assert stored[f"{name}.bias"].dtype == torch.float32
        difference = (stored[f"{name}.weight"] * scale[:, None] - weight).abs()
        assert (difference <= scale[:, None] / 2 + 1e-7).all()

    def test_no_sum_overflows(self) -> None:
        """The worst case for 16-bit intermediate sums: neighbouring weights and activations all at their greatest."""
        layer = QuantizedLinear(64, 2, bias=False)
        layer.weight.fill_(127)
        layer.weight_scale.fill_(1 / 127)
        with torch.inference_mode():
            product = layer(torch.ones(3, 64))
        torch.testing.assert_close(product, torch.full((3, 2), 64.0), rtol=0.02, atol=0)

    @pytest.mark.parametrize("amx", [False, True])
    def test_states_stay_near_float32(self, tiny_checkpoint: Path, amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """With and without AMX; bfloat16 is computed everywhere, only not everywhere fast."""
        monkeypatch.setattr("s2t2_cli.modeling.quantized._HAS_AMX", amx)
        signal = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(7))
        exact = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint, dtype=torch.float32)
        integers = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint, dtype=torch.int8)
        assert integers.dtype == torch.float32
        with torch.inference_mode():
            wanted, found = exact.encode(signal).last_hidden_state, integers.encode(signal).last_hidden_state
        assert found.dtype == torch.float32
        assert 0 < (found - wanted).norm() / wanted.norm() < 0.05

    def test_every_library_gives_the_same_layers(self) -> None:
        """Whichever a processor gets; the global choice of torch stays what it was."""
        states = torch.randn(6, 64, generator=torch.Generator().manual_seed(7))
        usual, found = torch.backends.quantized.engine, []
        for library in sorted({"fbgemm", "onednn"} & set(torch.backends.quantized.supported_engines)):
            layer = QuantizedLinear(64, 32, bias=True)
            layer.weight.random_(-127, 128, generator=torch.Generator().manual_seed(8))
            layer.weight_scale.fill_(0.01)
            layer.bias.data.fill_(1.0)
            with packing_for(library), torch.inference_mode():
                found.append(layer(states))
            assert torch.backends.quantized.engine == usual
        for other in found[1:]:
            torch.testing.assert_close(other, found[0], rtol=1e-3, atol=1e-3)

    def test_integers_are_kept_and_read_again(self, tiny_checkpoint: Path, tmp_path: Path) -> None:
        first = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint, dtype=torch.int8)
        (kept,) = (tmp_path / "assets").rglob("*.safetensors")
        made = kept.stat().st_mtime_ns
        again = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint, dtype=torch.int8)
        assert kept.stat().st_mtime_ns == made
        for name, tensor in first.state_dict().items():
            assert torch.equal(tensor, again.state_dict()[name]), name

    def test_is_for_the_cpu(self, tiny_checkpoint: Path) -> None:
        with pytest.raises(UsageError, match="device cuda"):
            Translator.from_pretrained(tiny_checkpoint, dtype="int8", device="cuda")
        assert Translator.from_pretrained(tiny_checkpoint, dtype="int8").device.type == "cpu"


def test_kernels_of_lengths_long_past_are_let_go(tiny_checkpoint: Path) -> None:
    """What oneDNN says of itself: the first shape is compiled anew after a few hundred others, not after a few."""
    script = """
import sys, torch
from s2t2_cli import Translator
Translator.from_pretrained(sys.argv[1])
for rows in (1, 2, 1, *range(3, 300), 1):
    print("rows", rows, flush=True)
    torch.nn.functional.gelu(torch.zeros(rows, 32).to_mkldnn())
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ONEDNN_")}
    printed = subprocess.run(
        [sys.executable, "-c", script, os.fspath(tiny_checkpoint)],
        env={**environment, "ONEDNN_VERBOSE": "profile_create"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    if "create:cache_miss" not in printed:
        pytest.skip("this build of torch computes without oneDNN")
    first, again, late = ("create:cache_miss" in one.split("rows ")[0] for one in printed.split("rows 1\n")[1:])
    assert (first, again, late) == (True, False, True)
