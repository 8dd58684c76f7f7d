"""x"""

from __future__ import annotations

# In the order the reference goes through them; each is replaced in what those before have left.
_ENGLISH_CLEAN_UP = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


def clean_up_tokenization(text: str) -> str:
    """The reference's English clean-up: joins . ? ! , and contractions to the word before, whatever the language."""
    for spaced, joined in _ENGLISH_CLEAN_UP:
        text = text.replace(spaced, joined)
    return text
