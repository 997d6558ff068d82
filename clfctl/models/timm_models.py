"""timm's models: any name of its registry, of a model hub, or of a folder that timm wrote."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.errors import ModelError, UsageError, first_line
from clfctl.models.hub_cache import how_to_bring
from clfctl.models.timm_names import timm_names
from clfctl.settings.data import Fit, Interpolation
from clfctl.settings.image_size import USUAL, Auto, ImageSize, as_json, sides
from clfctl.settings.image_size import image_size as image_size_of
from clfctl.settings.network import ModelSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from clfctl.data.pixels.transform import Preprocess
    from clfctl.models.built import Built

HUB, FOLDER = ("hf-hub:", "hf_hub:"), "local-dir:"
# timm's crop modes that are not `center`.
FITS: dict[str, Fit] = {"squash": "stretch", "border": "letterbox"}
# Not every model has both: one that was not asked for is left to the model.
RATES = {"drop_rate": "dropout", "drop_path_rate": "drop_path"}


class TimmModels:
    """See `ModelSource`."""

    hint = f"a model of timm: https://huggingface.co/timm, or `{FOLDER}FOLDER` with one that timm saved"

    def names(self) -> list[str]:
        """See `ModelSource`."""
        return timm_names()

    def has(self, name: str) -> bool:
        """See `ModelSource`."""
        if name.startswith(FOLDER) and not (config := _config_of(name)).is_file():
            hint = "timm's `save_for_hf(model, FOLDER)` writes such a folder; its runs need it where it was"
            raise UsageError(f"there is no {config}", hint, field="model")
        return _is_foreign(name) or name.partition(".")[0] in self.names()

    def build(self, settings: ModelSettings, n_classes: int, image_size: ImageSize | Auto) -> "Built":
        """See `ModelSource`."""
        import timm  # seconds, only for the models that need it
        import torch

        from clfctl.models.built import NEW, Built

        name = settings.model
        has_weights = _is_foreign(name) or timm.is_model_pretrained(name)
        if settings.pretrained and not has_weights:
            hint = "train it from scratch with `pretrained=False`"
            raise UsageError(f"{name} has no published weights", hint, field="pretrained")
        is_pretrained = (
            has_weights if settings.pretrained is None and not settings.weights else bool(settings.pretrained)
        )
        create = partial(_create, name, n_classes, settings)
        is_taught = is_pretrained or settings.weights is not None
        if not is_pretrained:
            model = create()
            size = _size_for(model, image_size, is_taught=is_taught)
            model = _of_size(create, model, name, size)
        else:
            # Tried without weights, before they are downloaded; the new head is drawn as if it had not been.
            with torch.random.fork_rng(devices=[]):
                trial = create()
                size = _size_for(trial, image_size, is_taught=True)
                is_fitted = _of_size(create, trial, name, size) is not trial
            sized = {"img_size": sides(size)} if is_fitted else {}
            model = _with_published_weights(trial, name, partial(create, pretrained=True, **sized))
        preprocess = _preprocess_of(model, size, is_taught=is_taught)
        return Built(model, preprocess, "published weights" if is_pretrained else NEW)

    def rebuild(self, name: str, n_classes: int, settings: ModelSettings, image_size: ImageSize) -> "nn.Module":
        """See `ModelSource`."""
        create = partial(_create, name, n_classes, settings)
        model = create()
        return (
            model if _own_size(model) == sides(image_size) else _of_size(create, model, name, image_size, is_known=True)
        )

    def head(self, model: "nn.Module") -> set[str]:
        """See `ModelSource`."""
        asked: Any = model
        found = asked.get_classifier()
        heads = {id(each) for each in (found if isinstance(found, tuple | list) else (found,))}
        names = {name for name, module in model.named_modules() if id(module) in heads}
        # Some have more than one: for tokens beside the image's own, or for what another network taught them.
        classifiers = asked.pretrained_cfg.get("classifier") or ()
        names |= set((classifiers,) if isinstance(classifiers, str) else classifiers)
        return {each for each in model.state_dict() if any(each.startswith(f"{name}.") for name in names)}

    def layers(self, model: "nn.Module") -> "Mapping[str, int]":
        """See `ModelSource`: as timm's own layer decay groups them."""
        from timm.models import group_parameters
        from timm.optim import auto_group_layers

        matcher: Any = getattr(model, "group_matcher", None)
        found: dict[str, int]
        if matcher is None:
            found = auto_group_layers(model)
        else:
            found = group_parameters(model, matcher(coarse=False), reverse=True)
        return found

    def adapted(self, model: "nn.Module", tensors: "Mapping[str, Tensor]") -> "Mapping[str, Tensor]":
        """See `ModelSource`: names of the papers' own code become timm's, position embeddings are resampled."""
        adapt = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
        if adapt is None:
            return tensors
        found = adapt(dict(tensors), model)
        return found if isinstance(found, Mapping) else tensors


def lasting_name(name: str) -> str:
    """Return a model's name as a run keeps it: that of a folder means the same one wherever it is used from."""
    if not name.startswith(FOLDER):
        return name
    return f"{FOLDER}{Path(name.removeprefix(FOLDER)).expanduser().absolute()}"


