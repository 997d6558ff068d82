"""The networks of clfctl's own as a source of models: the custom CNN, and ResNet-9 for small images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clfctl.errors import UsageError
from clfctl.settings.image_size import USUAL, Auto, ImageSize
from clfctl.settings.network import ModelSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from clfctl.models.built import Built

NAME = "custom"
# The parameters of each with ten classes, for who asks without torch.
N_PARAMETERS = {NAME: 4_719_338, "resnet9": 6_573_130, "resnet9_small": 412_954}
# First widths of the ResNet-9s.
_WIDTHS = {"resnet9": 64, "resnet9_small": 16}


class CustomModels:
    """See `ModelSource`."""

    hint = ", ".join(f"`{name}`" for name in N_PARAMETERS)

    def names(self) -> list[str]:
        """See `ModelSource`."""
        return [*N_PARAMETERS]

    def has(self, name: str) -> bool:
        """See `ModelSource`."""
        return name in N_PARAMETERS

    def build(self, settings: ModelSettings, n_classes: int, image_size: ImageSize | Auto) -> "Built":
        """See `ModelSource`."""
        from clfctl.data.pixels.transform import Preprocess
        from clfctl.models.built import NEW, Built, refusal, size_error
        from clfctl.models.custom_cnn import MIN_IMAGE_SIZE
        from clfctl.models.resnet9 import MIN_IMAGE_SIZE as OF_RESNET9

        name = settings.model
        if settings.pretrained:
            hint = "choose a timm model with `model=`"
            raise UsageError(f"the {name} model has no published weights", hint, field="pretrained")
        if settings.drop_path:
            hint = "use `dropout=`, or a timm model"
            raise UsageError(f"the {name} model has no blocks to skip", hint, field="drop_path")
        size = USUAL if image_size == "auto" else image_size
        model = self.rebuild(name, n_classes, settings, size)
        if refusal(model, size):
            least = MIN_IMAGE_SIZE if name == NAME else OF_RESNET9
            raise size_error(name, size, f"it takes {least} pixels or more")
        return Built(model, Preprocess(size), NEW)

    def rebuild(self, name: str, n_classes: int, settings: ModelSettings, image_size: ImageSize) -> "nn.Module":
        """See `ModelSource`."""
        from clfctl.models.custom_cnn import CustomCNN
        from clfctl.models.resnet9 import ResNet9

        if name in _WIDTHS:
            return ResNet9(n_classes, settings.dropout, width=_WIDTHS[name])
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
