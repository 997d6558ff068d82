"""Where a fall begins, to the last bit: earlier runs as they had it, and as other libraries have it."""

from clfctl.schedules import WSD, Anneal


def test_a_fall_begins_with_the_whole_rate_where_it_is_to_be_exact() -> None:
    # 14 batches an epoch of which 186 of 196 fall: the tenth is computed to be 4e-16 late, and its root is 1e-8.
    seam, share = 10 / 14, 186 / 196
    assert WSD(share, "1-sqrt", t_max=14).lr(0.1, seam) == 0.0999999992351757  # as runs had it from the first
    assert WSD(share, "1-sqrt", t_max=14, exact=True).lr(0.1, seam) == 0.1
    late = 1e-15
    assert Anneal("1-sqrt", t_max=14).lr(0.1, late) == 0.1
    after = seam + 1 / 14
    assert WSD(share, "1-sqrt", t_max=14, exact=True).lr(0.1, after) == WSD(share, "1-sqrt", t_max=14).lr(0.1, after)
