"""Trains the demo checkpoints: `python scripts/demo/train.py --help`; `torchrun --nproc-per-node N` uses N processes.

Knows: the corpus' languages, the losses (translation into four languages, CTC on phonemes), what is released.
Does not know: how clips were made (speech.py), how the loop resumes (s2t2_cli.training).

A run that was killed goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from clips import ClipBatches, Share, SpokenBatch, audio_of, normalised, spoken_batch
from labels import LANGUAGES, SOUNDS, Corpus, Labels
from network import PAD, START, SharedTranslator
from speech_store import ClipStore
from torch import Tensor

from s2t2_cli.evaluation import corpus_bleu
from s2t2_cli.feature_extraction import Wav2Vec2FeatureExtractor
from s2t2_cli.generation import generate
from s2t2_cli.modeling.speech_encoder_decoder import EncoderOutput
from s2t2_cli.processing import Speech2Text2Processor
from s2t2_cli.text import Detokenizer
from s2t2_cli.training.loop import train
from s2t2_cli.training.objective import IGNORED, ctc_loss, smoothed_cross_entropy
from s2t2_cli.training.settings import TrainingSettings
from s2t2_cli.training.state import load_state
from s2t2_cli.training.tasks import Losses, Task
from s2t2_cli.training.world import World, join_world

# On validation sentences Arabic came out better by half a point without the usual reward for length, others did not.
LENGTH_PENALTIES = {"ar": 0.0}


class DemoTask(Task[SpokenBatch]):
    """Cross-entropy in four languages at once, and CTC on phonemes, which is not released."""

    unit = "s of audio"

    def __init__(
        self, corpus: Corpus, validation: Sequence[ClipStore], folder: Path, options: argparse.Namespace
    ) -> None:
        super().__init__()
        self.network = SharedTranslator([len(one) for one in corpus.tokenizers], 1 + len(SOUNDS))
        self._corpus, self._validation, self._folder = corpus, validation, folder
        self._epsilon, self._ctc_weight = options.label_smoothing, options.ctc_weight
        self._input_noise, self._sounds_only = options.input_noise, options.sounds_only
        self._agreement = options.agreement

    def start_from(self, folder: Path) -> None:
        """Take over what an earlier run learnt; tables of another size (other sub-words) start anew."""
        trained = load_state(folder)
        if trained is None:
            raise SystemExit(f"{folder} holds no state of a run")
        own = self.state_dict()
        kept = {name: value for name, value in trained.task.items() if own[name].shape == value.shape}
        self.load_state_dict(own | kept)

    def forward(self, batch: SpokenBatch) -> Losses:
        network = self.network
        states, mask = network.encode(batch.waveforms, batch.mask)
        frames = [states.shape[1]] * len(states) if mask is None else mask.sum(1).tolist()
        phonemes = [labels.phonemes for labels in batch.labels]
        ctc = ctc_loss(network.ctc_head(states), frames, phonemes)
        if self._sounds_only:
            return Losses(ctc, sum(map(len, phonemes)), {"ctc": ctc.detach()}, batch.seconds)
        inputs, labels = self._targets(batch.labels)
        inputs = self._misheard(inputs)
        if self._agreement:  # both hearings are told the same last words: what differs is what was heard
            inputs = inputs[: len(inputs) // 2].repeat(2, 1, 1)
        decoded = network.decode(inputs.flatten(0, 1), states, mask).unflatten(0, inputs.shape[:2])
        total, parts = self._ctc_weight * ctc, {"ctc": ctc.detach()}
        for language, name in enumerate(LANGUAGES):
            logits = decoded[:, language] @ network.output_layer(language).t()
            loss = smoothed_cross_entropy(logits, labels[:, language], self._epsilon)
            total = total + loss.smoothed
            parts[name] = loss.nll
            if self._agreement:
                divergence = disagreement(logits, labels[:, language])
                total = total + self._agreement * divergence
                parts["disagreement"] = parts.get("disagreement", torch.zeros(())) + divergence.detach()
        weight = int(labels.ne(IGNORED).sum())
        return Losses(total, weight, parts, batch.seconds)

    def _targets(self, rows: Sequence[Labels]) -> tuple[Tensor, Tensor]:
        """(batch, languages, length): shifted decoder inputs, and each language's own labels."""
        longest = max(len(one) for row in rows for one in row.translations if one)
        labels = torch.full((len(rows), len(LANGUAGES), longest), IGNORED)
        inputs = torch.full_like(labels, PAD)
        for place, row in enumerate(rows):
            for language, ids in enumerate(row.translations):
                if ids:
                    shift = self.network.shift(language)
                    labels[place, language, : len(ids)] = torch.tensor(ids)
                    inputs[place, language, : len(ids)] = torch.tensor((START, *ids[:-1])) + shift
        return inputs, labels

    def _misheard(self, inputs: Tensor) -> Tensor:
        """Some inputs exchanged for any other of their language: who cannot trust his last words has to listen."""
        if not self.training:
            return inputs
        changed = inputs.clone()
        for language, size in enumerate(self.network.vocabularies):
            part = changed[:, language]
            said = part.ne(PAD) & (torch.arange(part.shape[1]) > 0)
            chosen = said & (torch.rand(part.shape) < self._input_noise)
            part[chosen] = self.network.shift(language) + torch.randint(START + 1, size, (int(chosen.sum()),))
        return changed

    def validate(self) -> Mapping[str, float]:
        """Greedy BLEU a language and store; their mean is `bleu`."""
        scores = {}
        for language, name in enumerate(LANGUAGES):
            model = self.network.checkpoint(language)
            tokenizer, detokenize = self._corpus.tokenizers[language], Detokenizer(name)
            search = model.generation_config.replace(num_beams=1, max_length=60)
            for store in self._validation:
                hypotheses, references = [], []
                for clips in _batches_of(store, 24):
                    rows = [self._corpus.rows[clip.row] for clip in clips]
                    waveforms = [normalised(audio_of(store.samples(), clip)) for clip in clips]
                    batch = spoken_batch(waveforms, ())
                    encoded: EncoderOutput = model.encode(batch.waveforms, batch.mask)
                    ids = generate(model.decoder, encoded.last_hidden_state, encoded.attention_mask, search).sequences
                    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
                    for row, text in zip(rows, texts, strict=True):
                        if row[name]:
                            hypotheses.append(detokenize(text))
                            references.append(row[name])
                scores[f"{name}_{store.folder.name}"] = corpus_bleu(hypotheses, references).value
        return {"bleu": sum(scores.values()) / len(scores), **scores}

    def release(self) -> None:
        """The four checkpoints, each in the published layout."""
        for language, name in enumerate(LANGUAGES):
            target = self._folder / "checkpoints" / name
            model = self.network.checkpoint(language)
            model.generation_config = model.generation_config.replace(length_penalty=LENGTH_PENALTIES.get(name, 1.0))
            model.save_pretrained(target)
            extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
            Speech2Text2Processor(extractor, self._corpus.tokenizers[language]).save_pretrained(target)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Weight decay for matrices only."""
        parameters = [one for one in self.network.parameters() if one.requires_grad]
        return [
            {"params": [one for one in parameters if one.ndim > 1]},
            {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
        ]


def disagreement(logits: Tensor, labels: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence of the two hearings of each utterance, summed over the labelled places.

    `logits` (2 * utterances, length, vocabulary), `labels` (2 * utterances, length); R-Drop, Liang et al. 2021, eq. 3,
    with two perturbations of the sound besides the two dropouts.
    """
    first, second = logits.log_softmax(-1).chunk(2)
    apart = ((first.exp() - second.exp()) * (first - second)).sum(-1) / 2
    return apart[labels.chunk(2)[0].ne(IGNORED)].sum()


