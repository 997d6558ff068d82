"""Which run is to be deployed, and what is said of it."""

import re

import numpy as np

from clfctl.comparing.choice import choose, p_words
from clfctl.comparing.pairs import pairs_of
from clfctl.comparing.speed import Cost

SLOW, FAST = Cost(10, 40_000_000, 30.0, 40.0, "cpu"), Cost(5, 10_000_000, 10.0, 120.0, "cpu")


def chosen(only_first: int, only_second: int, costs: list[Cost]) -> tuple[int, str]:
    n = 200
    right = np.ones((2, n), bool)
    right[1, :only_first] = False
    right[0, only_first : only_first + only_second] = False
    found = choose(right.mean(axis=1).tolist(), costs, pairs_of(right), ["a", "b"])
    return found.run, " ".join(found.why)


def among(n_wrong: list[int], costs: list[Cost], n: int = 1000) -> tuple[int, str]:
    """Return the choice among runs of which each is wrong on so many images that all before it have right."""
    right = np.ones((len(n_wrong), n), bool)
    for row, (start, each) in enumerate(zip(np.cumsum([0, *n_wrong[:-1]]).tolist(), n_wrong, strict=True)):
        right[row, start : start + each] = False
    found = choose(right.mean(axis=1).tolist(), costs, pairs_of(right), [chr(97 + i) for i in range(len(n_wrong))])
    return found.run, " ".join(found.why)


def test_a_lead_that_may_be_chance_does_not_pay_for_a_slower_network_and_what_may_be_lost_is_said() -> None:
    run, why = chosen(8, 4, [SLOW, FAST])
    assert run == 1
    assert why.startswith("b is 3.0 times as fast and 0.25 of the size; on these images a is 2.0 percentage points ")
    assert "points more accurate, which may be chance (p = 0.388), or as much as " in why
    (most,) = re.findall(r"as much as ([\d.]+) \(95 % interval\)", why)
    assert 5 < float(most) < 6
    assert chosen(4, 8, [FAST, SLOW])[1].startswith("a is 3.0 times as fast and 0.25 of the size; on these images b is")


def test_a_lead_that_is_real_does_and_what_it_costs_is_said() -> None:
    run, why = chosen(40, 4, [SLOW, FAST])
    assert run == 0
    assert why.startswith("a is more accurate than b, by more than chance would do where")
    assert "b is 3.0 times as fast, for 18.0 points less" in why


def test_of_two_alike_the_more_accurate_is_taken() -> None:
    assert chosen(8, 4, [FAST, FAST])[0] == 0
    assert chosen(4, 8, [FAST, FAST])[0] == 1
    assert chosen(0, 0, [SLOW, FAST])[0] == 1
    small = Cost(1, 1_000_000, 10.5, 120.0, "cpu")
    assert chosen(0, 0, [FAST, small]) == (1, "b is 0.1 of the size, and on these images exactly as accurate as a")


def test_a_hair_less_of_size_is_not_worth_an_image() -> None:
    hair = Cost(5, 9_999_000, 10.0, 120.0, "cpu")
    run, why = chosen(5, 4, [FAST, hair])
    assert run == 0
    assert "those that cannot be told from it (b) none is faster by more than a tenth, and none as fast is" in why


def test_further_runs_do_not_make_a_worse_one_as_good() -> None:
    """Ten runs are 45 pairs: p = 0.01 of one of them is 0.45 as Holm corrects it."""
    alone = among([2, 13], [SLOW, FAST])
    with_more = among([2, 13, *[14] * 8], [SLOW, FAST, *[SLOW] * 8])
    assert alone[0] == with_more[0] == 0
    assert "in a pair alone; as one of so many pairs, the lead over b, c" in with_more[1]
    assert "b is 3.0 times as fast, for 1.1 points less" in with_more[1]


def test_bad_runs_beside_it_do_not_make_a_worse_run_as_good_as_the_best() -> None:
    n = 400
    best, worse = np.ones(n, bool), np.ones(n, bool)
    best[:1], worse[1:13] = False, False
    rest = [np.arange(n) % 2 == i % 2 for i in range(8)]
    costs = [SLOW, FAST, *[SLOW] * 8]
    names = [str(i) for i in range(10)]
    pairs = pairs_of(np.array([best, worse]))
    assert pairs[0].is_told_apart
    alone = choose([best.mean(), worse.mean()], costs[:2], pairs, names[:2])
    right = np.array([best, worse, *rest])
    among = choose([float(each.mean()) for each in right], costs, pairs_of(right), names)
    assert (alone.run, among.run) == (0, 0)


def test_what_is_as_fast_is_not_said_to_be_slower() -> None:
    little = Cost(10, 40_000_000, 28.0, 43.0, "cpu")
    run, why = chosen(5, 4, [SLOW, little])
    assert (run, "none is faster by more than a tenth" in why) == (0, True)


def test_p_values_are_readable() -> None:
    assert [p_words(p) for p in (1.0, 0.0344, 0.001, 2.3e-9)] == ["1.000", "0.034", "0.001", "2e-09"]
