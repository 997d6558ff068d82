"""The custom CNN as a source of one model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clfctl.errors import UsageError
from clfctl.settings.image_size import USUAL, Auto, ImageSize
from clfctl.settings.network import ModelSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from clfctl.models.built import Built

NAME = "custom"
# With ten classes, for who asks without torch.
N_PARAMETERS = 4_719_338


class CustomModels:
    """See `ModelSource`."""

    hint = f"`{NAME}`"

    def names(self) -> list[str]:
        """See `ModelSource`."""
        return [NAME]

    def has(self, name: str) -> bool:
        """See `ModelSource`."""
        return name == NAME

    def build(self, settings: ModelSettings, n_classes: int, image_size: ImageSize | Auto) -> "Built":
        """See `ModelSource`."""
        from clfctl.data.pixels.transform import Preprocess
        from clfctl.models.built import NEW, Built, refusal, size_error
        from clfctl.models.custom_cnn import MIN_IMAGE_SIZE

        if settings.pretrained:
            hint = "choose a timm model with `model=`"
            raise UsageError("the custom model has no published weights", hint, field="pretrained")
        if settings.drop_path:
            hint = "use `dropout=`, or a timm model"
            raise UsageError("the custom model has no blocks to skip", hint, field="drop_path")
        size = USUAL if image_size == "auto" else image_size
        model = self.rebuild(NAME, n_classes, settings, size)
        if refusal(model, size):
            raise size_error(NAME, size, f"it takes {MIN_IMAGE_SIZE} pixels or more")
        return Built(model, Preprocess(size), NEW)

    def rebuild(self, name: str, n_classes: int, settings: ModelSettings, image_size: ImageSize) -> "nn.Module":
        """See `ModelSource`."""
        from clfctl.models.custom_cnn import CustomCNN

        return CustomCNN(n_classes, settings.dropout)

    def head(self, model: "nn.Module") -> set[str]:
        """See `ModelSource`."""
        return {"head.weight", "head.bias"}

    def layers(self, model: "nn.Module") -> "Mapping[str, int]":
        """See `ModelSource`: a group for each stage, and one for the head."""
        names = [name for name, _ in model.named_parameters()]
        stage_of = {name: int(name.split(".")[1]) for name in names if name.startswith("stages.")}
        last = 1 + max(stage_of.values())
        return {name: stage_of.get(name, last) for name in names}

    def adapted(self, model: "nn.Module", tensors: "Mapping[str, Tensor]") -> "Mapping[str, Tensor]":
        """See `ModelSource`."""
        return tensors
