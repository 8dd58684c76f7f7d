"""Which containers and decoders of FFmpeg may touch an input.

Knows: the names FFmpeg gives them, and why the others are kept out. Does not know: files.

FFmpeg picks a container by content, and some of its "containers" do not hold media but name other files and
addresses (HLS, DASH, concat, SDP, image sequences) or render text. An input must not be able to open anything, so
only containers that hold their own media are let in; and of the decoders only those for audio, so that finding out
what a video file holds runs no video decoder.
"""

from __future__ import annotations

from functools import cache

from av.codec import Codec, codecs_available

from s2t2_cli.audio.limits import MAX_STREAMS

_AUDIO = (
    "aac ac3 adx aea aiff amr amrnb amrwb apc ape apm aptx ast au avr bit brstm caf codec2 dsf dss dts dtshd eac3 epaf"
    " flac gsm hca iff ilbc ircam lc3 loas mlp mmf mp3 mpc mpc8 nistsphere oma osq paf pvf qcp qoa rso sbc shn sln sox"
    " tak tta truehd voc vqf w64 wav wsd wv wve xa xwma"
)
_VIDEO = (
    "asf avi dv flv gxf h261 h263 h264 hevc ivf m4v matroska mjpeg mov mpeg mpegts mpegvideo mtv mxf nsv nut ogg rm"
    " swf vc1 webm wtv yuv4mpegpipe"
)
# Let in to be told apart from what is no media at all: "an image has no sound" helps more than "not audio".
IMAGES = frozenset(
    {"apng", "bmp_pipe", "gif", "gif_pipe", "ico", "j2k_pipe", "jpeg_pipe", "jpegls_pipe", "jpegxl_anim"}
    | {"jpegxl_pipe", "pam_pipe", "pbm_pipe", "pgm_pipe", "png_pipe", "ppm_pipe", "psd_pipe", "qoi_pipe"}
    | {"svg_pipe", "tiff_pipe", "webp_pipe"}
)

# Containers that state how long each track is, reliably enough to notice that some of it is missing.
STATES_LENGTH = frozenset({"aiff", "au", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "ogg"})

# Decoders of speech codecs that send nothing, or a frame now and then, while nobody speaks.
PAUSING_CODECS = frozenset(
    {"amrnb", "amrwb", "evrc", "g723_1", "g729", "libopencore_amrnb", "libopencore_amrwb"}
    | {"libopus", "opus", "qcelp", "sipr", "speex"}
)


@cache
def container_options() -> dict[str, str]:
    """Options for `av.open` that let in the containers and decoders above, and no protocol at all."""
    return {
        "max_streams": str(MAX_STREAMS),
        "format_whitelist": ",".join([*_AUDIO.split(), *_VIDEO.split(), *sorted(IMAGES)]),
        "codec_whitelist": ",".join(_audio_decoders()),
        "protocol_whitelist": "none",
    }


def _audio_decoders() -> list[str]:
    found = []
    for name in sorted(codecs_available):
        try:
            codec = Codec(name, "r")
        except ValueError:  # it only encodes
            continue
        if codec.type == "audio":
            found.append(name)
    return found
