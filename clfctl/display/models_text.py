"""What is known of models, in words. No rich."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from clfctl.models.listing import Model

if TYPE_CHECKING:
    from clfctl.models.summary import Summary


# What a model was made to see, as it is called here.
LABELS = {
    "input_size": "Images", "fixed_input_size": "Other sizes", "mean": "Mean", "std": "Std", "crop_pct": "Crop",
    "interpolation": "Resized by", "crop_mode": "Cropped at", "license": "License",
}  # fmt: skip


def plain_line(model: Model) -> str:
    """Return a model as one line of words two blanks apart."""
    here = ["here"] if model.cached else []
    return "  ".join([model.name, in_millions(model), in_pixels(model), in_tags(model), *here])


def summary_lines(summary: "Summary") -> Iterator[str]:
    """Yield a model in detail, a line each."""
    n_all, n_body = summary.n_parameters / 1e6, summary.n_body / 1e6
    yield f"{summary.name}: {n_all:.2f} M parameters with 10 classes, {n_body:.2f} M without its classifier"
    yield f"Features    {summary.n_features} numbers of each image go to the classifier"
    for name, value in summary.sees.items():
        yield f"{LABELS[name]:<11} {_in_words(not value if name == 'fixed_input_size' else value)}"
    width, kinds = (max((len(text) for text in texts), default=0) for texts in _names(summary))
    yield "Parts"
    for part in summary.parts:
        yield f"  {part.name:<{width}}  {part.kind:<{kinds}}  {part.n_parameters:>13,}"
    yield "Published weights" if summary.weights else "No published weights are known"
    for tag, place, file in summary.weights:
        name = ".".join(filter(None, (summary.name.partition(".")[0], tag)))
        yield f"  {name}  {place}{f', here: {file}' if file else ''}"


def _names(summary: "Summary") -> tuple[list[str], list[str]]:
    return [part.name for part in summary.parts], [part.kind for part in summary.parts]


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def in_millions(model: Model) -> str:
    """Return the number of parameters: `5.29 M`; `?` where it is not known."""
    return "?" if model.n_parameters is None else f"{model.n_parameters / 1e6:.2f} M"


def in_pixels(model: Model) -> str:
    """Return the image size: `224`, or `1024 × 768` where height and width differ; `any` where the model has none."""
    if model.image_size is None:
        return "?" if model.n_parameters is None else "any"
    height, width = model.image_size
    return f"{height}" if height == width else f"{height} × {width}"


def in_tags(model: Model) -> str:
    """Return the weights that are taken unless others are named, and how many others there are; `no` without any."""
    if not model.weights:
        return "?" if model.n_parameters is None else "no"
    more = f" +{len(model.weights) - 1}" if len(model.weights) > 1 else ""
    return f"{model.weights[0] or 'yes'}{more}"
