"""The loop: losses of a bare PyTorch loop, the learning rate of the schedule, stopping, resuming bit for bit."""

import math
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from clfctl.data.sources.base import Part
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts, make_trainer, rebuild_parts
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.trainer import Trainer
from clfctl.engine.watching import Steps
from clfctl.errors import Interrupted, NonFiniteLossError, UsageError
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.models.custom_cnn import CustomCNN
from clfctl.planning.plan import make_plan
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder, create_run
from clfctl.runs.history import EpochResult
from clfctl.schedules import Mode, Warmup, sample_curve
from clfctl.schedules.stopping import fired_after
from clfctl.settings.groups import TrainSettings
from tests.engine.matrix import SCHEDULES

N_TRAIN, N_VAL, BATCH = 200, 64, 32
N_BATCHES = 7  # the last of 8 images


def settings_of(**values: object) -> TrainSettings:
    quick = {"image_size": 32, "augment": "none", "batch_size": BATCH, "epochs": 3, "lr": 1e-3}
    return TrainSettings.model_validate(quick | values)


def small_trainer(settings: TrainSettings) -> Trainer:
    """A trainer of three batches an epoch and of a model that costs nothing: what counts is the learning rate."""
    whole = open_data(settings, settings.seed)
    parts = build_parts(settings, replace(whole, train=cut(whole.train, 80), val=cut(whole.val, 32)))
    model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 10))
    parts = replace(parts, built=replace(parts.built, model=model), optimizer=build_optimizer(settings, model))
    return make_trainer(parts, create_run(Path("runs"), "{n}", ""))


def trainer_of(settings: TrainSettings, run: RunFolder | None = None) -> Trainer:
    """A trainer on a part of the digits; on a run that has a checkpoint it goes on from there."""
    whole = open_data(settings, settings.seed)
    data = replace(whole, train=cut(whole.train, N_TRAIN), val=cut(whole.val, N_VAL))
    if run and run.last.is_file():
        checkpoint = load_checkpoint(run.last)
        return make_trainer(rebuild_parts(settings, data, checkpoint), run, checkpoint)
    run = run or create_run(Path("runs"), "{n}", "")
    return make_trainer(build_parts(settings, data), run)


def cut(part: Part, n: int) -> Part:
    return Part(part.source, part.indices[:n])


def without_times(results: list[EpochResult]) -> list[EpochResult]:
    return [replace(result, images_per_s=0.0, time_s=0.0) for result in results]


@pytest.mark.slow
def test_losses_are_those_of_a_bare_loop() -> None:
    settings = settings_of(epochs=2, label_smoothing=0.1, clip_grad=0.5, weight_decay=0.01, optimizer="adamw")
    trainer = trainer_of(settings)
    model = CustomCNN(10).to(memory_format=torch.channels_last)
    model.load_state_dict(trainer.state.model.state_dict())
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    expected = []
    for epoch in range(2):
        total = 0.0
        for batch in trainer.train_loader.batches(epoch):
            loss = functional.cross_entropy(model(trainer.normalize(batch.images)), batch.labels, label_smoothing=0.1)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item() * len(batch.labels)
        expected.append(total / N_TRAIN)
    assert [result.metrics["train_loss"] for result in trainer.epochs()] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scheduler", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 1, 2])
def test_every_step_has_the_learning_rate_of_the_preview(scheduler: str, warmup: int) -> None:
    settings = settings_of(scheduler=scheduler, warmup=warmup, epochs=3, **SCHEDULES[scheduler])
    trainer = small_trainer(settings)
    seen: list[float] = []
    trainer.state.optimizer.register_step_pre_hook(lambda made, *_: seen.append(made.param_groups[0]["lr"]))
    results = list(trainer.epochs())
    n_batches = trainer.train_loader.n_batches
    # What lr-preview does, knowing nothing of the trainer but its batches and the metrics that it had.
    plan = make_plan(settings, n_batches)
    metrics = tuple(result.metrics["val_loss"] for result in results)
    assert seen == [lr for _, lr in sample_curve(plan.schedule, 1e-3, 3, metrics, n_batches)][:-1]
    assert [(r.lr_start, r.lr) for r in results] == [
        (seen[n_batches * e], seen[n_batches * (e + 1) - 1]) for e in range(3)
    ]
    if warmup:
        assert seen[0] == 0
        assert isinstance(plan.schedule, Warmup)
        top = plan.schedule.inner.lr(1e-3, 0.0)
        # A curve that begins at 0 itself leaves a warmup nothing to rise to.
        assert len(set(seen[: n_batches * warmup])) == (n_batches * warmup if top else 1)
        assert seen[: n_batches * warmup] == pytest.approx(
            [top * i / n_batches / warmup for i in range(n_batches * warmup)]
        )


