"""Class activation maps: from what a layer gives, and the gradient of the class's logit by it, to a map.

`features` and `gradients` are (B, C, h, w), maps (B, h, w) float32, none below 0. The formulas are those of the papers;
the packages that have them take convolutions alone, or bring OpenCV along (docs/decisions/0240).
"""

import torch


def grad_cam(features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return the sum of the channels, each weighted by its mean gradient (Selvaraju et al. 2016, arXiv:1610.02391)."""
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * features).sum(dim=1).relu()


def grad_cam_plus_plus(features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return the sum of the channels, weighted by positive gradients (Chattopadhay et al. 2017, arXiv:1710.11063).

    Equation 19, in which the second and third derivatives of the exponential of the logit are powers of the first.
    """
    squares = gradients**2
    denominator = 2 * squares + features.sum(dim=(2, 3), keepdim=True) * gradients**3
    shares = torch.where(denominator != 0, squares / denominator, torch.zeros_like(squares))
    weights = (shares * gradients.relu()).sum(dim=(2, 3), keepdim=True)
    return (weights * features).sum(dim=1).relu()


def layer_cam(features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return the sum of the channels, each weighted by its positive gradient at the place (Jiang et al. 2021)."""
    return (gradients.relu() * features).sum(dim=1).relu()


def eigen_cam(features: torch.Tensor) -> torch.Tensor:
    """Return the first principal component of the places (Muhammad and Yeasin 2020, arXiv:2008.00299).

    A component has no sign of its own: it is turned so that its largest value is positive (Chung and Ying 2025,
    doi:10.3390/app15137562, equation 13).
    """
    places = features.flatten(2).transpose(1, 2).double()  # (B, h * w, C)
    places = places - places.mean(dim=1, keepdim=True)
    _, _, axes = torch.linalg.svd(places, full_matrices=False)
    found = (places @ axes[:, :1].transpose(1, 2)).squeeze(2)
    is_turned = found.amin(dim=1, keepdim=True).abs() > found.amax(dim=1, keepdim=True).abs()
    found = torch.where(is_turned, -found, found)
    return found.reshape(len(features), *features.shape[2:]).float().relu()


OF_GRADIENTS = {"gradcam": grad_cam, "gradcam++": grad_cam_plus_plus, "layercam": layer_cam}
