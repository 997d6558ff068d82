"""From the words of any other library to settings of ours."""

from collections.abc import Callable, Mapping
from typing import Any

from clfctl.errors import UsageError
from clfctl.planning.foreign import FOREIGN
from clfctl.planning.foreign.of_hugging_face import translate_hugging_face
from clfctl.planning.foreign.of_keras import translate_keras
from clfctl.planning.foreign.of_timm import translate_timm
from clfctl.planning.foreign.of_ultralytics import translate_ultralytics
from clfctl.planning.foreign.translation import Known, Translation

TRANSLATORS: dict[str, Callable[[str, Known], Translation]] = {
    "hf": translate_hugging_face,
    "timm": translate_timm,
    "keras": translate_keras,
    "ultralytics": translate_ultralytics,
}


def translate(text: str, steps_per_epoch: int | None = None, given: Mapping[str, Any] | None = None) -> Translation:
    """Return what a schedule of another library is in settings of ours.

    `given` are settings of ours that are stated beside it. Raises UsageError for what cannot be translated exactly, for
    what is stated in both, and for lengths in steps if it is not known how many an epoch has.
    """
    found = FOREIGN.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} is not of " + ", ".join(TRANSLATORS), "begin with the library: hf: cosine")
    library = found[1] or found[2]
    return TRANSLATORS[library](found[3].strip(), Known(text.strip(), steps_per_epoch, given or {}))
