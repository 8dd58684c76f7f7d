"""The public face: sorted names that all resolve, and an import that costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import s2t2_cli


def test_every_public_name_resolves() -> None:
    assert list(s2t2_cli.__all__) == sorted(s2t2_cli.__all__)
    assert dir(s2t2_cli) == s2t2_cli.__all__
    for name in s2t2_cli.__all__:
        assert getattr(s2t2_cli, name) is not None


def test_unknown_names_are_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Whisper'"):
        s2t2_cli.Whisper  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, s2t2_cli; print(sorted({'torch', 'av', 'numpy', 'typer', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
