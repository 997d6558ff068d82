"""Explaining images: what a model, or several, look at in each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clfctl.data.pixels.decode import Picture, Pixels, decode, orientation_of, resize, upright_size
from clfctl.data.pixels.seen import seen_part
from clfctl.data.pixels.transform import to_pixels
from clfctl.data.pixels.unreadable import reason_of
from clfctl.errors import ModelError, UsageError, nearest
from clfctl.explaining.explanation import Explanation, drawn_size, enlarged_by_squares
from clfctl.explaining.heat import Heat
from clfctl.explaining.layers import Layer
from clfctl.explaining.maps import layer_for, maps_of
from clfctl.explaining.methods import Method
from clfctl.explaining.network import Network
from clfctl.explaining.open import Opened
from clfctl.inference.combining import combine
from clfctl.inference.inputs import open_any, open_input

# Classes that a message names.
N_NAMED = 8


@dataclass(frozen=True)
class Explainer:
    """A model that explains its answers by one method: a network, or the members of an ensemble.

    `class_name` is what is explained, None for the likeliest class of each image. The maps of members count alike.
    """

    opened: Opened
    method: Method
    layers: tuple[Layer | None, ...]
    class_name: str | None = None

    @property
    def networks(self) -> tuple[Network, ...]:
        """The network, or the members."""
        return self.opened.networks

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the answers."""
        return self.opened.classes

    @property
    def layer(self) -> str:
        """The names of the layers that are looked at."""
        return ", ".join(dict.fromkeys(each.name for each in self.layers if each))

    def explain(self, name: str, image: Any = None) -> Explanation:
        """Return what is looked at in an image, a file of that name or what is given; with its error if it is bad.

        What is given is a picture, or a function that opens one.
        """
        return self.look(name, image)[0]

    def look(self, name: str, image: Any = None) -> tuple[Explanation, list[Pixels]]:
        """Return what `explain` returns, and the pixels (H, W, 3) that each network saw."""
        try:
            opened = _opened(name, image)
            drawn, size, seen = _looked_at(opened, self.networks)
        except (UsageError, ModelError):
            raise
        except Exception as error:  # whatever a decoder raises for one image, the others are explained
            return Explanation(name, error=reason_of(error, name)), []
        answer = self.answer([each[None] for each in seen])[0]
        predicted = self.classes[int(answer.argmax())]
        chosen = self.class_name or predicted
        heats = []
        for network, layer, pixels in zip(self.networks, self.layers, seen, strict=True):
            number = np.array([network.info.classes.index(chosen)])
            values = maps_of(network, self.method, layer, pixels[None], number)[0]
            heats.append(Heat(values, seen_part(size[1], size[0], network.info.preprocess)))
        probability = float(str(answer[self.classes.index(chosen)]))
        about = (name, chosen, probability, predicted, self.method.name, self.layer)
        found = Explanation(*about, size, drawn, tuple(heats))
        return replace(found, is_empty=not found.has_heat()), seen

    def answer(self, pixels: Sequence[Pixels]) -> NDArray[np.float32]:
        """Return probabilities (B, n_classes) for images (B, H, W, 3) uint8 as each of the networks sees them."""
        answers = [network.ask(seen) for network, seen in zip(self.networks, pixels, strict=True)]
        ensemble, joined = self.opened.ensemble, self.opened.joined
        if ensemble is None or joined is None:
            return answers[0]
        return combine(ensemble.rule, [joined.take(*each) for each in enumerate(answers)], ensemble.weights)


def make_explainer(opened: Opened, method: Method, class_name: str | None = None, layer: str = "") -> Explainer:
    """Return an explainer of what was opened. Raises UsageError for a class, layer or gradients that there are not."""
    if class_name is not None and class_name not in opened.classes:
        listed = ", ".join(opened.classes[:N_NAMED]) + (", …" if len(opened.classes) > N_NAMED else "")
        hint = nearest(class_name, opened.classes) or f"it knows {listed}"
        raise UsageError(f"{class_name!r} is not a class of the model", hint, field="class")
    if layer and not method.of_layer:
        raise UsageError(f"{method.name} looks at no layer", "leave `layer=` out", field="layer")
    if method.needs_gradients:
        for each in opened.networks:
            each.within(method.name)
    layers = tuple(layer_for(each, method, layer) for each in opened.networks)
    return Explainer(opened, method, layers, class_name)


def _opened(name: str, image: Any) -> Picture:
    if image is None:
        return open_input(name)
    if not callable(image):
        return open_any(image)
    picture: Picture = image()
    try:
        return open_any(picture)
    finally:
        if isinstance(picture, Image.Image):
            picture.close()


def _looked_at(image: Picture, networks: Sequence[Network]) -> tuple[Pixels, tuple[int, int], list[Pixels]]:
    """Return a picture to draw on, (H, W) of the upright picture, and what each network sees of it."""
    # Opened again for each: what a decoder has read at a quarter of the size stays so.
    seen = [to_pixels(open_any(image), each.info.preprocess, each.resize) for each in networks]
    orientation = orientation_of(image)
    width, height = upright_size(image, orientation)
    size = drawn_size(height, width)
    part = decode(image, orientation, (0, 0, width, height), size)
    if size[0] > height:
        return enlarged_by_squares(resize(part, height, width), size), (height, width), seen
    return resize(part, *size), (height, width), seen
