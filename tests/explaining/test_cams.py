"""The formulas of the maps: against captum where it has them, and against grad-cam's own numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from clfctl.explaining.cams import OF_GRADIENTS, eigen_cam
from tests.differential.make_cam_maps import LAYER, NET_SEED, image_of, small_net

GOLDEN = Path(__file__).parents[1] / "differential/cam_maps.json"


def features_and_gradients(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    net = small_net()
    features = net[:LAYER](image_of()).detach().requires_grad_()
    (gradients,) = torch.autograd.grad(net[LAYER:](features)[:, number].sum(), features)
    return features.detach(), gradients


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "eigencam"])
def test_the_maps_are_those_of_the_package_grad_cam(method: str, number: int) -> None:
    """The golden maps are of grad-cam 1.5.7, made by tests/differential/make_cam_maps.py."""
    golden = np.array(json.loads(GOLDEN.read_text(encoding="utf-8"))[method][number], np.float32)
    features, gradients = features_and_gradients(number)
    found = eigen_cam(features) if method == "eigencam" else OF_GRADIENTS[method](features, gradients)
    assert golden.max() > 0
    np.testing.assert_allclose(found.numpy(), golden, rtol=2e-3, atol=2e-3 * golden.max())


def test_grad_cam_is_that_of_captum() -> None:
    attr = pytest.importorskip("captum.attr")
    net = small_net()
    expected = attr.LayerGradCam(net, net[LAYER - 1]).attribute(image_of(), target=1, relu_attributions=True)
    found = OF_GRADIENTS["gradcam"](*features_and_gradients(1))
    torch.testing.assert_close(found, expected[:, 0].detach())


def test_a_component_has_the_sign_of_its_largest_value() -> None:
    torch.manual_seed(NET_SEED)
    features = torch.randn(3, 5, 4, 6)
    torch.testing.assert_close(eigen_cam(features), eigen_cam(-features))
    assert (eigen_cam(features).amax(dim=(1, 2)) > 0).all()


def test_features_without_any_slope_give_empty_maps() -> None:
    features = torch.rand(2, 3, 4, 4)
    for formula in OF_GRADIENTS.values():
        assert formula(features, torch.zeros_like(features)).abs().max() == 0
    assert eigen_cam(torch.ones(1, 3, 4, 4)).abs().max() == 0
