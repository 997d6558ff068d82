"""Schedules in the words of other libraries: what they are in ours, what is said of the rest, what is refused."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from clfctl.errors import ClfctlError, UsageError
from clfctl.planning.foreign import is_foreign
from clfctl.planning.foreign.translate import translate
from clfctl.planning.plan import make_plan
from clfctl.settings.groups import PlanSettings

FOREIGN = [
    "hf: cosine", "hf:cosine", " keras : CosineDecay(1, 2)", "ultralytics: lr0=1", "timm: --sched step", "timm:cosine",
]  # fmt: skip
OURS = [
    "cosine",
    "timm:CosineLRScheduler(t_initial=3)",
    "timm: TanhLRScheduler(t_initial=9):9 > step",
    "runs/x",
    "a.b:C",
]


@pytest.mark.parametrize("text", [*FOREIGN, *OURS])
def test_what_is_foreign(text: str) -> None:
    assert is_foreign(text) == (text in FOREIGN)


# (text, steps in an epoch, settings)
MEANINGS: list[tuple[str, int | None, dict[str, Any]]] = [
    ("hf: linear --warmup_steps 500", None, {"scheduler": "linear", "epochs": 3, "lr": 5e-5, "warmup": "500b"}),
    ("hf: lr_scheduler_type='cosine', learning_rate=1e-4, num_train_epochs=5, warmup_ratio=0.1", None,
     {"scheduler": "cosine(every=batch)", "epochs": 5, "lr": 1e-4, "warmup": "10%"}),
    ("hf: cosine num_warmup_steps=10 num_training_steps=100", 20,
     {"scheduler": "cosine(every=batch)", "epochs": 5, "lr": 5e-5, "warmup": "10b"}),
    ("hf: SchedulerType.CONSTANT", None, {"scheduler": "constant", "epochs": 3, "lr": 5e-5}),
    ("hf: cosine_with_min_lr --lr_scheduler_kwargs {num_cycles: 0.5, min_lr: 1e-6}", None,
     {"scheduler": "cosine(eta_min=1e-06, every=batch)", "epochs": 3, "lr": 5e-5}),
    ("hf: reduce_lr_on_plateau patience=2 min_lr=1e-6", None,
     {"scheduler": "plateau(patience=2, factor=0.1, min_lr=1e-06)", "epochs": 3, "lr": 5e-5}),
    ("timm: none --epochs 10 --lr 0.1", None, {"scheduler": "constant", "epochs": 10, "lr": 0.1}),
    ("timm: --sched=plateau --lr 0.1 --epochs 10 --warmup-epochs 0 --eval-metric loss", None,
     {"scheduler": "plateau(patience=10, factor=0.1)", "epochs": 10, "lr": 0.1, "monitor": "val_loss"}),
    ("keras: ExponentialDecay(0.1, decay_steps=200, decay_rate=0.9, staircase=True)", 100,
     {"scheduler": "step(step_size=2, gamma=0.9)", "epochs": 25, "lr": 0.1}),
    ("keras: keras.optimizers.schedules.CosineDecay(1e-1, 1000, name='x')", 100,
     {"scheduler": "cosine(every=batch)", "epochs": 10, "lr": 0.1}),
    ("ultralytics: epochs=1 lr0=0.1 optimizer=SGD", None,
     {"scheduler": "linear(end=0.01, every=epoch)", "epochs": 1, "lr": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "n", "settings"), MEANINGS)
def test_meaning(text: str, n: int | None, settings: dict[str, Any]) -> None:
    assert dict(translate(text, n).settings) == settings
    make_plan(PlanSettings.model_validate(settings), n or 10)


NOTES: list[tuple[str, int | None, str]] = [
    ("timm: --sched step --model resnet50 --opt-eps 1e-8 --lr 1", None, "learning rate is known of it: model, opt_eps"),
    ("timm: /data/images --sched step --lr 1", None, "known of it: /data/images"),
    ("hf: constant --warmup_steps 10", None, "constant of Hugging Face has no warmup; constant_with_warmup has"),
    ("hf: linear --warmup_ratio 0.1", None, "Hugging Face rounds a share of warmup up to a whole step"),
    ("hf: reduce_lr_on_plateau --warmup_steps 10", None, "Hugging Face leaves a warmup before a plateau out"),
    ("ultralytics: epochs=10", 2, "until 8.4.102 Ultralytics made a warmup of 100 batches of these 6, 50 epochs"),
    ("ultralytics: epochs=10", None, "the rate of biases"),
    ("ultralytics: yolo detect train x 0.1 data=coco8.yaml", None, "known of it: x, 0.1, data"),
    ("ultralytics: epochs=10", None, "with its default optimizer, auto, Ultralytics chooses a rate itself"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "n", "note"), NOTES)
def test_what_is_not_translated_is_named(text: str, n: int | None, note: str) -> None:
    assert [each for each in translate(text, n).notes if note in each]


REFUSED: list[tuple[str, int | None, str]] = [
    ("timm: --sched cosin", None, "timm has no schedule 'cosin'"),
    ("timm: --warmup-epoch 3", None, "timm has no option 'warmup_epoch'"),
    ("timm: --epochs 3.5", None, "epochs of timm is '3.5'; it must be a whole number"),
    ("timm: --lr nan", None, "lr of timm is 'nan'; it must be a number"),
    ("timm: --lr", None, "lr of timm is stated without a value; it must be a number"),
    ("timm: --lr 1 --lr 2", None, "lr of timm is stated twice"),
    ("timm: --lr -1", None, "rates and epochs are above 0"),
    ("timm: --sched 'cosine", None, "the options of timm cannot be read: no closing quotation"),
    (
        "timm: --sched wsd --sched-on-updates",
        None,
        "it sets the rate at every update, and the number of steps in an epoch",
    ),
    ("timm: --sched plateau --sched-on-updates", 9, "timm's plateau goes by epochs"),
    ("timm: --sched rsqrt --warmup-epochs 0", None, "rsqrt needs a warmup"),
    ("timm: --sched wsd --epochs 10 --decay-epochs 20", None, "a fall of 20 steps does not fit into 5"),
    ("timm: --sched plateau --eval-metric f1", None, "eval-metric is 'f1', and metrics here are others"),
    ("hf: cosine_with_restart", None, "Hugging Face has no schedule 'cosine_with_restart'"),
    ("timm: cosin --lr 1", None, "timm has no schedule 'cosin'"),
    ("hf: --lr_scheduler_type cosine_with_restart", None, "Hugging Face has no schedule 'cosine_with_restart'"),
    ("hf: cosine num_cycle=3", None, "hf has no option 'num_cycle'"),
    ("hf: linear num_cycles=3", None, "linear of Hugging Face does not take num_cycles"),
    ("hf: cosine --max_steps 101", 20, "101 steps are not whole epochs of 20, and trainings here are"),
    ("hf: cosine --max_steps 101", None, "its length is 101 steps, and the number of steps in an epoch is not known"),
    ("hf: cosine --num_train_epochs 2.5", None, "2.5 epochs are not whole ones"),
    ("hf: cosine --warmup_ratio 1.5", None, "a warmup of 1.5 cannot be"),
    ("hf: cosine_with_min_lr", None, "it needs one of min_lr and min_lr_rate"),
    ("hf: cosine_with_restarts num_cycles=2.5", None, "num_cycles is 2.5, and cosine-restarts has whole cycles"),
    ("hf: polynomial lr_end=1", None, "lr_end is 1 and the learning rate is 5e-05"),
    ("hf: warmup_stable_decay", 20, "it needs num_decay_steps"),
    ("hf: warmup_stable_decay num_decay_steps=90", 20, "num_decay_steps is 90, and 60 steps are left"),
    ("hf: warmup_stable_decay num_decay_steps=9 --warmup_steps 5 warmup_type=1-sqrt", 20, "warmup_type is '1-sqrt'"),
    ("keras: CosineDecay(0.1, 1000)", None, "Keras counts in steps, and the number of steps in an epoch is not known"),
    ("keras: CosineDecay(0.1)", 9, "CosineDecay of Keras needs decay_steps"),
    ("keras: CosineDecay(0.1, decay=3)", 9, "CosineDecay of Keras does not take 'decay'"),
    ("keras: CosineDecay(0.1, 3, initial_learning_rate=1)", 9, "is given 'initial_learning_rate' twice"),
    ("keras: Cosine(0.1)", 9, "Keras has no schedule 'Cosine'"),
    ("keras: CosineDecay(__import__('os').getcwd())", 9, "is not a schedule of Keras"),
    ("keras: 3 +", 9, "is not a schedule of Keras"),
    ("keras: CosineDecay(0.1, -3)", 9, "decay_steps of CosineDecay is -3; it must be a number greater than 0"),
    ("keras: InverseTimeDecay(0.1, 10, 0.5, staircase=True)", 9, "no kind here has its stairs"),
    ("keras: CosineDecayRestarts(0.1, 10, m_mul=0.5, alpha=0.1)", 9, "the lower cycles of Keras end higher than alpha"),
    ("keras: PiecewiseConstantDecay([5, 3], [1, 2, 3])", 9, "needs rising boundaries, and one value more"),
    ("keras: ReduceLROnPlateau(monitor='loss')", 9, "monitor is 'loss', and metrics here are others"),
    ("hf: cosine --lr_scheduler_kwargs {bad", None, "lr_scheduler_kwargs of hf is '{bad', where 'bad' says nothing"),
    ("ultralytics: yolo detect train lr0 0.1", None, "lr0 of ultralytics is stated without a value"),
    ("ultralytics: lr0=0", None, "lr0 and epochs are above 0"),
    ("ultralytics: warmup_epochs=1.5", None, "a warmup of 1.5 epochs is rounded to whole batches, and the number of"),
]


@pytest.mark.parametrize(("text", "n", "message"), REFUSED)
def test_what_cannot_be_exact_is_one_sentence(text: str, n: int | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        translate(text, n)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_what_is_stated_twice_is_refused() -> None:
    assert translate("timm: --epochs 10", given={"lr": 0.3}).settings["lr"] == 0.3
    with pytest.raises(UsageError, match=r"20 is stated, and 'timm: --epochs 10' says 10"):
        translate("timm: --epochs 10", given={"epochs": 20})


def test_the_preview_prints_our_command(cli: Callable[..., Result]) -> None:
    text = "timm: --sched cosine --epochs 6 --warmup-epochs 2 --min-lr 1e-5 --lr 0.1 --model x"
    result = cli("lr-preview", text, "step", "--format", "csv", "--lr", "0.1")
    assert result.exit_code == 0, result.stderr
    told = result.stderr.splitlines()
    command = next(each for each in told if each.startswith("Ours: "))
    expression = "linear(start=0.0001, end=1, every=epoch):2 >> cosine(eta_min=1e-05)@2"
    assert command == f"Ours: clfctl train --scheduler '{expression}' --epochs 6 --lr 0.1"
    assert "Note: left out, as nothing about the learning rate is known of it: model." in told
    shown = [line.rpartition(text)[2] for line in result.stdout.splitlines() if line.startswith(text)]
    again = cli("lr-preview", expression, "--epochs", "6", "--lr", "0.1", "--format", "csv").stdout.splitlines()[1:]
    assert [line.split(",")[-2:] for line in shown] == [line.split(",")[-2:] for line in again]


def test_weaker_sources_do_not_change_it(cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFCTL_WARMUP", "3")
    monkeypatch.setenv("CLFCTL_ETA_MIN", "1e-3")
    result = cli("lr-preview", "timm: none --epochs 2 --lr 0.1", "--format", "csv")
    assert [line.split(",")[-2:] for line in result.stdout.splitlines()[1:]] == [["0.1", "0.1"]] * 2
    refused = cli("lr-preview", "timm: none --epochs 2 --lr 0.1", "--warmup", "2")
    assert (refused.exit_code, refused.stderr.splitlines()[0]) == (
        2, "Error: --warmup: 'timm: none --epochs 2 --lr 0.1' says the whole curve"
    )  # fmt: skip


def test_train_says_how_to_translate(cli: Callable[..., Result]) -> None:
    result = cli("train", "--scheduler", "hf: cosine --warmup_steps 3", "--dry-run")
    assert result.exit_code == 2
    assert "clfctl lr-preview 'hf: cosine --warmup_steps 3' says it in ours" in result.stderr


@pytest.mark.parametrize("library", ["hf", "timm", "keras", "ultralytics"])
@pytest.mark.parametrize("text", ["", "x", "=", "--", "-", "(", "lr0=", "[]", "\n", "'", "{}", "lr=1e999", "é=ü"])
def test_odd_words_are_a_translation_or_a_sentence(library: str, text: str) -> None:
    with contextlib.suppress(ClfctlError):
        assert translate(f"{library}: {text}", 3).settings["scheduler"]
