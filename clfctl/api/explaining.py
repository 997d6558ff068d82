"""The library's face of explanations; see `clfctl.api`."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from clfctl.api.named import Named, model_named
from clfctl.explaining.methods import DEFAULT, method_of

if TYPE_CHECKING:
    from clfctl.explaining.explanation import Explanation


def explain(
    model: Named,
    images: Any,
    *,
    ensemble: str | None = None,
    method: str = DEFAULT,
    class_name: str | None = None,
    layer: str | None = None,
) -> "list[Explanation]":
    """Return what a trained model looks at in images, in their order: heat maps in the images' own coordinates.

    `model` is a run folder, a checkpoint or an ensemble, for `method="occlusion"` also an .onnx file; several runs
    answer as one by the rule `ensemble`, and their maps count alike. `images` are as `predict`
    takes them. `method` is one of gradcam, gradcam++, layercam, eigencam, integrated-gradients and occlusion;
    `class_name` the class to explain, without it the likeliest of each image; `layer` the layer to look at, without it
    the last whose map is large enough. An image that cannot be read has an `error` and no map.
    """
    chosen = method_of(method)
    from clfctl.explaining.explain import make_explainer
    from clfctl.explaining.open import open_networks
    from clfctl.inference.from_python import check_image, several
    from clfctl.inference.inputs import find_inputs

    given = several(images)
    are_paths = all(isinstance(each, str | os.PathLike) for each in given)
    named: Iterator[tuple[str, Any]]
    if are_paths:
        named = ((name, None) for name in (find_inputs([os.fspath(each) for each in given]) if given else ()))
    else:
        for number, each in enumerate(given):
            check_image(each, f"image {number}")
        named = ((_name(number, each), each) for number, each in enumerate(given))
    explainer = make_explainer(open_networks(model_named(model, ensemble)), chosen, class_name, layer or "")
    return [explainer.explain(name, image) for name, image in named]


def _name(number: int, image: Any) -> str:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {number}"
