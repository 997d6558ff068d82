"""Make cam_maps.json: the maps that grad-cam gives for a small network. `pip install grad-cam`, then run this.

It is not among what the tests need: it brings OpenCV along, for maps of 6 x 6 numbers.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

NET_SEED, LAYER = 7, 4


def small_net() -> nn.Sequential:
    """Return a network of two convolutions, with weights of sines: the same on every machine and in every version."""
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    with torch.no_grad():
        for place, parameter in enumerate(net.parameters()):
            values = torch.arange(parameter.numel(), dtype=torch.float64)
            # Large, so that what grad-cam adds to a denominator is nothing beside it.
            parameter.copy_((20 ** (place > 3) * torch.sin(1.7 * values + place)).reshape(parameter.shape))
    return net.eval().requires_grad_(False)


def image_of() -> torch.Tensor:
    """Return an image (1, 3, 12, 12) of sines, whose upper left is brighter."""
    values = torch.sin(0.37 * torch.arange(3 * 12 * 12, dtype=torch.float64)).reshape(1, 3, 12, 12)
    values[..., :6, :6] += 1
    return values.float()


def main() -> None:
    """Write the maps of each method for each class."""
    from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, LayerCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from pytorch_grad_cam.utils.svd_on_activations import (
        get_2d_projection_with_sign_correction,
    )

    kinds: dict[str, Any] = {
        "gradcam": GradCAM, "gradcam++": GradCAMPlusPlus, "layercam": LayerCAM, "eigencam": EigenCAM,
    }  # fmt: skip
    found: dict[str, list[Any]] = {}
    for name, kind in kinds.items():
        for number in range(3):
            net = small_net().requires_grad_(True)
            with kind(net, [net[LAYER - 1]]) as cam:
                target = [ClassifierOutputTarget(number)]
                cam(image_of(), target)
                kept = cam.activations_and_grads
                features = kept.activations[0].numpy()
                if name == "eigencam":  # its own has the sign that the library for linear algebra gives
                    values = get_2d_projection_with_sign_correction(features)
                else:
                    values = cam.get_cam_image(image_of(), None, target, features, kept.gradients[0].numpy(), False)
            found.setdefault(name, []).append([[[round(float(v), 5) for v in row] for row in values[0].clip(min=0)]])
    path = Path(__file__).parent / "cam_maps.json"
    path.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
