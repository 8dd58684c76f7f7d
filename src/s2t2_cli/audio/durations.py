"""How long a recording is, without decoding it where its container says so.

Knows: what containers state. Does not know: what the length is for, what samples decode to.
"""

from __future__ import annotations

from s2t2_cli.audio.decoding import stated_seconds
from s2t2_cli.audio.resampling import SAMPLING_RATE
from s2t2_cli.audio.sources import AudioInput, Waveform, name_of, open_source
from s2t2_cli.audio.stream import stream_audio


def audio_seconds(source: AudioInput, *, name: str | None = None) -> float:
    """The length of a recording in seconds: as its container states it, else by decoding all of it.

    A file that states more than it holds is only found out by decoding it. `name` is what messages call the input.
    Raises what the table of the package says.
    """
    shown = name_of(source) if name is None else name
    with open_source(source, None, shown) as opened:
        stated = None if isinstance(opened, Waveform) else stated_seconds(opened, shown)
    if stated is not None and stated > 0:
        return stated
    return sum(len(block) for block in stream_audio(source, name=shown)) / SAMPLING_RATE
