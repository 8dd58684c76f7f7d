"""The TSV files of Common Voice and CoVoST 2, as they are published, read as rows of a manifest.

Knows: their columns, how they escape, where their clips lie. Does not know: manifests, audio.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence

from s2t2_cli.inputs import is_url

# The folder beside the TSVs that Common Voice unpacks its recordings into.
CLIPS = "clips"

# Of `covost_v2.en_de.test.tsv` (path, sentence, translation, client_id), `covost_v2.en_de.tsv` (path, translation,
# split) and `validated.tsv` (client_id, path, sentence, up_votes …), what these mean here; the rest keeps its name.
_OUR_NAMES = {"path": "audio_filepath", "sentence": "transcript", "translation": "text"}


def is_common_voice(columns: Sequence[str]) -> bool:
    """Whether a TSV with these columns is one of theirs: it names a clip and says what is spoken or what it means."""
    return "path" in columns and ("sentence" in columns or "translation" in columns)


def our_columns(columns: Sequence[str]) -> list[str]:
    """The columns by the names a manifest has for them; a name that is taken already is not given twice."""
    return [
        _OUR_NAMES[column] if column in _OUR_NAMES and _OUR_NAMES[column] not in columns else column
        for column in columns
    ]


def split_line(line: str) -> list[str]:
    """The cells of one line.

    As CoVoST's own script `get_covost_splits.py` reads and writes them: a backslash stands before any character
    that is to be taken as it is, quotation marks among them (`\\"Hi\\", he said`), and quotes enclose nothing.
    Raises ValueError for a line that cannot be read.
    """
    try:
        return next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\"), [])
    except csv.Error as problem:
        raise ValueError(f"cannot be read ({problem})") from problem


def in_clips(path: str) -> str:
    """`path`, relative to the TSV, of a clip named by its file name; a path that leads elsewhere stays as it is."""
    elsewhere = not path or is_url(path) or path.startswith(("/", f"{CLIPS}/"))
    return path if elsewhere else f"{CLIPS}/{path}"
