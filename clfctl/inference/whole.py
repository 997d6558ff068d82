"""An ensemble as one module of torch: pixels in each of its views go in, probabilities come out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from clfctl.data.pixels.transform import Preprocess
from clfctl.inference.combining import FLOOR, TIE, join_classes
from clfctl.inference.export import FromPixels
from clfctl.inference.trained import TrainedModel
from clfctl.models.card import Card
from clfctl.runs.ensemble import Ensemble
from clfctl.settings.ensembles import Rule

# By so much the likeliest class of a member must lead for its vote to be the same whatever computes it.
_LEAD = 1e-3


class Whole(nn.Module):
    """Members that answer as one, as `inference.combining` has it in NumPy.

    `view_of` is the input of each member, `columns` the joined classes in its answer, None where these are all, so.
    """

    def __init__(
        self,
        members: Sequence[FromPixels],
        view_of: Sequence[int],
        columns: Sequence[list[int] | None],
        rule: Rule,
        weights: Sequence[float],
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.view_of, self.columns = tuple(view_of), tuple(columns)
        self.rule, self.weights = rule, tuple(weights)

    def forward(self, *pixels: torch.Tensor) -> torch.Tensor:
        """Return (B, n_classes) float32, each row of sum 1, of images (B, H, W, 3) uint8 in each of the views."""
        return combined(self.rule, self.answers(pixels), self.weights)

    def answers(self, pixels: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return what each member says of the joined classes, (B, n_classes) float32."""
        answers = []
        for member, view, columns in zip(self.members, self.view_of, self.columns, strict=True):
            found: torch.Tensor = member(pixels[view])
            answers.append(found if columns is None else _normalised(found[:, columns] + FLOOR))
        return answers

    @torch.inference_mode()
    def is_clear(self, pixels: Sequence[torch.Tensor]) -> list[bool]:
        """Return of which images (B) the answer does not jump at a change of rounding: of votes, those of no tie."""
        if self.rule != "vote":
            return [True] * len(pixels[0])
        first_two = [each.topk(2, dim=1).values for each in self.answers(pixels)]
        leads = torch.stack([each[:, 0] - each[:, 1] for each in first_two])
        clear: list[bool] = (leads > _LEAD).all(0).tolist()
        return clear


def combined(rule: Rule, answers: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Return what `combining.combine` does, of tensors (B, C) float32."""
    n = len(answers)
    match rule:
        case "mean":
            return _normalised(_weighted(answers, [1 / n] * n))
        case "weighted":
            return _normalised(_weighted(answers, weights))
        case "geometric":
            return torch.softmax(_weighted([each.clamp(min=FLOOR).log() for each in answers], [1 / n] * n), 1)
        case "vote":
            votes = [functional.one_hot(each.argmax(1), each.shape[1]).float() for each in answers]
            return _normalised(_weighted(votes, [1 / n] * n) + TIE * _weighted(answers, [1 / n] * n))


def _weighted(answers: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    total = answers[0] * weights[0]
    for each, weight in zip(answers[1:], weights[1:], strict=True):
        total = total + each * weight
    return total


def _normalised(rows: torch.Tensor) -> torch.Tensor:
    return rows / rows.sum(1, keepdim=True)


@dataclass(frozen=True)
class BuiltWhole:
    """An ensemble's module on the CPU, in evaluation mode, and its card: one view for each way its members see."""

    module: Whole
    info: Card


def build_whole(ensemble: Ensemble, trained: Sequence[TrainedModel]) -> BuiltWhole:
    """Return the module of an ensemble. Raises UsageError if its members have no classes in common."""
    joined = join_classes([each.info.classes for each in trained], [each.name for each in ensemble.members])
    views: list[Preprocess] = []
    view_of = []
    for each in trained:
        seen = [view.pixel_key for view in views]
        own = each.info.preprocess
        if own.pixel_key not in seen:
            views.append(own)
            seen.append(own.pixel_key)
        view_of.append(seen.index(own.pixel_key))
    members = [FromPixels(each.model.to("cpu").float(), each.info.preprocess) for each in trained]
    columns = [
        None if joined.is_whole(place, len(each.info.classes)) else list(joined.columns[place])
        for place, each in enumerate(trained)
    ]
    whole = Whole(members, view_of, columns, ensemble.rule, ensemble.weights)
    name = f"{ensemble.rule}({', '.join(each.info.name for each in trained)})"
    info = Card(name, joined.classes, views[0], ensemble.made_of(), tuple(views[1:]))
    return BuiltWhole(whole.eval(), info)
