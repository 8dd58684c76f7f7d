"""The exceptions of the package, each with the sentence a user needs.

    S2T2Error
    ├── UsageError                what was asked for makes no sense          (exit status 2)
    ├── ModelError                no model to work with                      (exit status 2)
    │   ├── ModelNotFoundError        no such hub id, revision, folder or file
    │   ├── HubUnreachableError       the hub did not answer, or offline was asked for
    │   ├── ConfigurationError        a configuration that cannot be honoured
    │   ├── TokenizerError            vocabulary or merges missing or broken
    │   └── CheckpointError           tensors missing, unexpected, wrongly shaped or unsafe
    ├── InputError                one input failed, the others go on         (exit status 1)
    │   ├── InputNotFoundError        nothing is there
    │   ├── InputReadError            it is there and cannot be read
    │   ├── DownloadError             a URL did not deliver
    │   ├── ManifestError             a manifest row that names no audio
    │   ├── AudioDecodeError          not audio, or nothing of it decodes
    │   ├── NoAudioStreamError        a media file without sound
    │   ├── InvalidAudioError         samples or rates no model can take (NaN, wrong shape)
    │   ├── AudioTooShortError        less than one encoder frame
    │   ├── AudioTooLongError         more than can be translated in one piece
    │   └── TranslationError          the model failed on this input (out of memory, say)
    ├── TrainingError             training cannot go on                      (exit status 1)
    ├── OutputError               results cannot be written                  (exit status 1)
    ├── IncompleteError           shards that do not make one whole          (exit status 1)
    └── EngineError               the cluster fails, not an input            (exit status 1)

Knows: what went wrong and which exit status it means. Does not know: how it is shown (cli).
Every message names the thing and the way out, in one line.
"""

from __future__ import annotations

# What a broken file says may be quoted in a message, and may be a megabyte.
_LONGEST_START, _LONGEST_END = 1_000, 300


class S2T2Error(Exception):
    """Base of everything this package raises on purpose.

    Of a message of more than 1,300 characters, the middle is not shown; `args` holds all of it.
    """

    exit_status = 1

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= _LONGEST_START + _LONGEST_END:
            return text
        return f"{text[:_LONGEST_START]} … {text[-_LONGEST_END:]}"


class UsageError(S2T2Error, ValueError):
    """Options or arguments that contradict each other or cannot be honoured."""

    exit_status = 2


class ModelError(S2T2Error):
    """There is no usable model."""

    exit_status = 2


class ModelNotFoundError(ModelError):
    """No such hub id, revision, folder, or file inside it."""


class HubUnreachableError(ModelError):
    """The hub did not answer, or the network was ruled out and the cache does not hold the file."""


class ConfigurationError(ModelError, ValueError):
    """A configuration value that is malformed or names something this package does not implement."""


class TokenizerError(ModelError, ValueError):
    """Vocabulary or merges are missing or malformed."""


class CheckpointError(ModelError):
    """Tensors are missing, unexpected, wrongly shaped, or the file is not safe to read."""


class InputError(S2T2Error):
    """One input failed; the others are not affected."""


class InputNotFoundError(InputError):
    """Nothing exists under the given name."""


class InputReadError(InputError):
    """The input exists and cannot be read (permission, a directory, an I/O error)."""


class DownloadError(InputError):
    """A URL did not deliver: not found, refused, redirected too often, stalled."""


class ManifestError(InputError):
    """A manifest row that is not valid or names no audio."""


class AudioDecodeError(InputError):
    """The bytes are not audio, or not one sample of them decodes."""


class NoAudioStreamError(AudioDecodeError):
    """A media file without an audio stream."""


class InvalidAudioError(InputError, ValueError):
    """Samples no model can take: not a number, wrong shape, wrong type, no sampling rate."""


class AudioTooShortError(InputError, ValueError):
    """Fewer samples than one encoder frame needs."""


class AudioTooLongError(InputError, ValueError):
    """More audio than can be translated in one piece."""


class TranslationError(InputError):
    """The model failed on this input."""


class TrainingError(S2T2Error):
    """Training cannot go on: it diverges, or its saved state cannot be read."""


class OutputError(S2T2Error):
    """Results cannot be written (full disk, no permission, no such folder)."""


class IncompleteError(S2T2Error):
    """Shards that do not make one whole: something is missing, or there twice."""


class EngineError(S2T2Error):
    """What the work was handed to failed as a whole: a cluster that went away, say."""
