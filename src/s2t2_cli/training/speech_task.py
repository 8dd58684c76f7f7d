"""Speech translation as a task: the losses of an encoder-decoder, what is frozen when, validation by BLEU.

Knows: the model, its outputs, freezing, CTC on the encoder. Does not know: the loop, files of clips, the optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from s2t2_cli.modeling.common import initialise_linear
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.training.collation import SpeechBatch
from s2t2_cli.training.objective import IGNORED, ctc_loss, smoothed_cross_entropy
from s2t2_cli.training.tasks import Losses, Task


@dataclass(frozen=True, kw_only=True)
class SpeechTaskSettings:
    """What is particular to speech translation."""

    label_smoothing: float = 0.1
    freeze_encoder_updates: int = 10_000
    """Updates in which only the decoder, the bridge and the CTC head learn."""
    freeze_feature_encoder: bool = True
    """Whether the convolutions never learn. fairseq fine-tunes wav2vec 2.0 so (its `feature_grad_mult` is 0 there), and
    nothing needs to be kept of them for a backward pass."""
    ctc_weight: float = 0.0
    """What a nat of CTC loss counts beside a nat of cross-entropy."""
    ctc_units: int = 0
    """Units CTC distinguishes, the blank not counted."""


Validation = Callable[[SpeechEncoderDecoderModel], Mapping[str, float]]


class SpeechTranslationTask(Task[SpeechBatch]):
    """A SpeechEncoderDecoderModel with what training adds to it.

    `model` is what is released; the CTC head `ctc` is in the state alone.
    """

    unit = "s of audio"

    def __init__(
        self,
        model: SpeechEncoderDecoderModel,
        settings: SpeechTaskSettings,
        *,
        validation: Validation | None = None,
        release: Callable[[SpeechEncoderDecoderModel], None] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self._validation, self._release = validation, release
        self.ctc: nn.Linear | None = None
        if settings.ctc_weight > 0:
            self.ctc = nn.Linear(model.config.encoder.width, settings.ctc_units + 1)
            initialise_linear(self.ctc, model.config.encoder.initializer_range)
        self._encoder_learns: bool | None = None
        self.begin_update(1)

    def begin_update(self, update: int) -> None:
        """Let the encoder learn once its time has come. What does not learn records no graph either."""
        learns = update > self.settings.freeze_encoder_updates
        if learns != self._encoder_learns:
            self._encoder_learns = learns
            self.model.encoder.requires_grad_(learns)
            if self.settings.freeze_feature_encoder:
                self.model.encoder.feature_extractor.requires_grad_(False)

    def forward(self, batch: SpeechBatch) -> Losses:
        """Cross-entropy, smoothed, and CTC where there is a head for it."""
        device = self.model.device
        model = self.model
        mask = None if batch.attention_mask is None else batch.attention_mask.to(device, non_blocking=True)
        labels = batch.labels.to(device, non_blocking=True)
        states = model.encoder(batch.input_values.to(device, non_blocking=True), mask).last_hidden_state
        outputs = model.bridge(states, mask)
        logits = model(encoder_outputs=outputs, labels=None, decoder_input_ids=model.shift_right(labels)).logits
        loss = smoothed_cross_entropy(logits, labels, self.settings.label_smoothing)
        total = loss.smoothed
        parts = {"nll": loss.nll, "accuracy": loss.correct}
        if self.ctc is not None:
            ctc = self._ctc_loss(self.ctc, states, batch)
            total = total + self.settings.ctc_weight * ctc
            parts["ctc"] = ctc.detach()
        return Losses(total, float((batch.labels != IGNORED).sum()), parts, batch.seconds)

    def _ctc_loss(self, head: nn.Linear, states: Tensor, batch: SpeechBatch) -> Tensor:
        """Over the rows that have units; pseudo-labelled ones have none."""
        units = batch.units or [None] * len(states)
        rows = [row for row, targets in enumerate(units) if targets]
        if not rows:
            return states.new_zeros(())
        frames = self._frames(batch, states.shape[1])
        chosen = [targets for targets in units if targets]
        return ctc_loss(head(states[rows]), [frames[row] for row in rows], chosen)

    def _frames(self, batch: SpeechBatch, frames: int) -> list[int]:
        if batch.attention_mask is None:
            return [frames] * len(batch.labels)
        config = self.model.config.encoder
        return [config.output_frames(samples) for samples in batch.attention_mask.sum(-1).tolist()]

    def validate(self) -> Mapping[str, float]:
        assert self._validation is not None  # the loop validates only where that was asked for
        return self._validation(self.model)

    def release(self) -> None:
        if self._release is not None:
            self._release(self.model)
