"""`s2t2 learn-bpe`: sub-words from target text, as tokenizer files.

Knows: options and what is said. Does not know: how text is read (corpus), tokenised (text) or learned from (subwords).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from s2t2_cli.cli.exits import say
from s2t2_cli.cli.help import Command
from s2t2_cli.cli.options import Lang
from s2t2_cli.cli.progress import status_line
from s2t2_cli.cli.tables import print_text
from s2t2_cli.errors import UsageError

_PAPER_SIZE = 10_000
_SHOWN_EVERY = 1000  # sentences

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("learn-bpe", cls=Command)
def learn_bpe(
    text: Annotated[list[str] | None, typer.Argument(metavar="TEXT", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Folder for the tokenizer files.", show_default=False)
    ] = None,
    lang: Annotated[
        Lang | None,
        typer.Option("--lang", metavar="de|tr|ca|ar", help="Language of the text, for Moses tokenisation."),
    ] = None,
    vocab_size: Annotated[
        int | None,
        typer.Option(
            "--vocab-size",
            metavar="N",
            min=1,
            help=f"Entries of the vocabulary, characters and special tokens included; {_PAPER_SIZE} if not given.",
        ),
    ] = None,
    symbols: Annotated[
        int | None,
        typer.Option("--symbols", metavar="N", min=0, help="Learn this many merges instead, as subword-nmt counts."),
    ] = None,
    min_character_count: Annotated[
        int,
        typer.Option(
            "--min-character-count", metavar="N", min=1, help="Rarer characters get no entry and become <unk>."
        ),
    ] = 1,
    field: Annotated[
        str, typer.Option("--field", metavar="NAME", help="Where rows of JSON lines or TSV have the sentence.")
    ] = "text",
    tokenize: Annotated[
        bool,
        typer.Option("--tokenize/--no-tokenize", help="Moses-tokenise the text first; off where that is done already."),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace the tokenizer files of the folder.")] = False,
) -> None:
    """Learn sub-words (byte pairs) from text in the target language.

    TEXT is plain text with a sentence a line, JSON lines such as a training manifest, or TSV with a header row; -
    is standard input. The folder, which is printed, then holds vocab.json, merges.txt, tokenizer_config.json and
    special_tokens_map.json, as s2t2 finetune and s2t2 train-lm read them.
    """
    if not text:
        raise UsageError("there is no text to learn from; name files, or - for standard input")
    if output is None:
        raise UsageError("say where the tokenizer goes: --output DIR")
    if vocab_size is not None and symbols is not None:
        raise UsageError("--vocab-size and --symbols both say when to stop; give one of them")
    if tokenize and lang is None:
        raise UsageError("Moses tokenisation needs the language: --lang de; or --no-tokenize for tokenised text")
    from s2t2_cli.corpus import read_sentences
    from s2t2_cli.subwords import learn
    from s2t2_cli.text import MosesTokenizer
    from s2t2_cli.tokenization import VOCAB_NAME

    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file: name a folder for the tokenizer")
    if not force and (output / VOCAB_NAME).exists():
        raise UsageError(f"{output} has a {VOCAB_NAME} already; choose another folder, or replace it with --force")
    sentences = read_sentences(text, field=field)
    if tokenize and lang is not None:
        sentences = map(MosesTokenizer(lang), sentences)
    if vocab_size is None and symbols is None:
        vocab_size = _PAPER_SIZE
    with status_line() as show:
        learned = learn(
            _counted(sentences, show),
            vocab_size=vocab_size,
            symbols=symbols,
            min_character_count=min_character_count,
            progress=lambda merges: show(f"{merges} merges learned"),
        )
    learned.save_pretrained(output)
    entries = len(learned.vocabulary)
    say(
        f"{entries} entries ({learned.characters} characters, {len(learned.merges)} merges) from "
        f"{learned.sentences} sentences; {learned.pieces / max(learned.words, 1):.2f} sub-words a word"
    )
    if vocab_size is not None and entries < vocab_size:
        say(f"the text has no more: {vocab_size} entries were asked for, and no other pair occurs twice")
    print_text(f"{output}\n")


def _counted(sentences: Iterable[str], show: Callable[[str], None]) -> Iterator[str]:
    for number, sentence in enumerate(sentences):
        if number % _SHOWN_EVERY == 0:
            show(f"{number} sentences read")
        yield sentence
