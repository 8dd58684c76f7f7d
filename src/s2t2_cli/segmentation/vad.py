"""How likely each 32 ms of a recording are speech, by the network of silero-vad.

Knows: that network, and where its weights lie in the wheel of silero-vad. Does not know: what follows from a
probability (speech).

The package itself is not imported: it would set torch to one thread for the whole process, and its TorchScript goes
frame by frame. Only the weights are taken from that file; the layers below give the same probabilities a block at a
time, an order of magnitude faster.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from s2t2_cli.errors import UsageError
from s2t2_cli.segmentation.frames import FRAME_SAMPLES

_CONTEXT_SAMPLES = 64  # of the frame before, which the network sees, too
_WEIGHTS = Path("data", "silero_vad.jit")
_REINSTALL = "run: pip install --force-reinstall --no-deps 'silero-vad>=6', or use --segmentation fixed"

# Our names, which say what a layer does, and those of the file.
_NAMES = {
    "spectrum": "stft.forward_basis_buffer",
    **{f"convolutions.{n}.{kind}": f"encoder.{n}.reparam_conv.{kind}" for n in range(4) for kind in ("weight", "bias")},
    **{f"memory.{kind}_l0": f"decoder.rnn.{kind}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
    **{f"verdict.{kind}": f"decoder.decoder.2.{kind}" for kind in ("weight", "bias")},
}


class SileroDetector:
    """Gives the probabilities of one recording, frame after frame; what it heard before is part of its answer.

    Raises UsageError where silero-vad is missing or is not a version 6.
    """

    def __init__(self) -> None:
        self._network = _network()
        self._context = torch.zeros(_CONTEXT_SAMPLES)
        self._state = (torch.zeros(1, 128), torch.zeros(1, 128))

    def __call__(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Frames, shape (n, FRAME_SAMPLES), that follow those before: their probabilities of speech, shape (n,)."""
        with torch.inference_mode():
            signal = torch.cat([self._context, torch.from_numpy(frames).reshape(-1)])
            self._context = signal[-_CONTEXT_SAMPLES:].clone()
            windows = signal.unfold(0, _CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)
            probabilities, self._state = self._network(windows, self._state)
            found: NDArray[np.float32] = probabilities.numpy()
            return found


class _Silero(nn.Module):
    """silero-vad 6 at 16 kHz (Silero Team, MIT licence): a spectrum, four convolutions, an LSTM over the frames."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = nn.Parameter(torch.empty(258, 1, 256))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width_in, width_out, 3, stride=stride, padding=1)
            for width_in, width_out, stride in ((129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1))
        )
        self.memory = nn.LSTM(128, 128)
        self.verdict = nn.Conv1d(128, 1, 1)

    def forward(self, windows: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(n, 576) windows in order and the state before them -> (n,) probabilities and the state after them."""
        padded = nn.functional.pad(windows.unsqueeze(1), (0, _CONTEXT_SAMPLES), "reflect")
        real, imaginary = nn.functional.conv1d(padded, self.spectrum, stride=128).chunk(2, dim=1)
        hidden = (real.square() + imaginary.square()).sqrt()
        for convolution in self.convolutions:
            hidden = convolution(hidden).relu()
        hidden, state = self.memory(hidden.squeeze(-1), state)
        return self.verdict(hidden.relu().unsqueeze(-1)).sigmoid().flatten(), state


@cache
def _network() -> _Silero:
    network = _Silero()
    path = _weights_path()
    try:
        with warnings.catch_warnings():
            # torch would rather have other formats than TorchScript; which one a wheel holds is not ours to choose.
            warnings.simplefilter("ignore", DeprecationWarning)
            held = torch.jit.load(path, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
        network.load_state_dict({ours: held[f"_model.{theirs}"] for ours, theirs in _NAMES.items()})
    except (OSError, ValueError, KeyError, RuntimeError) as problem:
        raise UsageError(f"{path} is not the network of silero-vad 6; {_REINSTALL}") from problem
    return network.eval().requires_grad_(False)


def _weights_path() -> Path:
    spec = find_spec("silero_vad")  # tells where it is without importing it
    if spec is None or spec.origin is None:
        raise UsageError("silero-vad is not installed; run: pip install 'silero-vad>=6', or use --segmentation fixed")
    return Path(spec.origin).parent / _WEIGHTS
