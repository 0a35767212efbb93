"""Tensors about which the answer is known beforehand."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from scripts.evidence.attacking import attack, best_r2
from scripts.evidence.cells import Cell, Store
from scripts.evidence.data import Images
from scripts.evidence.experiments import LEVELS, Plan, Subject, analyse
from scripts.evidence.networks import Chain
from scripts.evidence.training import export

__all__ = ["Controls", "controls"]

_DROWNED = 100.0
_EXPECTED = {
    "rotation": "all: an orthogonal matrix loses nothing",
    "drowned": "nothing: noise of 100 RMS",
    "hash": "locally all, in practice nothing: the sine of 1,000 times that",
    "noise": "nothing: it does not depend on the input",
}


class Controls(Chain):
    """Four outputs side by side: a rotation, the same to be drowned, a sine, and noise alone."""

    def __init__(self, inputs: int, seed: int = 0) -> None:
        super().__init__([], 0.0, 1.0)
        rng = np.random.default_rng(seed)
        rotation, _ = np.linalg.qr(rng.standard_normal((inputs, inputs)))
        self.names = list(_EXPECTED)
        self.rotation = nn.Parameter(torch.from_numpy(rotation.astype(np.float32)))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return all outputs."""
        return tuple(self.upto(image, depth) for depth in range(len(self.names)))

    def upto(self, image: Tensor, depth: int) -> Tensor:
        """Return one output."""
        turned = image.flatten(1) @ self.rotation
        kinds = (turned, 2 * turned, torch.sin(1000 * turned), torch.randn_like(turned))
        return kinds[depth]


def controls(plan: Plan, images: Images, store: Store) -> list[Cell]:
    """Measure and attack the controls.

    Args:
        plan: Gives the budget of the attacks.
        images: What they are fed.
        store: Keeps the cells.

    Returns:
        For each control what is expected, measured, and attained by the attacks.
    """
    shape = images.train.shape[1:]
    network = Controls(int(np.prod(shape)))
    path = store.folder / f"controls-{images.name}.onnx"
    export(network, shape, path)
    subject = Subject(plan, images, network.requires_grad_(requires_grad=False), path, {})
    measured = analyse(subject, store)["tensors"]
    loud = analyse(subject, store, noise=[_DROWNED])["tensors"]
    found = []
    for depth, (name, expected) in enumerate(_EXPECTED.items()):
        is_loud = name == "drowned"
        levels = (_DROWNED,) if is_loud else LEVELS
        said, place = (loud, 0) if is_loud else (measured, 1)
        # Its noise is drawn anew whatever was drawn before.
        torch.manual_seed(0)
        attacked = attack(subject, depth, store, levels=levels)["levels"][place]
        level = said[name]["levels"][place]
        found.append({
            "name": name,
            "expected": expected,
            "s": levels[place],
            "status": said[name]["status"],
            **{key: level[key] for key in ("high", "attained")},
            "attack": best_r2(attacked),
        })
    return found
