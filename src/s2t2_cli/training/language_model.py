"""A language model as a task: the loss of text, validation by perplexity.

Knows: the model, its loss, what its folder holds. Does not know: the loop, where the text came from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from s2t2_cli.modeling.speech2text2 import Speech2Text2ForCausalLM
from s2t2_cli.training.objective import TokenLoss, smoothed_cross_entropy
from s2t2_cli.training.tasks import Losses, Task
from s2t2_cli.training.text_data import EncodedText, Marks, TextBatch, TextBatches
from s2t2_cli.training.world import World


class LanguageModelTask(Task[TextBatch]):
    """A `Speech2Text2ForCausalLM` without encoder that predicts each sub-word of a sentence, and its end.

    A sentence starts with the decoder's start token and ends with the end token, as in a translation, so that both
    models can score a text step by step together.
    """

    unit = "tokens"
    best_score = "perplexity"
    higher_is_better = False

    def __init__(
        self,
        model: Speech2Text2ForCausalLM,
        *,
        validation: EncodedText,
        marks: Marks,
        batch_tokens: int,
        release: Callable[[Speech2Text2ForCausalLM], None],
        world: World | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self._validation = TextBatches(validation, marks, batch_tokens=batch_tokens)
        self._release = release
        self._world = world or World()

    def forward(self, batch: TextBatch) -> Losses:
        """Cross-entropy of every sub-word and of the ends."""
        loss = self._loss(batch)
        return Losses(loss.smoothed, batch.targets, {"accuracy": loss.correct}, batch.targets)

    def validate(self) -> Mapping[str, float]:
        """`perplexity` a sub-word (the ends count as one each), `loss` in nats, `accuracy` from 0 to 1."""
        nll = correct = targets = 0.0
        for update in self._validation.plan(0)[self._world.rank :: self._world.size]:
            for part in update:
                batch = self._validation.load(part)
                loss = self._loss(batch)
                nll, correct = nll + float(loss.nll), correct + float(loss.correct)
                targets += batch.targets
        nll, correct, targets = self._world.sum([nll, correct, targets], self.model.device)
        return {"perplexity": perplexity(nll / targets), "loss": nll / targets, "accuracy": correct / targets}

    def release(self) -> None:
        """Write the model where its users look for it."""
        self._release(self.model)

    def _loss(self, batch: TextBatch) -> TokenLoss:
        device = self.model.device
        # Without a mask: a sentence never looks at the padding behind it, and that of others is not counted.
        logits = self.model(batch.input_ids.to(device, non_blocking=True), use_cache=False).logits
        return smoothed_cross_entropy(logits, batch.labels.to(device, non_blocking=True), 0.0)


def perplexity(nll: float) -> float:
    """The exponential of nats a token; infinite where a float has no room for it."""
    try:
        return math.exp(nll)
    except OverflowError:
        return math.inf