def test_param_groups_keep_their_ratio_to_the_base() -> None:
    settings = settings_of(scheduler="cosine", eta_min=1e-4, warmup=1, epochs=3, weight_decay=0.1)
    trainer = small_trainer(settings)
    trainer.state.optimizer.param_groups[1]["initial_lr"] = 2.5e-4
    seen: list[tuple[float, float]] = []
    trainer.state.optimizer.register_step_pre_hook(
        lambda made, *_: seen.append((made.param_groups[0]["lr"], made.param_groups[1]["lr"]))
    )
    assert list(trainer.epochs())
    assert [second for _, second in seen] == pytest.approx([first / 4 for first, _ in seen])


def test_cooldown_anneals_after_early_stopping_and_then_stops() -> None:
    settings = settings_of(
        scheduler="constant", epochs=9, early_stopping=2, cooldown=2, lr=1e-12, monitor="train_loss", clip_grad=1e-9
    )
    trainer = small_trainer(settings)
    results = list(trainer.epochs())
    fired = fired_after(trainer.metrics(), 2, "min")
    assert fired is not None
    assert len(results) == fired + 2
    assert results[fired - 1].lr == results[fired].lr_start == 1e-12
    assert results[fired].lr > results[fired + 1].lr > 0
    assert results[fired + 1].lr < 0.3e-12


@pytest.mark.slow
def test_best_checkpoint_is_that_of_the_best_epoch() -> None:
    trainer = trainer_of(settings_of(monitor="val_top1"))
    weights = {}
    results = []
    for result in trainer.epochs():
        results.append(result)
        weights[result.epoch] = trainer.state.model.state_dict()["head.bias"].clone()
    best = max(results, key=lambda each: (each.metrics["val_top1"], -each.metrics["val_loss"], -each.epoch))
    saved = load_checkpoint(trainer.saver.run.best)
    assert torch.equal(saved.tensors["model.head.bias"], weights[best.epoch])
    assert [r.epoch for r in results if r.is_best][-1] == best.epoch


@pytest.mark.parametrize("monitor", METRICS)
def test_best_and_plateau_go_by_the_monitored_metric_in_its_own_direction(monitor: str) -> None:
    plateau = {"scheduler": "plateau", "patience": 0, "threshold": 1e9, "threshold_mode": "abs"}
    trainer = small_trainer(settings_of(monitor=monitor, keep_best="monitor", epochs=4, lr=0.5, **plateau))
    results = list(trainer.epochs())
    values = [result.metrics[monitor] for result in results]
    best = (min if METRICS[monitor].mode == "min" else max)(values)
    assert [result.is_best for result in results].index(True) == 0
    assert [i for i, result in enumerate(results) if result.is_best][-1] == values.index(best)
    # Nothing but the first epoch improves by so much.
    assert [result.lr for result in results] == [0.5, 0.5, 0.25, 0.125]


@pytest.mark.slow
def test_steps_are_handed_over_once_with_their_losses_and_rates() -> None:
    trainer = trainer_of(settings_of(epochs=2, scheduler="cosine", lr_every="batch"))
    handed: list[Steps] = []
    trainer.on_steps = handed.append
    rates: list[float] = []
    trainer.state.optimizer.register_step_pre_hook(lambda made, *_: rates.append(made.param_groups[0]["lr"]))
    results = list(trainer.epochs())
    assert [steps.first for steps in handed] == [0, N_BATCHES]
    assert [lr for steps in handed for lr in steps.lrs] == rates
    sizes = [BATCH] * 6 + [N_TRAIN - 6 * BATCH]
    for steps, result in zip(handed, results, strict=True):
        mean = sum(n * loss for n, loss in zip(sizes, steps.losses, strict=True)) / N_TRAIN
        assert mean == pytest.approx(result.metrics["train_loss"])


@pytest.mark.slow
def test_steps_go_on_where_the_run_was_stopped() -> None:
    settings = settings_of(epochs=1)
    stopped = trainer_of(settings)
    handed: list[Steps] = []
    stopped.on_steps = handed.append
    stopped.state.optimizer.register_step_post_hook(
        lambda *_: setattr(stopped.signals, "received", signal.SIGTERM if len(stopped._recorder.lrs) == 3 else None)
    )
    with pytest.raises(Interrupted):
        list(stopped.epochs())
    resumed = trainer_of(settings, stopped.saver.run)
    resumed.on_steps = handed.append
    list(resumed.epochs())
    assert [(steps.first, len(steps.losses), len(steps.lrs)) for steps in handed] == [(0, 3, 3), (3, 4, 4)]


@pytest.mark.slow
def test_early_stopping_ends_the_iterator_and_stays_ended() -> None:
    settings = settings_of(epochs=9, early_stopping=2, lr=1e-12, monitor="train_loss", clip_grad=1e-9)
    trainer = trainer_of(settings)
    results = list(trainer.epochs())
    assert len(results) < 9
    assert trainer.stopped_early()
    assert list(trainer_of(settings, trainer.saver.run).epochs()) == []


metrics_lists = st.lists(st.floats(0, 3) | st.just(math.nan), max_size=20)


