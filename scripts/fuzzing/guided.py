"""Fuzzing of a target by Atheris, which watches which lines an input reaches: `python -m fuzzing.guided TARGET …`.

Knows: Atheris, the target. Does not know: what is done with what it finds. The other arguments are libFuzzer's.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["s2t2_cli"]):
    from fuzzing.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    with atheris.instrument_imports(include=["s2t2_cli"]):
        target(b"")  # what a target imports when it is first called

    def run(data: bytes) -> None:
        target(data)

    atheris.Setup(sys.argv, run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
