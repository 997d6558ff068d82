"""The four suggestions and the smoothed loss are fastai's.

The numbers are those of fastai 2.8.12 (torch 2.14.1), by its own `valley`, `steep`, `slide`, `minimum` and
`AvgSmoothLoss`, in float32. Where fastai can be imported, the functions are compared over random curves as well.
"""

import math
import random

import pytest

from clfctl.finding.suggest import minimum, slide, steepest, valley
from clfctl.finding.sweep import WEIGHT, debiased_means
from tests.finding.curves import CURVES, rates

# Valley, steepest, slide and a tenth of the minimum.
FASTAI = {
    "smooth": (0.0003981071640737355, 0.005248074419796467, 0.0020892962347716093, 0.04365158379077912),
    "noisy": (0.0063095735386013985, 0.002511886414140463, 0.015848932787775993, 0.04365158379077912),
    "late": (0.0063095735386013985, 0.033113110810518265, 0.0003981071640737355, 0.012022644281387329),
    "early": (6.30957365501672e-05, 9.999999747378752e-06, 2.75422871709452e-06, 4.786300996784121e-05),
    "still falling": (0.019054606556892395, 0.5248074531555176, 0.010964781977236271, 0.33113112449646),
    "flat": (0.10000000149011612, 0.00013182566908653826, 0.03981071710586548, 0.00036307806149125097),
    "twice": (0.0014454397605732083, 0.033113110810518265, 0.0003981071640737355, 0.03019951581954956),
    "rising": (2.2908675418875646e-06, 3.311311274956097e-06, 7.585775847473997e-07, 3.981071586167673e-07),
}
# Of the first losses of the noisy curve.
MEANS = [
    2.395685911178589, 2.4192452430725098, 2.409407138824463, 2.4165656566619873, 2.412900924682617, 2.409959316253662,
    2.406200647354126, 2.4075887203216553, 2.4081077575683594, 2.4079480171203613, 2.4012393951416016,
    2.398876667022705,
]  # fmt: skip


@pytest.mark.parametrize("name", CURVES)
def test_suggestions_are_those_of_fastai(name: str) -> None:
    losses = CURVES[name]
    found = [suggest(rates(len(losses)), losses) for suggest in (valley, steepest, slide, minimum)]
    assert found == pytest.approx(FASTAI[name], rel=1e-6)


def test_the_smoothed_loss_is_that_of_fastai() -> None:
    assert debiased_means(CURVES["noisy"][: len(MEANS)], WEIGHT) == pytest.approx(MEANS, rel=1e-6)


def test_over_random_curves_too() -> None:
    schedule = pytest.importorskip("fastai.callback.schedule")
    import torch

    draw = random.Random(0)
    for _ in range(50):
        n, middle, wave = draw.randint(30, 85), draw.uniform(10, 60), draw.choice((0.01, 0.1))
        losses = [2 - 1 / (1 + math.exp((middle - i) / 5)) + draw.gauss(0, wave) for i in range(n)]
        tensors = torch.tensor(rates(n)), torch.tensor(losses)
        for ours, theirs in ((valley, "valley"), (steepest, "steep"), (slide, "slide"), (minimum, "minimum")):
            expected = float(getattr(schedule, theirs)(*tensors, 100)[0])
            assert ours(rates(n), losses) == pytest.approx(expected, rel=1e-6), (theirs, losses)


def test_a_curve_shorter_than_the_interval_has_no_slide() -> None:
    assert slide(rates(15), CURVES["smooth"][:15]) is None
    assert slide(rates(16), CURVES["smooth"][:16]) == rates(16)[0]
    assert valley(rates(1), [1.0]) == rates(1)[0]
