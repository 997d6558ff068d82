"""Whether a model that prepares its pixels itself says of whole pictures what `predict` says of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from clfctl.data.pixels.decode import Picture, columns_first
from clfctl.data.pixels.transform import to_pixels
from clfctl.data.sources.base import Part
from clfctl.errors import ModelError
from clfctl.inference.baking import PREPARED, preparing_alone
from clfctl.inference.onnx_file import INPUT
from clfctl.inference.onnx_predictor import OnnxPredictor, session_of

# Pillow rounds twice, between its passes and after them; the graph may round another way each time.
MOST_LEVELS = 2
N_OF_DATA = 32
# A class counts as another one where `predict` itself gives it so much less than the likeliest; of all pictures that
# may be so for a few, whose JPEG is decoded smaller for `predict`.
CLEARLY, MOST_OTHER = 0.1, 0.1


@dataclass(frozen=True)
class Agreement:
    """How far what a model says of whole pictures is from what `predict` says: over `n_images` of `images`.

    `difference` is the largest of any probability, `n_same_class` counts the images that both give the same class,
    `levels` is the largest difference of a pixel, of 255, where both begin with the same decoded picture: a large JPEG
    is decoded smaller for `predict`.
    """

    n_images: int
    images: str
    difference: float
    n_same_class: int
    levels: int

    def as_record(self) -> dict[str, Any]:
        """Return what the file's metadata says of it."""
        return asdict(self)

    def lines(self) -> Sequence[str]:
        """Return a sentence for people."""
        same = f"{self.n_same_class} of {self.n_images}"
        return (
            "takes whole pictures of any size (one, or a batch of one size):",
            f"  the class that predict gives for {same} pictures of {self.images}; "
            f"a probability differs by {self.difference:.2g} at most",
        )


def agreement_of(prepared: OnnxPredictor, whole: OnnxPredictor, pictures: Iterable[Picture], images: str) -> Agreement:
    """Return how far two forms of a model agree.

    Raises ModelError if they see other pixels, clearly name another class of several pictures, or there is none.
    """
    views = {each: session_of(preparing_alone(each).SerializeToString(), n_threads=1) for each in whole.info.views}
    differences, n_same, n_other, levels = list[float](), 0, 0, 0
    for picture in pictures:
        try:
            asked, given = prepared.look(picture), whole.look(picture)
        except Exception:  # a bad image: training has told
            continue
        for view, session in views.items():
            (made,) = session.run([PREPARED], {INPUT: given[0][None]})
            expected = to_pixels(given[0], view, columns_first)
            levels = max(levels, int(np.abs(made[0].astype(int) - expected).max()))
        ours, theirs = whole.probabilities([given])[0], prepared.probabilities([asked])[0]
        differences.append(float(np.abs(ours - theirs).max()))
        n_same += int(ours.argmax() == theirs.argmax())
        n_other += int(theirs.max() - theirs[ours.argmax()] > CLEARLY)
    n = len(differences)
    if not n:
        what = f"none of the pictures of {images} can be read, so nothing tells whether the graph is right"
        raise ModelError(what, field="bake_preprocessing")
    hint = "another version of ONNX Runtime may do better; the file was not kept"
    if levels > MOST_LEVELS:
        what = f"the graph prepares other pixels than training did: one differs by {levels} levels of 255"
        raise ModelError(what, hint, field="bake_preprocessing")
    if n_other > max(1, MOST_OTHER * n):
        what = f"of {n_other} of {n} pictures of {images} the graph names another class than predict does"
        raise ModelError(what, hint, field="bake_preprocessing")
    return Agreement(n, images, max(differences), n_same, levels)


def pictures_of(part: Part | None) -> Iterator[Picture]:
    """Yield some pictures of a part, one open at a time, then parts of scikit-learn's photographs, as JPEG."""
    step = max(1, len(part) // N_OF_DATA) if part else 1
    for index in list(part.indices[::step])[:N_OF_DATA] if part else ():
        assert part
        try:
            picture = part.source.open(int(index))
        except Exception:  # as above
            continue
        if isinstance(picture, Image.Image):
            with picture:
                yield picture
        else:
            yield picture
    from sklearn.datasets import load_sample_images

    for photograph in load_sample_images().images:
        for cut in (photograph, photograph[:200, :200], photograph[40:400, 300:420], photograph[::-1, :500]):
            file = BytesIO()
            Image.fromarray(cut).save(file, "JPEG", quality=92)
            yield Image.open(file)
