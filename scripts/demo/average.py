"""The weighted mean of runs that went on from one another, as checkpoints (Wortsman et al. 2022, "Model soups").

    python scripts/demo/average.py RUN=0.6 RUN=0.4 --output FOLDER [--lang de]

One run knows the templates better, the next one MASSIVE; their mean knows both as well as either. Everything but the
weights is the first run's. Knows: the folders of runs. Does not know: models.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from labels import LANGUAGES
from safetensors.torch import load_file

from s2t2_cli.checkpoint.safetensor_files import write_safetensors

WEIGHTS = "model.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN=SHARE", help="the folder of a run, and its share of the mean")
    parser.add_argument("--output", type=Path, required=True, help="folder for `checkpoints/LANG`")
    parser.add_argument("--lang", action="append", choices=LANGUAGES, help="of this language; by default of all")
    options = parser.parse_args()
    shares = [(Path(run), float(share)) for run, _, share in (one.rpartition("=") for one in options.runs)]
    total = sum(share for _, share in shares)
    for language in options.lang or LANGUAGES:
        places = [(run / "checkpoints" / language, share / total) for run, share in shares]
        target = options.output / "checkpoints" / language
        shutil.copytree(places[0][0], target, dirs_exist_ok=True)
        loaded = [(load_file(place / WEIGHTS), share) for place, share in places]
        names = loaded[0][0]
        write_safetensors({name: sum(share * one[name] for one, share in loaded) for name in names}, target / WEIGHTS)


if __name__ == "__main__":
    main()
