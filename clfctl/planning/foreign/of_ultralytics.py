"""Ultralytics' schedule: `lr0=0.01 lrf=0.01 cos_lr=True warmup_epochs=3 epochs=100`.

Equal to Ultralytics 8.4 at every batch: a line or half a cosine that moves once an epoch, under a rise from 0 batch by
batch. Its warmup multiplies the curve, which has begun already.
"""

from clfctl.planning.foreign.translation import Known, Translation, call
from clfctl.planning.foreign.words import Take, read_words

TAKES: dict[str, Take] = {
    "lr0": "number",
    "lrf": "number",
    "cos_lr": "flag",
    "warmup_epochs": "number",
    "warmup_bias_lr": "number",
    "epochs": "integer",
    "optimizer": "text",
}
# Words of its command line that are no options.
COMMAND = ("yolo", "train", "detect", "segment", "semantic", "classify", "pose", "obb")
# Until 8.4.102 no warmup was shorter than this many batches.
LEAST_WARMUP = 100


def translate_ultralytics(text: str, known: Known) -> Translation:
    """Return what a schedule of Ultralytics' is in settings of ours; raises UsageError where it cannot be exact."""
    words = read_words(text, "ultralytics", TAKES, "", COMMAND)
    lr = known.setting("lr", words.get("lr0"), 0.01)
    epochs = known.setting("epochs", words.get("epochs"), 100)
    lrf, warmup = words.get("lrf", 0.01), min(words.get("warmup_epochs", 3.0), max(epochs - 1, 0))
    if lrf < 0 or warmup < 0 or lr <= 0 or epochs < 1:
        known.refuse("lr0 and epochs are above 0, lrf and warmup_epochs at least 0")
    curve = call("linear", end=lrf, every="epoch")
    if words.get("cos_lr"):
        curve = call("cosine", eta_min=lr * lrf or None)
    notes = []
    if warmup > 0:
        length, note = _in_whole_batches(warmup, known)
        notes += note
        # A warmup that rounds to no batch at all is none.
        curve = f"{call('linear', start=0, end=1, t_max=length)} * {curve}" if length else curve
        if (bias := words.get("warmup_bias_lr", 0.1)) != 0:
            notes.append(f"the rate of biases, which Ultralytics lets fall from {bias:g} in its warmup, rises as all")
    if words.get("optimizer", "auto") == "auto":
        notes.append("with its default optimizer, auto, Ultralytics chooses a rate itself and does not look at lr0")
    return Translation({"scheduler": curve, "epochs": epochs, "lr": lr}, (*notes, *words.left_out()))


def _in_whole_batches(warmup: float, known: Known) -> tuple[float, list[str]]:
    """Return the warmup in epochs, rounded to batches as theirs, and a sentence about versions that had a minimum."""
    if known.steps_per_epoch is None:
        if not float(warmup).is_integer():
            known.steps(f"a warmup of {warmup:g} epochs is rounded to whole batches")
        return warmup, []
    n = round(warmup * known.steps_per_epoch)
    notes = []
    if n < LEAST_WARMUP:
        what = f"until 8.4.102 Ultralytics made a warmup of {LEAST_WARMUP} batches of these {n}"
        notes.append(f"{what}, {LEAST_WARMUP / known.steps_per_epoch:.3g} epochs (its pull request 25321)")
    return n / known.steps_per_epoch, notes
