"""The configurations on which this package and the reference are compared.

Plain data, the standard library and numpy only: it is imported in two environments, ours and the oracle's, and by
the tests, which need the very same weights without the oracle.

A case is a tiny random checkpoint plus search settings. The base cases are chosen one switch at a time, so that a
failure names its switch; the random ones then combine switches, from a fixed seed.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

VOCABULARY = 96

_ENCODER: dict[str, Any] = {
    "model_type": "wav2vec2",
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "conv_dim": [32, 32, 32, 32, 32, 32, 32],
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "initializer_range": 0.1,
}
_DECODER: dict[str, Any] = {
    "model_type": "speech_to_text_2",
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "max_target_positions": 64,
    # Random output layers need a wide spread, or every step is a near tie that float32 cannot settle.
    "init_std": 0.35,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    # A left-over of the published files: it must not be read.
    "num_hidden_layers": 12,
    "max_length": 40,
    "num_beams": 5,
    "early_stopping": True,
}

# Random weights repeat one token for ever; forbidding that makes every step a choice that can go wrong.
_GENERATION: dict[str, Any] = {"num_beams": 5, "max_length": 40, "early_stopping": True, "no_repeat_ngram_size": 2}

_BASE: dict[str, dict[str, Any]] = {
    "published-layout": {},
    "published-settings": {"generation": {"no_repeat_ngram_size": 0}},
    "group-norm": {"encoder": {"feat_extract_norm": "group", "conv_bias": False}},
    "post-norm": {"encoder": {"do_stable_layer_norm": False}},
    "base-model": {"encoder": {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False}},
    "adapter": {"encoder": {"add_adapter": True, "num_adapter_layers": 2}},
    # With a third width the reference builds a bridge of the wrong size and cannot run.
    "adapter-projection": {"encoder": {"add_adapter": True, "num_adapter_layers": 1, "output_hidden_size": 32}},
    "no-bridge": {"encoder": {"hidden_size": 32}},
    "odd-positional-kernel": {"encoder": {"num_conv_pos_embeddings": 15}},
    "other-convolutions": {
        "encoder": {
            "conv_dim": [24, 32, 40],
            "conv_kernel": [8, 5, 7],
            "conv_stride": [4, 3, 5],
            "conv_bias": False,
        }
    },
    "relu-encoder": {"encoder": {"hidden_act": "relu", "feat_extract_activation": "gelu_new"}},
    "gelu-decoder": {"decoder": {"activation_function": "gelu"}},
    "silu-decoder": {"decoder": {"activation_function": "silu"}},
    "unscaled-embedding": {"decoder": {"scale_embedding": False}},
    "one-layer-one-head": {"decoder": {"decoder_layers": 1, "decoder_attention_heads": 1}},
    "parametrized-weight-norm": {"weight_norm": "parametrized"},
    "greedy": {"generation": {"num_beams": 1}},
    "one-hypothesis-of-two": {"generation": {"num_beams": 2}},
    "many-beams": {"generation": {"num_beams": 9}},
    "n-best": {"generation": {"num_beams": 5, "num_return_sequences": 5}},
    "length-penalty-low": {"generation": {"length_penalty": 0.2}},
    "length-penalty-high": {"generation": {"length_penalty": 2.0}},
    "length-penalty-zero": {"generation": {"length_penalty": 0.0}},
    "length-penalty-negative": {"generation": {"length_penalty": -1.0}},
    "early-stopping-false": {"generation": {"early_stopping": False, "num_return_sequences": 3}},
    "early-stopping-false-low-penalty": {"generation": {"early_stopping": False, "length_penalty": 0.3}},
    "early-stopping-never": {"generation": {"early_stopping": "never", "num_return_sequences": 2}},
    "early-stopping-never-negative": {"generation": {"early_stopping": "never", "length_penalty": -0.5}},
    "max-length-short": {"generation": {"max_length": 5}},
    "max-new-tokens": {"generation": {"max_new_tokens": 3, "num_return_sequences": 5}},
    "min-length": {"generation": {"min_length": 15}},
    "min-new-tokens": {"generation": {"min_new_tokens": 12}},
    "greedy-min-length": {"generation": {"num_beams": 1, "min_length": 15, "no_repeat_ngram_size": 0}},
    "no-repeat-unigram": {"generation": {"no_repeat_ngram_size": 1}},
    "no-repeat-trigram": {"generation": {"no_repeat_ngram_size": 3}},
    "greedy-no-repeat": {"generation": {"num_beams": 1, "no_repeat_ngram_size": 2}},
    "repetition-penalty": {"generation": {"repetition_penalty": 1.7, "no_repeat_ngram_size": 0}},
    "greedy-repetition-penalty": {"generation": {"num_beams": 1, "repetition_penalty": 1.7, "no_repeat_ngram_size": 0}},
    "forced-bos": {"generation": {"forced_bos_token_id": 7}},
    "forced-eos": {"generation": {"forced_eos_token_id": 2, "max_length": 9}},
    "forced-both-greedy": {
        "generation": {"num_beams": 1, "forced_bos_token_id": 7, "forced_eos_token_id": 2, "max_length": 9}
    },
    "two-ends": {"generation": {"eos_token_id": [2, 9], "num_return_sequences": 4}},
    "no-end": {"generation": {"eos_token_id": None, "max_length": 12, "pad_token_id": 1}},
    "suppress": {"generation": {"suppress_tokens": [1, 0, 3, 40], "begin_suppress_tokens": [2, 5]}},
    "bad-words": {"generation": {"bad_words_ids": [[4], [5, 6], [7, 8, 9]]}},
    "renormalised": {"generation": {"suppress_tokens": list(range(20, 60)), "renormalize_logits": True}},
    "dull-output-layer": {"decoder": {"init_std": 0.12}, "generation": {"early_stopping": False}},
    "settings-in-config-only": {"generation_file": False},
    "half-precision-file": {"file_dtype": "float16"},
}


def cases(random_cases: int = 30) -> list[dict[str, Any]]:
    """Every case: `name`, `seed`, `encoder`, `decoder`, `generation` and how its files are written."""
    chosen = [_case(name, seed, change) for seed, (name, change) in enumerate(_BASE.items(), start=1)]
    return chosen + [_random_case(number) for number in range(random_cases)]


def _case(name: str, seed: int, change: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "seed": seed,
        "encoder": _ENCODER | change.get("encoder", {}),
        "decoder": _DECODER | change.get("decoder", {}),
        "generation": _GENERATION | change.get("generation", {}),
        "generation_file": change.get("generation_file", True),
        "weight_norm": change.get("weight_norm", "published"),
        "file_dtype": change.get("file_dtype", "float32"),
        "eos_scale": change.get("eos_scale", 1.0),
    }


def _random_case(number: int) -> dict[str, Any]:
    rng = random.Random(20210416 + number)
    layers = rng.choice([2, 3, 5, 7])
    strides = [rng.choice([3, 5])] + [rng.choice([1, 2, 2, 3, 4]) for _ in range(layers - 1)]
    while math.prod(strides) > 500:  # a short clip must leave some frames
        strides[strides.index(max(strides[1:]), 1)] -= 1
    adapter = rng.random() < 0.3
    d_model = rng.choice([24, 32, 48])
    beams = rng.choice([1, 2, 3, 4, 5, 8])
    change: dict[str, Any] = {
        "encoder": {
            "hidden_size": rng.choice([32, 48, 64]),
            "num_hidden_layers": rng.choice([1, 2, 3]),
            "num_attention_heads": rng.choice([2, 4, 8]),
            "conv_dim": [rng.choice([16, 24, 32]) for _ in range(layers)],
            "conv_stride": strides,
            "conv_kernel": [rng.choice([8, 10])] + [rng.choice([4, 5, 7]) for _ in range(layers - 1)],
            "conv_bias": rng.random() < 0.5,
            "feat_extract_norm": rng.choice(["layer", "layer", "group"]),
            "do_stable_layer_norm": rng.random() < 0.5,
            "num_conv_pos_embeddings": rng.choice([8, 15, 32]),
            "hidden_act": rng.choice(["gelu", "relu", "gelu_new"]),
            "add_adapter": adapter,
            "num_adapter_layers": rng.choice([1, 2]),
            "adapter_stride": rng.choice([2, 3]),
            "output_hidden_size": rng.choice([None, d_model]) if adapter else None,
            "mask_time_prob": rng.choice([0.0, 0.05]),
        },
        "decoder": {
            "d_model": d_model,
            "decoder_layers": rng.choice([1, 2, 3]),
            "decoder_attention_heads": rng.choice([1, 2, 4]),
            "activation_function": rng.choice(["relu", "gelu"]),
            "scale_embedding": rng.random() < 0.7,
            "init_std": rng.choice([0.25, 0.35, 0.5]),
            "vocab_size": rng.choice([60, VOCABULARY, 200]),
        },
        "generation": {
            "num_beams": beams,
            "num_return_sequences": rng.randint(1, beams) if beams > 1 else 1,
            "early_stopping": rng.choice([True, False, "never"]) if beams > 1 else False,
            "length_penalty": rng.choice([0.0, 0.6, 1.0, 1.0, 1.4, -0.4]) if beams > 1 else 1.0,
            "max_length": rng.choice([8, 25, 60]),
            "min_length": rng.choice([0, 0, 6]),
            "no_repeat_ngram_size": rng.choice([0, 1, 2, 2, 3]),
            "forced_bos_token_id": rng.choice([None, None, 11]),
            "forced_eos_token_id": rng.choice([None, None, 2]),
        },
        "weight_norm": rng.choice(["published", "parametrized"]),
    }
    return _case(f"random-{number:02d}", 1000 + number, change)


def random_weights(shapes: Mapping[str, tuple[int, ...]], case: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Random tensors for the published names, the same in every environment and on every numpy.

    Biases and norms are moved off 0 and 1, or a test on them would miss swaps and omissions. The position table,
    which is a formula, is left out.
    """
    weights: dict[str, np.ndarray] = {}
    for name, shape in sorted(shapes.items(), key=lambda item: item[0].endswith("weight_g")):
        if name.endswith("embed_positions.weights"):
            continue
        noise = np.random.RandomState(zlib.crc32(f"{case['seed']}/{name}".encode())).standard_normal(shape)
        std = case["decoder"]["init_std"] if name.startswith("decoder.") else case["encoder"]["initializer_range"]
        if name.endswith("weight_g"):
            weight_v = weights[name.removesuffix("g") + "v"]
            value = np.sqrt((weight_v**2).sum((0, 1), keepdims=True)) * (1 + 0.1 * noise)
        elif name.endswith("weight_v"):
            value = noise * 2 / np.sqrt(shape[0] * shape[2])
        elif len(shape) == 3:
            value = noise * np.sqrt(2 / (shape[1] * shape[2]))
        elif len(shape) == 2:
            value = noise * std
        else:
            value = 0.1 * noise + (name.endswith("norm.weight"))
        if name.endswith("lm_head.weight"):
            value[2] *= case.get("eos_scale", 1.0)
        weights[name] = value.astype(np.float32)
    return weights


