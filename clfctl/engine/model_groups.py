"""The param groups that settings make of a model, found out without its weights: for a preview of their rates."""

from dataclasses import replace

from clfctl.engine.as_it_was import as_it_was
from clfctl.engine.param_groups import rules_for
from clfctl.models.factory import build_model
from clfctl.models.sources import source_of
from clfctl.planning.preview.asked import Asked
from clfctl.planning.preview.parameter import Group, joined
from clfctl.planning.start import taken_over
from clfctl.settings.groups import TrainSettings

# How many classes there are changes the shape of the classifier alone.
N_CLASSES = 10


def with_groups(asked: Asked) -> Asked:
    """Return what a preview is asked for with the param groups of the model. Raises what building it raises."""
    return replace(asked, groups=groups_without_weights(taken_over(asked.resolved).settings))


def groups_without_weights(settings: TrainSettings) -> tuple[Group, ...]:
    """Return the param groups of a training, as far as their rates differ."""
    bare = settings.model_copy(update={"pretrained": False, "weights": None, "start_from": None})
    with as_it_was(settings.device):
        model = build_model(bare, N_CLASSES, settings.image_size).model
        rules = rules_for(model, settings, source_of(settings.model))
    return joined(Group(rule.name, rule.rate_scale, rule.starts_at) for rule in rules)
