"""What a model looks at in a picture: computed once for each class and method, and kept as long as the page is open."""

import math
from dataclasses import replace

import numpy as np
import streamlit as st
from PIL import Image

from clfctl.app.models import LARGEST, ONE_AT_A_TIME, Opened
from clfctl.data.pixels.unreadable import reason_of
from clfctl.errors import ClfctlError, first_line
from clfctl.explaining.explanation import Explanation
from clfctl.explaining.methods import METHODS
from clfctl.inference.uploads import Limits, open_sent_image

# Those that ask for no package and a single gradient.
QUICK = tuple(name for name, method in METHODS.items() if not method.needs_package)
KEPT = 16
# Height times width of what a model sees that was sent: gradients need several times the memory of an answer.
MOST_SEEN = 800 * 800


@st.cache_data(max_entries=KEPT, show_spinner="Looking closer …", scope="session")
def heat_of(
    number: int,  # noqa: ARG001 (the model's, and the picture's digest: they tell this map from the others)
    picture: str,  # noqa: ARG001 (as above)
    class_name: str,
    method: str,
    _model: Opened,
    _content: bytes,
    _limits: Limits,
) -> Explanation:
    """Return what a model looks at in a picture to say how likely a class is, drawn as large as the page shows it.

    Where there is no map it has only its `error`.
    """
    with ONE_AT_A_TIME:
        try:
            return _looked(_model, _content, _limits, class_name, method)
        except ClfctlError as error:
            return Explanation("", error=error.message)
        except (OSError, MemoryError) as error:
            return Explanation("", error=reason_of(error))
        except Exception as error:  # whatever a network does that was sent, its answer stays
            return Explanation("", error=first_line(error))


def _looked(model: Opened, content: bytes, limits: Limits, class_name: str, method: str) -> Explanation:
    from clfctl.explaining.explain import make_explainer

    height, width = max((view.size for view in model.predictor.info.views), key=math.prod)
    if model.is_sent and height * width > MOST_SEEN:
        return Explanation("", error=f"of what was sent, one that sees {width} x {height} pixels takes too much memory")
    explainer = make_explainer(model.networks, METHODS[method], class_name)
    with open_sent_image(content, limits) as image:
        found = explainer.explain("", image)
    if found.picture is None:
        return found
    shown = Image.fromarray(found.picture)
    shown.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return replace(found, picture=np.asarray(shown))
