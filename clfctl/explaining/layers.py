"""Which layers of a network are maps over the image, and which of them a heat map is best made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clfctl.errors import UsageError, first_line, nearest
from clfctl.explaining.layout import Layout, layout_of
from clfctl.settings.image_size import ImageSize, sides
from clfctl.storage.names import shell

# Of fewer places a map says next to nothing: then an earlier layer is taken.
LEAST_SIDE = 4
WITHOUT = "`method=occlusion` and `method=integrated-gradients` need no layer"


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a map over the image; `names` are those of all modules that give this very output.

    `reaches`: the answer depends on what it has at the image's places. The last block of a vision transformer that
    answers from its class token alone does not. `is_pooled`: it has fewer places than what it was made of.
    `is_trunk`: everything goes through it, not one branch of a block; `is_norm`: what such a block begins with.
    """

    name: str
    names: tuple[str, ...]
    layout: Layout
    reaches: bool
    is_pooled: bool
    is_trunk: bool
    is_norm: bool


@dataclass
class _Output:
    """An output while the network is computed. A copy goes on, so that a later layer that works in place spares it."""

    value: torch.Tensor
    copy: torch.Tensor
    version: int
    layout: Layout
    maker: nn.Module
    names: list[str] = field(default_factory=list)


def layers_of(model: nn.Module, image_size: ImageSize) -> list[Layer]:
    """Return the layers of a network that are maps over the image, in the order in which they are computed.

    The network is asked about two pictures that are none, and about the gradient of an answer.
    """
    outputs, answer = _watched(model, _images(model, image_size))
    # No sum: that of all logits may be the same whatever the features are.
    score = (answer * torch.linspace(1, 2, answer.shape[-1], device=answer.device)).sum()
    values = [each.value for each in outputs]
    found: Sequence[torch.Tensor | None] = [None] * len(values)
    if score.requires_grad and values:
        found = torch.autograd.grad(score, values, allow_unused=True)
    reaching = [
        each is not None and bool((o.layout.to_map(each) != 0).any()) for each, o in zip(found, outputs, strict=True)
    ]
    if not any(reaching):  # a classifier of zeros
        reaching = [True] * len(outputs)
    known = _known_names(model)
    return [_layer(model, each, known, reaches=reaches) for each, reaches in zip(outputs, reaching, strict=True)]


def _images(model: nn.Module, image_size: ImageSize) -> torch.Tensor:
    """Return two images (2, 3, H, W): with windows of one image in the place of images there are more."""
    weight = next(model.parameters())
    height, width = sides(image_size)
    images = torch.linspace(-1, 2, 2 * 3 * height * width, device=weight.device, dtype=weight.dtype)
    return images.reshape(2, 3, height, width).requires_grad_()


def _watched(model: nn.Module, images: torch.Tensor) -> tuple[list[_Output], torch.Tensor]:
    """Return the outputs of all modules that are maps, and the answer (B, n_classes)."""
    asked: Any = model
    outputs: list[_Output] = []
    by_copy: dict[int, _Output] = {}
    before = (0, 1) if not hasattr(model, "num_prefix_tokens") else (int(asked.num_prefix_tokens), 0, 1)
    is_last = str(getattr(model, "output_fmt", "")).endswith("NHWC")
    size = (int(images.shape[2]), int(images.shape[3]))

    def hook(name: str, module: nn.Module, output: Any) -> torch.Tensor | None:
        if not isinstance(output, torch.Tensor) or len(output) != len(images) or not output.requires_grad:
            return None
        same = by_copy.get(id(output))
        if same and same.version == output._version:
            same.names.append(name)
            return None
        layout = layout_of(output.shape, size, before, is_last=is_last)
        if layout is None:
            return None
        copy = output.clone()
        each = _Output(output, copy, copy._version, layout, module, [name])
        outputs.append(each)
        by_copy[id(copy)] = each
        return copy

    def hook_of(name: str) -> Any:
        return lambda module, _, output: hook(name, module, output)

    handles = [each.register_forward_hook(hook_of(name)) for name, each in model.named_modules() if name]
    try:
        with torch.enable_grad():
            answer: torch.Tensor = model(images)
    finally:
        for handle in handles:
            handle.remove()
    return outputs, answer


