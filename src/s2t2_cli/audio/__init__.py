"""Any recording as mono float32 samples at 16 kHz, the whole of it or block by block in bounded memory.

Knows: files, URLs, bytes, streams, arrays and tensors; what becomes of each kind of broken recording (below).
Does not know: what the samples are for, how long a recording the model can take, what a manifest is.

Files are decoded by FFmpeg (PyAV), mixed to mono and resampled by libswresample, which is what the reference
pipeline gets from `ffmpeg -i FILE -ac 1 -ar 16000 -f f32le -`. What is wrong with an input shows like this:

    nothing there under that name                   InputNotFoundError
    no permission, a folder, a read error           InputReadError
    a URL that does not deliver                     DownloadError
    empty, not audio, a playlist, nothing decodes   AudioDecodeError
    more claimed or unfolded than bytes can hold    AudioDecodeError
    an image, a video without sound                 NoAudioStreamError
    NaN, infinity, several channels in an array,
    no or an impossible sampling rate               InvalidAudioError
    less than 400 samples at 16 kHz, none included  AudioTooShortError
    broken off before its end                       what is there, with the warning `truncated`
    damaged in the middle                           what decodes, with the warning `decode_errors`
    digital silence                                 the samples, with the warning `silent`

The end of an MP3 is up to 50 ms longer from a pipe than from a file, as it is with ffmpeg: how much of the last frame
is padding can only be told where the size of the file is known.

FFmpeg only ever reads the bytes it is handed: it opens no file and no address of its own, whatever the name or the
content of an input says, and no video decoder runs.
"""

from __future__ import annotations

from s2t2_cli.audio.durations import audio_seconds
from s2t2_cli.audio.resampling import SAMPLING_RATE, check_backend
from s2t2_cli.audio.sources import AudioInput
from s2t2_cli.audio.stream import MIN_SAMPLES, Audio, AudioStream, load_audio, stream_audio

__all__ = [
    "MIN_SAMPLES",
    "SAMPLING_RATE",
    "Audio",
    "AudioInput",
    "AudioStream",
    "audio_seconds",
    "check_backend",
    "load_audio",
    "stream_audio",
]
