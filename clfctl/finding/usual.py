"""What a range test is unless it is told otherwise. The command line declares it, so nothing is imported here."""

START_LR, END_LR, N_STEPS, N_REPEATS = 1e-7, 10.0, 100, 3
# What each rate is, by its name, in the order in which they are shown.
MEANINGS = {
    "valley": "the middle of the longest fall of the loss",
    "steepest": "where the loss falls fastest",
    "slide": "the largest with an even slope, seen from where the loss explodes",
    "minimum": "a tenth of the rate at which the loss is least",
}
# The one that is taken.
TAKEN = "valley"
