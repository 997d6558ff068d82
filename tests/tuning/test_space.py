"""What a search is written as, what it stands for, and what is refused of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clfctl.display.tune_table import summary_lines, summary_record
from clfctl.errors import UsageError
from clfctl.settings.groups import TrainSettings, TuneSettings
from clfctl.settings.sources import from_fields
from clfctl.settings.tuning import in_search
from clfctl.tuning.asking import new_record
from clfctl.tuning.found import Confirmed, TrialFound, Tuned, mean_interval
from clfctl.tuning.sampling import check_sampler, grid_size
from clfctl.tuning.space import Dimension, default_space, read_space
from clfctl.tuning.trial_settings import check_study, kind_of, names_in, stated_of, training_of

KNOWN = names_in("train")


def record_of(**fields: Any) -> Any:
    return new_record(from_fields(TuneSettings, fields))


def value_of(settings: TrainSettings, name: str) -> object:
    """Return a setting of a schedule, which is made when the kinds are known."""
    return getattr(settings, name)


READ = [
    ("lr=1e-5..1e-2:log", Dimension("lr", (), 1e-5, 1e-2, is_log=True)),
    ("learning-rate=1e-5..1e-2", Dimension("lr", (), 1e-5, 1e-2)),
    ("weight-decay=0..0.1", Dimension("weight_decay", (), 0, 0.1)),
    ("epochs=2..10:step=4", Dimension("epochs", (), 2, 10, step=4, is_whole=True)),
    ("label_smoothing=0..1", Dimension("label_smoothing", (), 0, 1)),  # a share, though both ends are whole
    ("batch-size=16,32,64", Dimension("batch_size", ("16", "32", "64"))),
    ("layer-decay=none,0.75", Dimension("layer_decay", (None, "0.75"))),
    ("augment=none,light", Dimension("augment", ("none", "light"))),
    ("scheduler=cosine,wsd(decay=0.2,start=0.1)", Dimension("scheduler", ("cosine", "wsd(decay=0.2,start=0.1)"))),
    ('milestones="2,4","3,5"', Dimension("milestones", ("2,4", "3,5"))),
    ("crop-scale=0.1..1,0.5..1", Dimension("crop_scale", ("0.1..1", "0.5..1"))),
]


@pytest.mark.parametrize(("text", "expected"), READ, ids=[text for text, _ in READ])
def test_a_search_is_read_and_written_again(text: str, expected: Dimension) -> None:
    assert read_space([text], KNOWN) == (expected,)
    assert read_space([str(expected)], KNOWN) == (expected,)


REFUSED = [
    ("lrr=1,2", "'lrr' is not a setting that can be searched"),
    ("lr", "'lr' names no values"),
    ("lr=0.1", "leaves nothing to choose"),
    ("lr=0.1,0.1", "has a value twice"),
    ("lr=0.1,", "has a value that is empty"),
    ("lr=1..0.1", "does not rise"),
    ("lr=0..1:log", "begins at 0 or below"),
    ("lr=0.1..1:log:step=0.1", "has a step and a logarithm"),
    ("lr=0.1..1:lin", "'lin' of lr=0.1..1:lin is not understood"),
    ("lr=0.1..1:step=2", "'step=2' of lr=0.1..1:step=2 is not understood"),
    ("scheduler=cosine,wsd(decay=0.2", "parenthesis too many or too few"),
    ("seed=1,2", "seed cannot be searched"),
    ("val-split=0.1,0.2", "every trial is judged by the same images"),
    ("missing.toml", "cannot read missing.toml"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[text for text, _ in REFUSED])
def test_a_search_that_is_none_is_a_sentence(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=r".") as caught:
        read_space([text], KNOWN)
    assert message in caught.value.message
    assert caught.value.field == "search"


def test_a_file_a_mapping_and_words_are_the_same() -> None:
    Path("space.toml").write_text(
        'lr = { low = 1e-5, high = 1e-2, log = true }\n"batch-size" = [16, 32]\nweight_decay = "0..0.1"\n', "utf-8"
    )
    in_python = {"lr": {"low": 1e-5, "high": 1e-2, "log": True}, "batch_size": [16, 32], "weight_decay": "0..0.1"}
    typed = record_of(search=["lr=1e-5..1e-2:log", "batch-size=16,32", "weight-decay=0..0.1"]).space
    assert record_of(search="space.toml").space == typed == record_of(search=in_python).space
    # Later ones replace earlier ones: a file is a beginning.
    assert "lr=0.1,0.2" in record_of(search=["space.toml", "lr=0.1,0.2"]).space
    with pytest.raises(UsageError, match="no range and no list"):
        in_search("lr", {"low": 1})


KINDS = [
    ({"model": "custom"}, "scratch"),
    ({"model": "resnet18"}, "fine-tune"),
    ({"model": "resnet18.a1_in1k"}, "fine-tune"),
    ({"model": "resnet18", "pretrained": False}, "scratch"),
    ({"model": "custom", "weights": "some.safetensors"}, "fine-tune"),
    ({"stage": "probe"}, "probe"),
]


@pytest.mark.parametrize(("fields", "kind"), KINDS)
def test_without_a_search_there_is_one_for_the_kind_of_training(fields: dict[str, Any], kind: str) -> None:
    assert kind_of(from_fields(TuneSettings, fields).settings) == kind
    record = record_of(**fields)
    assert list(record.space) == [
        str(each) for each in read_space(default_space(kind), names_in(fields.get("stage", "train")))
    ]
    assert not [each for each in record_of(**fields, lr=0.1).space if each.startswith("lr=")]  # stated, so not searched


@pytest.mark.parametrize("kind", ["scratch", "fine-tune"])
def test_every_value_of_the_default_spaces_is_allowed(kind: str) -> None:
    record = record_of(model="resnet18")
    for dimension in read_space(default_space(kind), KNOWN):
        for value in dimension.samples:
            training_of(record, {dimension.name: value})


def test_a_parameter_of_another_schedule_gives_way_to_the_drawn_one() -> None:
    record = record_of(search=["scheduler=cosine,step", "gamma=0.3..0.9"], t_max=3)
    with_step = training_of(record, {"scheduler": "step", "gamma": 0.5}).settings
    assert (value_of(with_step, "gamma"), value_of(with_step, "t_max")) == (0.5, None)
    with_cosine = training_of(record, {"scheduler": "cosine", "gamma": 0.5}).settings
    assert (value_of(with_cosine, "gamma"), value_of(with_cosine, "t_max")) == (None, 3)
    with pytest.raises(UsageError, match="parameter of"):
        training_of(record_of(search=["gamma=0.3..0.9"], scheduler="cosine"), {"gamma": 0.5})


def test_none_of_a_list_is_a_setting_that_is_not_set() -> None:
    record = record_of(search=["layer-decay=none,0.75"])
    assert stated_of(record, {"layer_decay": None}).settings.layer_decay is None
    assert stated_of(record, {"layer_decay": "0.75"}).settings.layer_decay == 0.75


def test_numbers_of_a_range_have_few_digits_and_stay_in_it() -> None:
    found = Dimension("lr", (), 0.00012345678, 0.1)
    assert found.value(0.012345678) == 0.01235
    assert float(found.value(0.00012345001) or 0) >= found.low
    assert found.value(0.0999999) == 0.1


NARROW = [
    (Dimension("ema", (), 0.999, 0.99999), 0.99954321, 0.9995432),
    (Dimension("ema", (), 0.999, 0.99999), 0.999961, 0.999961),
    (Dimension("ema", (), 0.9999, 0.99999, step=0.00001), 0.99993, 0.99993),
    (Dimension("lr", (), 1e-5, 1e-2, is_log=True), 0.00123456789, 0.001235),
]


@pytest.mark.parametrize(("dimension", "drawn", "expected"), NARROW, ids=str)
def test_a_narrow_range_has_as_many_digits_as_it_needs(dimension: Dimension, drawn: float, expected: float) -> None:
    assert dimension.value(drawn) == pytest.approx(expected, rel=1e-9)


def test_every_step_is_a_value_of_its_own() -> None:
    (dimension,) = read_space(["ema=0.9999..0.99999:step=0.00001"], KNOWN)
    assert len({dimension.value(each) for each in dimension.every_value()}) == 10


def test_a_grid_has_an_end_and_cma_es_has_ranges() -> None:
    space = read_space(["batch-size=16,32", "lr=0.1..0.3:step=0.1"], KNOWN)
    assert [each.every_value() for each in space] == [("16", "32"), pytest.approx((0.1, 0.2, 0.3))]
    assert grid_size(space) == 6
    check_sampler("grid", space)
    with pytest.raises(UsageError, match="no end of values"):
        check_sampler("grid", read_space(["lr=0.1..0.3"], KNOWN))
    with pytest.raises(UsageError, match="the space has 1"):
        check_sampler("cmaes", space)


@pytest.mark.parametrize("url", ["postgresql://me:secret@host/name", "postgresql://host/db?user=me&password=secret"])
def test_a_password_is_not_kept(url: str) -> None:
    assert "secret" not in str(record_of(storage=url, run_name="x").as_json(Path("runs/x")))


@pytest.mark.slow
def test_of_a_large_space_no_choice_is_refused_for_what_the_first_of_another_cannot() -> None:
    """The first 200 of more combinations all have the first choice of the first setting."""
    ranges = ("lr", "dropout", "label_smoothing", "random_erasing", "mixup", "cutmix", "weight_decay", "clip_grad")
    fields = {"data": "digits", "model": "resnet9_small", "max_per_class": 5, "freeze": "backbone", "epochs": 3}
    record = record_of(search=["unfreeze-at=7,1", *(f"{name}=0.1..0.2" for name in ranges)], **fields)
    check_study(record, read_space(record.space, KNOWN))
    hopeless = record_of(search=["unfreeze-at=7,7.0", *(f"{name}=0.1..0.2" for name in ranges)], **fields)
    with pytest.raises(UsageError, match="after the end"):  # that nothing of it is possible is said
        check_study(hopeless, read_space(hopeless.space, KNOWN))


def test_shares_of_other_seeds_are_shares() -> None:
    low, high = Confirmed(0, (1, 2), (0.95, 0.97), (), True).interval or (0.0, 0.0)
    assert low == pytest.approx(0.833, abs=1e-3)
    assert high == 1.0
    assert (Confirmed(0, (1, 2), (0.95, 0.97)).interval or (0, 0))[1] > 1


def test_what_other_seeds_could_not_train_is_told() -> None:
    trial = TrialFound(3, "complete", 0.9, {"lr": 0.1})
    tuned = Tuned(Path("runs/s"), "val_top1", "max", (trial,), trial, {}, Confirmed(3, (1, 3), (0.9, 0.8), (2,), True))
    lines = [*summary_lines(tuned)]
    assert "With 1 of 3 other seeds its settings could not be trained: they are at an edge." in lines
    assert any("val_top1 85.00 %, 95 % interval of the mean 21.47 % to 100.00 %" in line for line in lines)
    assert any("Two seeds say next to nothing" in line for line in lines)
    none = [*summary_lines(replace(tuned, confirmed=Confirmed(3, (), (), (1,), True)))]
    assert not [line for line in none if line.startswith("With 0") or "is told with" in line]
    assert summary_record(replace(tuned, confirmed=Confirmed(3, (), (), (1,), True)))["confirmed"]["mean"] is None


def test_trials_with_the_settings_of_another_are_counted_and_not_listed() -> None:
    first = TrialFound(0, "complete", 0.9, {"lr": 0.1})
    tuned = Tuned(Path("runs/s"), "val_top1", "max", (first, replace(first, number=1, same_as=0)), first, {})
    assert tuned.ranked() == [first]
    assert "1 had the settings of an earlier one, and was not trained again." in [*summary_lines(tuned)]


def test_the_interval_of_a_mean_is_students() -> None:
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert mean_interval([1.0]) is None