@given(metrics_lists, st.integers(1, 5), st.sampled_from(["min", "max"]))
def test_early_stopping_waits_for_patience_epochs_after_the_best(
    metrics: list[float], patience: int, mode: Mode
) -> None:
    best, waited, fired = None, 0, None
    for n, metric in enumerate(metrics, 1):
        is_better = not math.isnan(metric) and (best is None or (metric < best if mode == "min" else metric > best))
        best, waited = (metric, 0) if is_better else (best, waited + 1)
        fired = n if fired is None and waited >= patience else fired
    assert fired_after(metrics, patience, mode) == fired
    assert fired_after(metrics, 0, mode) is None


@pytest.mark.slow
def test_non_finite_loss_stops_and_keeps_the_last_good_checkpoint() -> None:
    trainer = trainer_of(settings_of(epochs=5, warmup=1, optimizer="sgd", save_every=1))
    epochs = trainer.epochs()
    next(epochs)
    good = load_checkpoint(trainer.saver.run.last)
    for group in trainer.state.optimizer.param_groups:
        group["initial_lr"] = 1e30
    trainer.plan = replace(trainer.plan, base_lr=1e30)
    with pytest.raises(NonFiniteLossError) as caught:
        list(epochs)
    message = str(caught.value)
    assert "epoch 2, batch " in message
    assert f"of {N_BATCHES}, learning rate 1e+30" in message
    assert "`lr=`" in caught.value.hint
    kept = load_checkpoint(trainer.saver.run.last)
    assert kept.meta == good.meta
    assert all(torch.isfinite(tensor.float()).all() for tensor in kept.tensors.values())


@pytest.mark.slow
def test_save_every_saves_the_last_epoch_too() -> None:
    trainer = trainer_of(settings_of(epochs=3, save_every=2))
    saved = []
    for _ in trainer.epochs():
        path = trainer.saver.run.last
        saved.append(load_checkpoint(path).meta["cursor"]["epoch"] if path.is_file() else 0)
    assert saved == [0, 2, 3]


@pytest.mark.slow
def test_save_every_batches_saves_inside_an_epoch() -> None:
    trainer = trainer_of(settings_of(epochs=1, save_every_batches=3))
    seen: list[tuple[int, int]] = []

    def look(*_: object) -> None:
        path = trainer.saver.run.last
        if path.is_file():
            cursor = load_checkpoint(path).meta["cursor"]
            seen.append((cursor["epoch"], cursor["batch"]))

    trainer.state.optimizer.register_step_pre_hook(look)
    list(trainer.epochs())
    look()
    assert seen == [(0, 3), (0, 3), (0, 3), (0, 6), (1, 0)]
    diverging = trainer_of(settings_of(epochs=1, save_every_batches=1, optimizer="sgd", lr=1e30))
    with pytest.raises(NonFiniteLossError):
        list(diverging.epochs())
    saved = load_checkpoint(diverging.saver.run.last)
    assert torch.isfinite(saved.tensors["losses"]).all()


@pytest.mark.slow
def test_gradient_clipping_bounds_the_norm() -> None:
    trainer = trainer_of(settings_of(epochs=1, clip_grad=0.01))
    norms: list[float] = []

    def note(made: torch.optim.Optimizer, *_: object) -> None:
        grads = [p.grad.norm() for group in made.param_groups for p in group["params"]]
        norms.append(float(torch.stack(grads).norm()))

    trainer.state.optimizer.register_step_pre_hook(note)
    list(trainer.epochs())
    assert max(norms) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.slow
def test_bf16_trains_with_float32_weights() -> None:
    trainer = trainer_of(settings_of(epochs=1, amp="bf16"))
    (result,) = trainer.epochs()
    assert math.isfinite(result.metrics["train_loss"])
    assert {p.dtype for p in trainer.state.model.parameters()} == {torch.float32}
    exact = next(trainer_of(settings_of(epochs=1)).epochs())
    assert result.metrics["train_loss"] != exact.metrics["train_loss"]
    assert result.metrics["train_loss"] == pytest.approx(exact.metrics["train_loss"], rel=0.05)


@pytest.mark.slow
def test_training_without_validation_images() -> None:
    trainer = trainer_of(settings_of(epochs=1, val_split=0, monitor="train_loss"))
    (result,) = trainer.epochs()
    assert math.isnan(result.metrics["val_loss"])
    assert result.is_best


SINGLE = [("test_resnet", 32, True), ("test_resnet", 64, False), ("custom", 32, False), ("test_vit", 160, False)]


@pytest.mark.parametrize(("model", "size", "is_refused"), SINGLE)
def test_one_image_a_step_is_refused_where_there_is_nothing_to_normalize(
    model: str, size: int, is_refused: bool
) -> None:
    settings = settings_of(model=model, pretrained=False, image_size=size, batch_size=1)
    data = open_data(settings, settings.seed)
    if not is_refused:
        assert build_parts(settings, data)
        return
    with pytest.raises(UsageError, match=f"one image a step is too few for {model} at {size} pixels") as caught:
        build_parts(settings, data)
    assert caught.value.field == "batch_size"
    assert "`batch_size=2`" in caught.value.hint