def _known_names(model: nn.Module) -> dict[str, int]:
    """Return the layers that timm says features are taken from, with their channels; of networks of our own none."""
    asked: Any = model
    found = getattr(asked, "feature_info", None) or []
    rows = found if isinstance(found, list) else getattr(found, "info", [])
    return {row["module"]: row["num_chs"] for row in rows if isinstance(row, dict) and {"module", "num_chs"} <= {*row}}


def _layer(model: nn.Module, output: _Output, known: dict[str, int], *, reaches: bool) -> Layer:
    modules = dict(model.named_modules())
    trunk = [name for name in output.names if _is_trunk(model, name)]
    name = next((each for each in output.names if each in known), "") or _outermost(output.names, trunk, modules)
    parent = output.names[-1].rpartition(".")[0]
    begins_block = bool(parent) and _is_trunk(model, parent) and "Norm" in type(modules[output.names[-1]]).__name__
    is_pooled = "Pool" in type(output.maker).__name__
    return Layer(
        name, tuple(output.names), output.layout, reaches, is_pooled, bool(trunk),
        begins_block and output.layout.kind == "tokens",
    )  # fmt: skip


def _is_trunk(model: nn.Module, name: str) -> bool:
    """Return whether a module is one of a row, of which each takes what the one before gives."""
    parents = name.split(".")[:-1]
    return all(
        isinstance(model.get_submodule(".".join(parents[: n + 1])), nn.Sequential | nn.ModuleList)
        for n in range(len(parents))
    )


def _outermost(names: Sequence[str], trunk: Sequence[str], modules: dict[str, nn.Module]) -> str:
    """Return which of the names of one output tells most: a stage, rather than all stages or its last activation."""
    candidates = [*(trunk or names)]
    while len(candidates) > 1 and isinstance(modules[candidates[-1]], nn.Sequential) and "." not in candidates[-1]:
        if candidates[-2].rpartition(".")[0] != candidates[-1]:
            break
        candidates.pop()
    return candidates[-1]


def choose_layer(model: nn.Module, layers: Sequence[Layer], name: str) -> Layer:
    """Return the layer that a heat map is to be made of. Raises UsageError for a network without maps.

    The last whose map has 4 x 4 places or more, as many channels as the classifier sees, and a part in the answer; of
    images too small for that the last stage whose map is as large; or else the last with more than one place.
    """
    usable = [each for each in layers if each.reaches and not each.is_pooled and (each.is_trunk or each.is_norm)]
    widths = _last_widths(model)
    large = [each for each in usable if each.layout.least_side >= LEAST_SIDE]
    deep = [each for each in large if each.layout.n_channels in widths]
    stages = [each for each in large if each.is_trunk]
    for found in (deep, stages, [each for each in usable if each.layout.height * each.layout.width > 1]):
        if found:
            return found[-1]
    raise UsageError(f"{name} has no layer that is a map over the image", WITHOUT, field="layer")


def _last_widths(model: nn.Module) -> set[int]:
    """Return how many channels the last features have."""
    asked: Any = model
    widths = {int(getattr(asked, "num_features", 0) or 0), *[*_known_names(model).values()][-1:]}
    head = asked.get_classifier() if hasattr(asked, "get_classifier") else None
    return {*widths, head.in_features} if isinstance(head, nn.Linear) else widths


def named_layer(model: nn.Module, layers: Sequence[Layer], wanted: str, file: Path) -> Layer:
    """Return the layer of a name in a file's network. Raises UsageError if there is none, or it is no map."""
    found = next((each for each in reversed(layers) if wanted in each.names), None)
    if found:
        return found
    show = f"{shell('explain', file)} `list_layers=True`"
    known = [name for each in layers for name in each.names]
    if wanted in dict(model.named_modules()):
        hint = nearest(wanted, known) or f"{show} shows those that do"
        raise UsageError(f"the layer {wanted} gives no map over the image", hint, field="layer")
    hint = nearest(wanted, known) or f"{show} shows them"
    raise UsageError(f"{wanted!r} is not a layer", hint, field="layer")


def try_layers(model: nn.Module, image_size: ImageSize, name: str) -> list[Layer]:
    """Return `layers_of`. Raises UsageError for a network that cannot be looked into."""
    try:
        return layers_of(model, image_size)
    except (RuntimeError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise UsageError(f"{name} cannot be looked into: {first_line(error)}", WITHOUT, field="layer") from error
