"""SpecAugment in the encoder: which frames and channels training hides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.configuration import SpeechEncoderDecoderConfig
from s2t2_cli.modeling.masking import span_mask
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.modeling.wav2vec2 import Wav2Vec2Model

GOLDEN = json.loads((Path(__file__).parent / "golden" / "training.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["masks"], ids=lambda case: f"{case['prob']}-{case['span']}")
def test_as_much_is_hidden_as_in_the_reference(case: dict) -> None:
    torch.manual_seed(0)
    masks = [
        span_mask(case["lengths"], case["width"], prob=case["prob"], span=case["span"], least=case["least"])
        for _ in range(2000)
    ]
    hidden = torch.stack(masks).sum(-1).float()
    reference = case["hidden"]
    for row, length in enumerate(case["lengths"]):
        assert hidden[:, row].mean() == pytest.approx(reference["mean"][row], rel=0.03, abs=0.15), length
        # A rare draw may go further than any of the reference's; the number of spans bounds both.
        assert hidden[:, row].max() <= 1.15 * reference["most"][row]
        assert hidden[:, row].min() >= 0.8 * reference["least"][row]


@given(
    lengths=st.lists(st.integers(1, 80), min_size=1, max_size=4),
    prob=st.floats(0, 1),
    span=st.integers(1, 12),
    least=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_padding_is_never_hidden_and_spans_are_whole(
    lengths: list[int], prob: float, span: int, least: int, seed: int
) -> None:
    torch.manual_seed(seed)
    width = max(lengths) + 7
    mask = span_mask(lengths, width, prob=prob, span=span, least=least)
    assert mask.shape == (len(lengths), width)
    for row, length in zip(mask.tolist(), lengths, strict=True):
        assert not any(row[length:])
        runs = "".join("x" if hidden else " " for hidden in row).split()
        assert all(len(run) >= span for run in runs)
        if length < span:
            assert not runs


def test_the_same_seed_hides_the_same() -> None:
    def draw() -> torch.Tensor:
        torch.manual_seed(7)
        return span_mask([60, 40], 60, prob=0.3, span=4, least=2)

    assert torch.equal(draw(), draw())


@pytest.fixture
def encoder(tiny_checkpoint: Path) -> Wav2Vec2Model:
    model = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint).encoder
    for name in ("hidden_dropout", "feat_proj_dropout", "attention_dropout", "activation_dropout", "layerdrop"):
        setattr(model.config, name, 0.0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    return model


def hidden_states(encoder: Wav2Vec2Model, audio: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """What goes into the first layer, positions not yet added: projected frames (all utterances', hidden), some of
    them hidden."""
    seen: list[torch.Tensor] = []
    hook = encoder.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    encoder(audio, mask)
    hook.remove()
    return seen[0].detach()


def test_hidden_frames_become_the_mask_embedding_and_only_in_training(encoder: Wav2Vec2Model) -> None:
    audio = torch.randn(2, 32_000, generator=torch.Generator().manual_seed(0))
    attention = torch.ones(2, 32_000, dtype=torch.int64)
    attention[1, 15_000:] = 0
    encoder.config.mask_time_prob, encoder.config.mask_time_length = 0.4, 5
    plain = hidden_states(encoder.eval(), audio, attention)
    torch.manual_seed(1)
    training = hidden_states(encoder.train(), audio, attention)

    changed = (training != plain).any(-1)
    assert (training[changed] == encoder.masked_spec_embed).all()
    lengths = [encoder.config.frames(32_000), encoder.config.frames(15_000)]  # padding is not even computed
    for utterance in changed.split(lengths):
        assert 0.15 < utterance.float().mean() < 0.6


def test_hidden_channels_are_zero_in_every_frame(encoder: Wav2Vec2Model) -> None:
    encoder.config.mask_time_prob, encoder.config.mask_feature_prob, encoder.config.mask_feature_length = 0.0, 0.5, 4
    audio = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    states = hidden_states(encoder.train(), audio)
    states = states.view(2, -1, states.shape[-1])
    zero = (states == 0).all(1)  # (batch, channels)
    assert zero.any(1).all()
    assert not torch.equal(zero[0], zero[1])
    assert (states[~zero[:, None, :].expand_as(states)] != 0).all()


def test_apply_spec_augment_false_hides_nothing(encoder: Wav2Vec2Model) -> None:
    encoder.config.apply_spec_augment, encoder.config.mask_time_prob = False, 0.9
    audio = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(hidden_states(encoder.train(), audio), hidden_states(encoder.eval(), audio))


def test_the_mask_embedding_learns(tiny_checkpoint: Path) -> None:
    config = SpeechEncoderDecoderConfig.from_pretrained(tiny_checkpoint)
    config.encoder.mask_time_prob = 0.5
    encoder = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint, config=config).encoder.train()
    encoder(torch.randn(1, 16_000)).last_hidden_state.sum().backward()
    gradient = encoder.masked_spec_embed.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
