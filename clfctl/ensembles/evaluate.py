"""How good several models are as one, beside each of them, and how sure that is."""

from dataclasses import dataclass, replace

import numpy as np

from clfctl.comparing.pairs import pairs_of
from clfctl.data.onlookers import Onlookers
from clfctl.ensembles.fitting import CrossFit, cross_fit
from clfctl.ensembles.members import Answered, ask_members
from clfctl.evaluation.metrics import compute_metrics
from clfctl.evaluation.outputs import Floats, Outputs
from clfctl.evaluation.predictions import readable
from clfctl.evaluation.record import Evaluation, Fitted, Member, Subject
from clfctl.inference.combining import combine, losses_of
from clfctl.inference.evaluate import Measured, mistakes_in
from clfctl.runs.ensemble import Ensemble, about_idle
from clfctl.settings.ensembles import IN_WORDS
from clfctl.settings.groups import EvalSettings


@dataclass(frozen=True)
class Whole:
    """The answers (N, C) of an ensemble, its `weights` where it has some, how they were `fitted`, and sentences."""

    answers: Floats
    weights: tuple[float, ...] = ()
    fitted: Fitted | None = None
    notes: tuple[str, ...] = ()


def evaluate_ensemble(ensemble: Ensemble, options: EvalSettings, to: Onlookers) -> Measured:
    """Measure an ensemble and each of its members on the images that all of them hold out.

    What is measured besides, its trained model, is the first member. Weights that the ensemble does not have are fitted
    on the validation images; see `answers_of`. Raises ClfctlError.
    """
    answered = ask_members(ensemble, options, to)
    whole = answers_of(ensemble, answered, options, to)
    labels, classes = answered.labels, answered.joined.classes
    losses = losses_of(whole.answers, labels)
    outputs = Outputs(answered.outputs[0].indices, labels, whole.answers, losses)
    names = [each.name for each in ensemble.members]
    notes = *answered.notes, *whole.notes, *about_idle(dict(zip(names, whole.weights, strict=False)))
    for note in notes:
        to.tell(note)
    first = answered.measured[0]
    absent = tuple(name for place, name in enumerate(classes) if place not in set(labels.tolist()))
    evaluation = Evaluation(
        subject=_subject(ensemble, answered, first.evaluation.subject),
        metrics=compute_metrics(outputs, classes),
        unknown=first.evaluation.unknown,
        absent=absent,
        bad=first.evaluation.bad,
        notes=tuple(map(readable, dict.fromkeys((*first.evaluation.notes, *notes)))),
        mistakes=mistakes_in(outputs, first.chosen, classes),
        members=_members(ensemble, answered, outputs, whole.weights),
        fitted=whole.fitted,
    )
    cards = [each.trained.info for each in answered.measured]
    name = f"{ensemble.rule}({', '.join(card.name for card in cards)})"
    trained = replace(first.trained, info=replace(cards[0], name=name, classes=classes))
    others = tuple(each.trained for each in answered.measured[1:])
    return Measured(evaluation, trained, first.chosen, outputs, others)


def answers_of(ensemble: Ensemble, answered: Answered, options: EvalSettings, to: Onlookers) -> Whole:
    """Return what the whole says of the images.

    The weights of `weighted` are fitted on the validation images that all members hold out. Where these are the images
    that are measured, each is answered with weights that were fitted without it, five folds; elsewhere with those that
    were fitted on all of them, or that the ensemble keeps.
    """
    answers = [each.probabilities for each in answered.outputs]
    if ensemble.rule != "weighted":
        return Whole(combine(ensemble.rule, answers))
    if options.split == "val" and any(each.chosen.is_of_run for each in answered.measured):
        fit = fit_on(answered)
        weights = ensemble.weights or fit.fitted.weights
        return Whole(fit.out_of_fold, weights, fit.fitted, (_about_folds(ensemble, weights, fit.fitted),))
    if ensemble.weights:
        note = (
            f"The weights {_listed(ensemble, ensemble.weights)} are those that the ensemble keeps, {_kept(ensemble)}."
        )
        return Whole(combine("weighted", answers, ensemble.weights), ensemble.weights, notes=(note,))
    own = options.model_copy(update={"split": "val", "data": None})
    fitted = fit_on(ask_members(ensemble, own, to)).fitted
    where = f"{fitted.n_images:,} validation images of {fitted.data}, none of those that are measured here"
    note = f"The weights {_listed(ensemble, fitted.weights)} were fitted on {where}{_beside_equal(fitted)}."
    return Whole(combine("weighted", answers, fitted.weights), fitted.weights, fitted, (note,))


def fit_on(answered: Answered) -> CrossFit:
    """Return weights fitted on the images that the members hold out, and what they are worth. Raises UsageError."""
    chosen = answered.measured[0].chosen
    answers = [each.probabilities for each in answered.outputs]
    return cross_fit(answers, answered.labels, answered.groups, readable(chosen.data), chosen.split)


def _about_folds(ensemble: Ensemble, weights: tuple[float, ...], fitted: Fitted) -> str:
    whose = "The ensemble keeps the weights" if ensemble.weights else "Fitted on all of these images the weights are"
    how = f"each image was answered with weights fitted on the other {fitted.n_folds - 1} of {fitted.n_folds} folds"
    return f"{whose} {_listed(ensemble, weights)}; here {how}{_beside_equal(fitted)}."


def _beside_equal(fitted: Fitted) -> str:
    return f" (log loss of images not fitted on: {fitted.loss:.4f}, with equal weights {fitted.equal_loss:.4f})"


def _kept(ensemble: Ensemble) -> str:
    fitted = ensemble.fitted
    if not {"n_images", "data"} <= fitted.keys():
        return "of images that it does not name"
    return f"fitted on {fitted['n_images']:,} validation images of {fitted['data']}"


def _listed(ensemble: Ensemble, weights: tuple[float, ...]) -> str:
    return ", ".join(f"{weight:.3f} ({each.name})" for weight, each in zip(weights, ensemble.members, strict=True))


def _subject(ensemble: Ensemble, answered: Answered, first: Subject) -> Subject:
    title = str(ensemble.folder.path) if ensemble.folder else " + ".join(each.name for each in ensemble.members)
    models = " and ".join(each.trained.info.name for each in answered.measured)
    checkpoints = ", ".join(each.evaluation.subject.checkpoint for each in answered.measured)
    return replace(first, run=readable(title), checkpoint=checkpoints, model=models, rule=IN_WORDS[ensemble.rule])


def _members(ensemble: Ensemble, answered: Answered, whole: Outputs, weights: tuple[float, ...]) -> tuple[Member, ...]:
    """Return each member beside the whole, by the paired test of both on the same images."""
    right = np.array([each.predicted == each.labels for each in (whole, *answered.outputs)])
    found, shares = [], weights or ensemble.shares
    pairs = pairs_of(right, firsts=1)
    for place, (each, metrics, pair) in enumerate(zip(ensemble.members, answered.metrics, pairs, strict=True)):
        subject = answered.measured[place].evaluation.subject
        found.append(
            Member(
                readable(each.name),
                subject.run,
                subject.checkpoint,
                subject.epoch,
                subject.model,
                subject.image_size,
                shares[place],
                metrics,
                pair.only_first,
                pair.only_second,
                pair.p,
                pair.p_holm,
                pair.interval,
            )
        )
    return tuple(found)
