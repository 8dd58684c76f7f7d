"""Who speaks: a random, repeatable speaker for each clip, and the voices kept aside for evaluation.

Knows: the names of the voices, which of them training must never hear, how far a voice may be bent.
Does not know: how an engine makes sound.
"""

from __future__ import annotations

from random import Random
from typing import Any

EVALUATION_VOICES = ("bf_emma", "am_michael", "af_sky", "bm_lewis")
AMERICAN_VOICES = (
    *("af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river"),
    *("af_sarah", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_onyx", "am_puck", "am_santa"),
)
BRITISH_VOICES = ("bf_alice", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_george")
ACCENTED_VOICES = (
    *("ef_dora", "em_alex", "em_santa", "ff_siwis", "hf_alpha", "hf_beta", "hm_omega", "hm_psi", "if_sara"),
    *("im_nicola", "jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo", "pf_dora", "pm_alex"),
    *("pm_santa", "zf_xiaobei", "zf_xiaoni", "zf_xiaoxiao", "zf_xiaoyi", "zm_yunjian", "zm_yunxi", "zm_yunxia"),
    "zm_yunyang",
)
FLITE_VOICES = ("slt", "rms", "awb", "kal16")

# Where a Kokoro speaker comes from, and how often; few voices are British, and hibari and flite speak American.
ORIGINS = ((AMERICAN_VOICES, 0.45), (BRITISH_VOICES, 0.35), (ACCENTED_VOICES, 0.2))


def kokoro_speaker(random: Random) -> dict[str, Any]:
    """A voice or a blend of up to three, a tempo, and a vocal tract up to 10 % longer or shorter."""
    size = random.choices((1, 2, 3), (3, 5, 2))[0]
    origins, weights = zip(*ORIGINS, strict=True)
    voices = [random.choice(random.choices(origins, weights)[0]) for _ in range(size)]
    shares = [random.gammavariate(1.5, 1.0) for _ in voices]
    blend: dict[str, float] = {}
    for voice, share in zip(voices, shares, strict=True):
        blend[voice] = round(blend.get(voice, 0.0) + share / sum(shares), 3)
    return {"blend": blend, "speed": round(random.uniform(0.9, 1.35), 3), "tract": round(random.gauss(1.0, 0.035), 3)}


def evaluation_speaker(number: int) -> dict[str, Any]:
    """The evaluation voices in turn, as they are."""
    return {"blend": {EVALUATION_VOICES[number % len(EVALUATION_VOICES)]: 1.0}, "speed": 1.0, "tract": 1.0}


def hibari_speaker(random: Random) -> dict[str, Any]:
    """Hibari's one voice with another vocal tract, pitch, liveliness, tempo, spectral tilt and breath."""
    tract = random.uniform(0.8, 1.2)
    return {
        "tract": round(tract, 3),
        # Long vocal tracts go with low voices, though not strictly.
        "pitch": round(min(1.4, max(0.45, (1 / tract) ** 1.5 * random.uniform(0.65, 1.2))), 3),
        "liveliness": round(random.uniform(0.4, 1.6), 3),
        "speed": round(random.uniform(0.8, 1.4), 3),
        "tilt": round(random.uniform(-9.0, 9.0), 2),
        "breath": round(random.uniform(-6.0, 9.0), 2),
        "formants": [round(random.gauss(0.0, 0.05), 3) for _ in range(5)],
    }


def flite_speaker(random: Random) -> dict[str, Any]:
    """One of flite's voices with another vocal tract, pitch and tempo."""
    tract = random.uniform(0.85, 1.18)
    return {
        "voice": random.choices(FLITE_VOICES, (4, 4, 4, 1))[0],
        "tract": round(tract, 3),
        "pitch": round(random.uniform(0.75, 1.3), 3),
        "speed": round(random.uniform(0.85, 1.3), 3),
    }
