"""What a model is to see of an image that came with a request."""

from clfctl.data.pixels.unreadable import reason_of
from clfctl.inference.predictor import Predictor, Seen
from clfctl.inference.sent_images import open_guarded


def read_upload(content: bytes, predictor: Predictor, max_pixels: float) -> Seen | str:
    """Return what a model is to see of an image, or why it cannot be read, without a path."""
    try:
        with open_guarded(content, max_pixels) as image:
            return predictor.look(image)
    except Exception as error:  # whatever a decoder raises for one image, the others get their answers
        return reason_of(error)
