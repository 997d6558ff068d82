"""From `--model` to a network: the custom CNN or any model of timm's."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from clfctl.data.pixels.transform import Preprocess
from clfctl.errors import ModelError, UsageError
from clfctl.models.custom_cnn import MIN_IMAGE_SIZE, CustomCNN
from clfctl.models.names import CUSTOM, check_model_name
from clfctl.models.weights import load_weights
from clfctl.settings.groups import ModelSettings


@dataclass(frozen=True)
class Built:
    """A model, what it wants to see, and where its first weights came from."""

    model: nn.Module
    preprocess: Preprocess
    origin: str

    @property
    def n_parameters(self) -> int:
        """Trainable and frozen parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def build_model(settings: ModelSettings, n_classes: int, image_size: int, *, is_small: bool = False) -> Built:
    """Return the model with a head of `n_classes`, filled as the settings say.

    `is_small` data is seen whole, not by its centre. Raises UsageError for a model or size that there is not,
    ModelError if weights cannot be had or do not fit.
    """
    check_model_name(settings.model)
    if settings.model == CUSTOM:
        if settings.pretrained:
            raise UsageError(
                "--pretrained: the custom model has no published weights", "choose a timm model with --model"
            )
        if settings.drop_path:
            raise UsageError("--drop-path: the custom model has no blocks to skip", "use --dropout, or a timm model")
        built = Built(CustomCNN(n_classes, settings.dropout), Preprocess(image_size), "new weights")
    else:
        built = _from_timm(settings, n_classes, image_size)
    if is_small:
        built = Built(built.model, _whole(built.preprocess), built.origin)
    if settings.weights:
        new_head = load_weights(built.model, settings.weights)
        built = Built(built.model, built.preprocess, f"{settings.weights}{', new classifier' if new_head else ''}")
    _check_size(built, settings.model)
    return built


def rebuild_model(name: str, n_classes: int, settings: ModelSettings) -> nn.Module:
    """Return the model called `name` without weights worth keeping: to be filled from a checkpoint."""
    check_model_name(name)
    if name == CUSTOM:
        return CustomCNN(n_classes, settings.dropout)
    return _create(name, n_classes, settings, pretrained=False)


def _create(name: str, n_classes: int, settings: ModelSettings, *, pretrained: bool) -> nn.Module:
    import timm  # seconds, only for the models that need it

    rates = {"drop_rate": settings.dropout, "drop_path_rate": settings.drop_path}
    # Not every model has both: one that was not asked for is left to the model.
    stated = {argument: rate for argument, rate in rates.items() if rate}
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=n_classes, **stated)
    except TypeError as error:
        argument = next((each for each in stated if f"'{each}'" in str(error)), "")
        if not argument:
            raise
        option = {"drop_rate": "--dropout", "drop_path_rate": "--drop-path"}[argument]
        raise UsageError(f"{option}: {name} has no such thing", f"leave {option} out") from None
    return model


def _from_timm(settings: ModelSettings, n_classes: int, image_size: int) -> Built:
    import timm  # seconds, only for the models that need it

    name = settings.model
    has_weights = name.startswith("hf") or timm.is_model_pretrained(name)
    if settings.pretrained and not has_weights:
        raise UsageError(f"--pretrained: {name} has no published weights", "train it anew with --no-pretrained")
    pretrained = has_weights if settings.pretrained is None and not settings.weights else bool(settings.pretrained)
    try:
        model = _create(name, n_classes, settings, pretrained=pretrained)
    except UsageError:
        raise
    except Exception as error:
        # The hub's client raises a dozen kinds, from its own to those of the HTTP library beneath.
        if not pretrained:
            raise ModelError(f"--model: {name} cannot be built: {error}") from error
        hint = "with no connection, give a file with --weights, or train anew with --no-pretrained"
        reason = str(error).strip().splitlines()[0][:120]
        raise ModelError(f"--pretrained: the weights of {name} could not be downloaded: {reason}", hint) from error
    config: dict[str, Any] = timm.data.resolve_model_data_config(model)
    preprocess = Preprocess(image_size, config["crop_pct"], tuple(config["mean"]), tuple(config["std"]))
    return Built(model, preprocess, "published weights" if pretrained else "new weights")


def _whole(preprocess: Preprocess) -> Preprocess:
    return Preprocess(preprocess.image_size, 1.0, preprocess.mean, preprocess.std)


def _check_size(built: Built, name: str) -> None:
    """Try one image: cheaper than knowing for 1,371 models what sizes they take."""
    size = built.preprocess.image_size
    training = built.model.training
    try:
        with torch.no_grad():
            built.model.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        hint = f"it takes {MIN_IMAGE_SIZE} pixels or more" if name == CUSTOM else str(error).splitlines()[0]
        raise UsageError(f"--image-size: {name} cannot take images of {size} pixels", hint) from None
    finally:
        built.model.train(training)