def _is_foreign(name: str) -> bool:
    return name.startswith((*HUB, FOLDER))


def _config_of(name: str) -> Path:
    return Path(lasting_name(name).removeprefix(FOLDER)) / "config.json"


def _create(
    name: str, n_classes: int, settings: ModelSettings, *, pretrained: bool = False, **sized: tuple[int, int]
) -> Any:
    """Return timm's model. Raises UsageError for a rate that it does not have, ModelError if it cannot be built."""
    import timm

    stated = {argument: rate for argument, setting in RATES.items() if (rate := getattr(settings, setting))}
    try:
        made = timm.create_model(lasting_name(name), pretrained=pretrained, num_classes=n_classes, **stated, **sized)
    except Exception as error:  # the hub's client alone raises a dozen kinds
        argument = next((each for each in stated if isinstance(error, TypeError) and f"'{each}'" in str(error)), "")
        if argument:
            option = RATES[argument]
            raise UsageError(
                f"{name} does not support {option.replace('_', ' ')}", f"leave `{option}=` out", field=option
            ) from None
        if pretrained or sized:
            raise
        hint = "its config is downloaded from the hub; check your connection" if name.startswith(HUB) else ""
        raise ModelError(f"{name} cannot be built: {first_line(error)}", hint, field="model") from error
    if not hasattr(made, "get_classifier"):
        raise UsageError(f"{name} is no classifier", "`clfctl models` lists those that are", field="model")
    return made


def _own_size(model: "nn.Module") -> tuple[int, int]:
    """Return height and width of the images that a model was made for."""
    config: dict[str, Any] = model.pretrained_cfg  # type: ignore[assignment]  # timm's, of every model
    height, width = config.get("input_size", (3, 0, 0))[1:]
    return int(height), int(width)


def _size_for(model: "nn.Module", stated: ImageSize | Auto, *, is_taught: bool) -> ImageSize:
    """Return the size that is stated, else the model's own where its weights know it or it takes no other."""
    if stated != "auto":
        return stated
    config: dict[str, Any] = model.pretrained_cfg  # type: ignore[assignment]  # as in _of_size
    is_own = (is_taught or config.get("fixed_input_size", False)) and min(_own_size(model)) > 0
    return image_size_of(*_own_size(model)) if is_own else USUAL


def _preprocess_of(model: "nn.Module", size: ImageSize, *, is_taught: bool) -> "Preprocess":
    """Return what a model was made to see; with new weights it is used to neither interpolation nor fit."""
    import timm

    from clfctl.data.pixels.fit import INTERPOLATIONS
    from clfctl.data.pixels.transform import Preprocess

    config: dict[str, Any] = timm.data.resolve_model_data_config(model)
    plain = Preprocess(size, config["crop_pct"], tuple(config["mean"]), tuple(config["std"]))
    if not is_taught:
        return plain
    named = config["interpolation"]
    # timm's own default, where a model of a hub says what timm does not know.
    interpolation: Interpolation = named if named in INTERPOLATIONS else "bicubic"
    return replace(plain, interpolation=interpolation, fit=FITS.get(config["crop_mode"], "crop"))


def _of_size(
    create: Any, model: "nn.Module", name: str, image_size: ImageSize, *, is_known: bool = False
) -> "nn.Module":
    """Return the model if it takes images of a size, else one built for it, whose position embedding is resampled.

    `is_known`: it has been trained at the size, so that a model which is not bound to one is not tried.
    """
    from clfctl.models.built import refusal, size_error

    config: dict[str, Any] = model.pretrained_cfg  # type: ignore[assignment]  # timm's, of every model
    is_bound = config.get("fixed_input_size", False)
    if (is_known and not is_bound) or _own_size(model) == sides(image_size):
        return model
    error = refusal(model, image_size)
    if error is None:
        return model
    if is_bound:
        try:
            sized: nn.Module = create(img_size=sides(image_size))
            error = refusal(sized, image_size)
        except Exception as of_size:  # whatever its constructor stumbles over
            error = of_size
        if error is None:
            return sized
    own = as_json(image_size_of(*_own_size(model)))
    reason = f": {first_line(error)}" if str(error).strip() else ""
    raise size_error(name, image_size, f"it was made for {own} pixels{reason}")


def _with_published_weights(trial: Any, name: str, create: Any) -> "nn.Module":
    """Return what `create` makes; `trial` is the same model without weights, which knows where they are."""
    try:
        model: nn.Module = create()
    except Exception as error:  # as in _create
        scratch = "or train from scratch with `pretrained=False`"
        if name.startswith(FOLDER):
            what, hint = "be loaded", f"give a file with `weights=FILE`, {scratch}"
        else:
            place = trial.pretrained_cfg.get("hf_hub_id") or trial.pretrained_cfg.get("url") or ""
            what, hint = "be downloaded", f"with no connection, {how_to_bring(place)}, {scratch}"
        reason = f"the weights of {name} could not {what}: {first_line(error)[:120]}"
        raise ModelError(reason, hint, field="pretrained") from error
    return model
