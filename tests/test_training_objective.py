"""What is minimised: against formulas written out by hand, against torch, and against the reference's gradients."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from s2t2_cli.audio import load_audio
from s2t2_cli.modeling.speech2text2 import token_loss
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.processing import Wav2Vec2FeatureExtractor
from s2t2_cli.training.collation import SpeechBatch
from s2t2_cli.training.objective import IGNORED, ctc_loss, smoothed_cross_entropy
from s2t2_cli.training.speech_task import SpeechTaskSettings, SpeechTranslationTask

GOLDEN = json.loads((Path(__file__).parent / "golden" / "training.json").read_text())


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)


LABELS = torch.tensor([[4, 0, 2], [1, IGNORED, IGNORED]])


def test_smoothing_as_written_out_by_hand(logits: torch.Tensor) -> None:
    epsilon = 0.1
    expected = 0.0
    for row, place in ((0, 0), (0, 1), (0, 2), (1, 0)):
        scores = logits[row, place].tolist()
        norm = math.log(sum(math.exp(score) for score in scores))
        for word, score in enumerate(scores):
            wanted = 1 - epsilon if word == int(LABELS[row, place]) else epsilon / 4
            expected -= wanted * (score - norm)
    loss = smoothed_cross_entropy(logits, LABELS, epsilon)
    assert float(loss.smoothed.detach()) == pytest.approx(expected, abs=1e-5)


def test_without_smoothing_it_is_the_models_own_loss(logits: torch.Tensor) -> None:
    loss = smoothed_cross_entropy(logits, LABELS, 0.0)
    assert float(loss.smoothed.detach()) == pytest.approx(4 * float(token_loss(logits, LABELS).detach()), abs=1e-5)
    assert torch.equal(loss.smoothed.detach(), loss.nll)


def test_padding_has_no_gradient(logits: torch.Tensor) -> None:
    smoothed_cross_entropy(logits, LABELS, 0.1).smoothed.backward()
    assert logits.grad is not None
    assert (logits.grad[1, 1:] == 0).all()
    assert (logits.grad[1, 0] != 0).all()


def test_correct_labels_are_counted() -> None:
    sure = F.one_hot(torch.tensor([[4, 3, 2], [1, 0, 0]]), 5).float()
    assert int(smoothed_cross_entropy(sure, LABELS, 0.1).correct) == 3


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(unit for unit, _ in itertools.groupby(path) if unit)


def test_ctc_is_the_sum_over_all_paths() -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(3))
    frames, targets = [5, 3], [[1, 1], [2]]
    expected = 0.0
    for row, (length, target) in enumerate(zip(frames, targets, strict=True)):
        probs = logits[row].softmax(-1).tolist()
        total = sum(
            math.prod(probs[frame][unit] for frame, unit in enumerate(path))
            for path in itertools.product(range(3), repeat=length)
            if collapse(path) == tuple(target)
        )
        expected -= math.log(total)
    assert float(ctc_loss(logits, frames, targets)) == pytest.approx(expected, abs=1e-5)


def test_ctc_agrees_with_torch_on_padded_targets() -> None:
    logits = torch.randn(2, 9, 6, generator=torch.Generator().manual_seed(4))
    padded = torch.tensor([[1, 2, 3], [5, 5, 0]])
    expected = F.ctc_loss(
        logits.log_softmax(-1).transpose(0, 1), padded, torch.tensor([9, 6]), torch.tensor([3, 2]), reduction="none"
    )
    assert float(ctc_loss(logits, [9, 6], [[1, 2, 3], [5, 5]])) == pytest.approx(float(expected.sum()), abs=1e-5)


def test_a_ctc_target_that_does_not_fit_its_frames_counts_for_nothing() -> None:
    logits = torch.randn(1, 2, 4, requires_grad=True)
    loss = ctc_loss(logits, [2], [[1, 2, 3]])
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.fixture(scope="module")
def batch(tiny_checkpoint: Path, clip: Path) -> SpeechBatch:
    samples = load_audio(clip).samples
    clips = [samples[first:last] for first, last in GOLDEN["stretches"]]
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(tiny_checkpoint)
    features = extractor(clips, sampling_rate=16_000, padding=True, return_tensors="pt")
    labels = torch.tensor(GOLDEN["labels"])
    return SpeechBatch(features["input_values"], features["attention_mask"], labels, 5.0)


def test_loss_and_gradients_are_the_references(tiny_checkpoint: Path, batch: SpeechBatch) -> None:
    model = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint).eval()
    loss = model(batch.input_values, batch.attention_mask, labels=batch.labels).loss
    loss.backward()
    assert float(loss.detach()) == pytest.approx(GOLDEN["loss"], abs=1e-4)
    assert_gradients(model)


def test_the_tasks_loss_is_that_loss_summed(tiny_checkpoint: Path, batch: SpeechBatch) -> None:
    model = SpeechEncoderDecoderModel.from_pretrained(tiny_checkpoint)
    settings = SpeechTaskSettings(label_smoothing=0.0, freeze_encoder_updates=0, freeze_feature_encoder=False)
    task = SpeechTranslationTask(model, settings).eval()
    losses = task(batch)
    assert losses.weight == 9
    (losses.total / losses.weight).backward()
    assert float(losses.total.detach()) / 9 == pytest.approx(GOLDEN["loss"], abs=1e-4)
    assert_gradients(model)


def assert_gradients(model: SpeechEncoderDecoderModel) -> None:
    found = {name: one.grad.numpy() for name, one in model.named_parameters() if one.grad is not None}
    assert found.keys() == GOLDEN["gradients"].keys()
    for name, (norm, product) in GOLDEN["gradients"].items():
        numbers = np.random.RandomState(0).standard_normal(found[name].shape)
        assert np.linalg.norm(found[name]) == pytest.approx(norm, abs=1e-4, rel=1e-4), name
        assert (found[name] * numbers).sum() == pytest.approx(product, abs=1e-4, rel=1e-4), name
