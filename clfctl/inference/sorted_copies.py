"""Images copied into a folder for each class, by what a model says of them."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from clfctl.errors import UsageError
from clfctl.inference.inputs import STANDARD_INPUT, Inputs
from clfctl.inference.prediction import Prediction
from clfctl.storage.files import copy_file, explained, has_same_content, numbered

# Training does not see folders with such names: what is sorted can be trained on as it is.
UNSURE = "__unsure"
# Characters that are special to some file system, and a leading dot, which hides a file; written as % and a number.
_SPECIAL = re.compile(r'^\.|^__|[/\\:*?"<>|%\x00-\x1f]|[. ]$')


@dataclass
class SortedCopies:
    """Copies images to `folder`/class/name; nothing there is ever overwritten, and nothing is moved."""

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, prediction: Prediction) -> None:
        """Copy an image that was read; one that is there already is left. Raises WriteError."""
        if prediction.error:
            return
        source, name = Path(prediction.name), folder_name(prediction.best)
        with explained(self.folder / name):
            for target in numbered(self.folder / name / source.name):
                if has_same_content(source, target):
                    break
                with suppress(FileExistsError):  # another image of the same name
                    copy_file(source, target)
                    break
        self.counts[name] += 1

    def summary(self) -> str:
        """Return how many images are in which folder."""
        if not self.counts:
            return f"Nothing was copied to {self.folder}"
        counts = ", ".join(f"{name} {n}" for name, n in self.counts.most_common(5))
        more = f" and {len(self.counts) - 5} more" if len(self.counts) > 5 else ""
        return f"Copied to {self.folder}: {counts}{more}"


def folder_name(class_name: str | None) -> str:
    """Return the name of a class's folder: the class's own, but for characters that no folder should have."""
    if class_name is None:
        return UNSURE
    return _SPECIAL.sub(lambda found: "".join(f"%{ord(each):02X}" for each in found[0]), class_name) or "%"


def check_folder(folder: Path, inputs: Inputs) -> None:
    """Raise UsageError if images cannot be copied to a folder."""
    if STANDARD_INPUT in inputs.words:
        raise UsageError("an image from standard input has no name", "give the file itself", field="copy_to")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", field="copy_to")
    for each in inputs.folders:
        if folder.resolve().is_relative_to(each.resolve()):
            hint = "what is copied there would be found and copied again"
            raise UsageError(f"{folder} lies in {each}, which is searched for images", hint, field="copy_to")
