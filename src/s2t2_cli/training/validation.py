"""How good a model is at the moment: BLEU of its translations, and its loss.

Knows: the search, detokenised text, sacrebleu, that several processes share the work. Does not know: the loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s2t2_cli.evaluation import corpus_bleu
from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor
from s2t2_cli.modeling.speech_encoder_decoder import SpeechEncoderDecoderModel
from s2t2_cli.tokenization import Speech2Text2Tokenizer
from s2t2_cli.training.collation import SpeechBatches
from s2t2_cli.training.examples import Example
from s2t2_cli.training.objective import IGNORED, smoothed_cross_entropy
from s2t2_cli.training.world import World
from s2t2_cli.translator import Translator


class SpeechValidation:
    """Translates the validation examples as `s2t2 translate` does and compares with their texts."""

    def __init__(
        self,
        examples: Sequence[Example],
        batches: SpeechBatches,
        extractor: Wav2Vec2FeatureExtractor,
        tokenizer: Speech2Text2Tokenizer,
        *,
        lang: str | None,
        num_beams: int,
        batch_seconds: float,
        world: World,
    ) -> None:
        """`batches` are those of the same examples, for the loss."""
        self._examples, self._batches = examples, batches
        self._extractor, self._tokenizer = extractor, tokenizer
        self._lang, self._num_beams, self._batch_seconds, self._world = lang, num_beams, batch_seconds, world

    def __call__(self, model: SpeechEncoderDecoderModel) -> Mapping[str, float]:
        """`bleu` (sacrebleu's defaults, on detokenised text) and `loss`, in nats a sub-word, not smoothed.

        A recording that cannot be translated counts as an empty translation.
        """
        hypotheses = self._hypotheses(model)
        nll, targets = self._world.sum(self._loss(model), model.device)
        references = [example.text for example in self._examples]
        return {"bleu": corpus_bleu(hypotheses, references).value, "loss": nll / max(1.0, targets)}

    def _hypotheses(self, model: SpeechEncoderDecoderModel) -> list[str]:
        """One for each example, in order, whichever process made it."""
        mine = list(enumerate(self._examples))[self._world.rank :: self._world.size]
        translator = Translator(model, self._extractor, self._tokenizer, name="validation", lang=self._lang)
        results = translator.translate(
            (example.source for _, example in mine), num_beams=self._num_beams, batch_seconds=self._batch_seconds
        )
        made = {number: result.text for (number, _), result in zip(mine, results, strict=True)}
        texts = {number: text for of_process in self._world.gather(made) for number, text in of_process.items()}
        return [texts[number] for number in range(len(self._examples))]

    def _loss(self, model: SpeechEncoderDecoderModel) -> tuple[float, float]:
        """Summed over this process's share of the batches, and the sub-words it is summed over."""
        nll = targets = 0.0
        parts = [part for update in self._batches.plan(0) for part in update]
        for part in parts[self._world.rank :: self._world.size]:
            batch = self._batches.load(part)
            if batch is None:
                continue
            mask = None if batch.attention_mask is None else batch.attention_mask.to(model.device)
            labels = batch.labels.to(model.device)
            inputs = model.shift_right(labels)
            logits = model(batch.input_values.to(model.device), mask, decoder_input_ids=inputs).logits
            loss = smoothed_cross_entropy(logits, labels, 0.0)
            nll, targets = nll + float(loss.nll), targets + float((batch.labels != IGNORED).sum())
        return nll, targets