def _batches_of(store: ClipStore, size: int) -> list[Sequence[Any]]:
    clips = sorted(store.clips, key=lambda clip: clip.length)
    return [clips[first : first + size] for first in range(0, len(clips), size)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--clips", action="append", required=True, metavar="STORE=WEIGHT", help="a store and its share")
    parser.add_argument("--valid", action="append", type=Path, required=True, metavar="STORE")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=800, help="sub-words a language")
    parser.add_argument("--updates", type=int, default=6000)
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--warmup", type=int, default=300)
    parser.add_argument("--schedule", choices=("cosine", "linear", "constant"), default="cosine")
    parser.add_argument("--seconds", type=float, default=64.0, help="audio an update")
    parser.add_argument("--parts", type=int, default=2, help="batches an update, for as many processes")
    parser.add_argument("--epoch-clips", type=int, default=20_000)
    parser.add_argument("--joined", type=float, default=0.15, help="share of clips that are followed by another")
    parser.add_argument(
        "--agreement", type=float, default=0.0, help="weight of the difference between two hearings of each clip"
    )
    parser.add_argument("--ctc-weight", type=float, default=0.6)
    parser.add_argument("--input-noise", type=float, default=0.1, help="share of the decoder's inputs exchanged")
    parser.add_argument("--label-smoothing", type=float, default=0.1)
    parser.add_argument("--validate-every", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sounds-only", action="store_true", help="train the encoder on phonemes, nothing else")
    parser.add_argument("--begin-with", type=Path, help="folder of an earlier run, whose network to start from")
    options = parser.parse_args()
    with join_world(torch.device("cpu")) as (world, _):
        run(options, world)


def run(options: argparse.Namespace, world: World) -> None:
    shares = []
    for one in options.clips:
        folder, _, weight = one.rpartition("=")
        shares.append(Share(ClipStore(Path(folder)), float(weight)))
    validation = [ClipStore(folder) for folder in options.valid]
    corpus = Corpus(options.corpus, options.output, options.vocabulary, [share.store for share in shares])
    torch.manual_seed(options.seed)
    task = DemoTask(corpus, validation, options.output, options)
    if options.begin_with is not None:
        task.start_from(options.begin_with)
    size = sum(one.numel() for one in task.network.parameters())
    if world.is_first:
        hours = sum(share.store.seconds for share in shares) / 3600
        print(f"{hours:.1f} h of speech, {size / 1e6:.2f} M parameters", flush=True)
    batches = ClipBatches(
        shares,
        corpus.labels,
        seconds=options.seconds,
        parts=options.parts,
        epoch_clips=options.epoch_clips,
        seed=options.seed,
        joined=options.joined,
        views=2 if options.agreement else 1,
    )
    settings = TrainingSettings(
        updates=options.updates,
        lr=options.lr,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        schedule=options.schedule,
        warmup=min(options.warmup, options.updates // 5),
        clip=2.0,
        seed=options.seed,
        validate_every=0 if options.sounds_only else options.validate_every,
        save_every=250,
        log_every=50,
    )
    train(task, batches, settings, options.output, world=world)


if __name__ == "__main__":
    main()