_LANGUAGE_MODEL: dict[str, Any] = {
    **{name: value for name, value in _DECODER.items() if name not in ("max_length", "num_beams", "early_stopping")},
    "add_cross_attention": False,
}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "usual": _LANGUAGE_MODEL,
    "gelu": _LANGUAGE_MODEL | {"activation_function": "gelu"},
    "unscaled-embedding": _LANGUAGE_MODEL | {"scale_embedding": False},
    "four-layers-one-head": _LANGUAGE_MODEL | {"decoder_layers": 4, "decoder_attention_heads": 1},
    "few-positions": _LANGUAGE_MODEL | {"max_target_positions": 3},
}

# Two texts, the second shorter: what stands in its padding (1) is never looked at (labels -100).
LANGUAGE_MODEL_IDS = ((2, 17, 5, 80, 44, 9, 31, 6), (2, 63, 12, 90, 1, 1, 1, 1))
LANGUAGE_MODEL_LABELS = ((17, 5, 80, 44, 9, 31, 6, 2), (63, 12, 90, 2, -100, -100, -100, -100))


def language_model_weights(config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Random tensors of a decoder without cross-attention, under their published names."""
    width, inner, vocabulary = config["d_model"], config["decoder_ffn_dim"], config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "decoder.lm_head.weight": (vocabulary, width),
        "decoder.model.decoder.embed_tokens.weight": (vocabulary, width),
    }
    for layer in range(config["decoder_layers"]):
        start = f"decoder.model.decoder.layers.{layer}."
        linear = {f"self_attn.{one}_proj": (width, width) for one in "kvq"}
        linear |= {"self_attn.out_proj": (width, width), "fc1": (inner, width), "fc2": (width, inner)}
        for name, shape in linear.items():
            shapes |= {f"{start}{name}.weight": shape, f"{start}{name}.bias": shape[:1]}
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"{start}{name}.weight": (width,), f"{start}{name}.bias": (width,)}
    weights = random_weights(shapes, {"seed": 7, "decoder": config})
    return {name.removeprefix("decoder."): value for name, value in weights.items()}


# Which of the golden clips are translated together: each alone, then all, longest first and not.
GOLDEN_BATCHES = ((0,), (1,), (0, 1, 2))


def golden_clips(samples: np.ndarray) -> list[np.ndarray]:
    """Three stretches of the bundled recording (16 kHz), of different lengths."""
    return [samples[4_000:22_000], samples[20_000:29_600], samples]
