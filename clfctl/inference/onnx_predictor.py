"""A model computed by ONNX Runtime on the CPU: a whole process of it is done before torch is imported."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Picture, Resize, resize_by_pillow
from clfctl.data.pixels.transform import LONGEST, to_whole
from clfctl.errors import DamagedError, ModelError, first_line
from clfctl.inference.onnx_file import INT8, from_metadata, input_names, read_onnx, records_in
from clfctl.inference.packages import has_runtime
from clfctl.inference.predictor import Seen, look_at
from clfctl.models.card import Card

# Of whole pictures: what is asked at once is no more than one of the largest.
MOST_PIXELS = LONGEST * LONGEST
_SILENT = 4  # ONNX Runtime's severity: what goes wrong is raised too
# clfctl writes all weights into the file. One that names other files for them may be a stranger's, who wants to see
# what is in the working folder: they are looked for where nothing can be.
_WEIGHTS_ELSEWHERE, _NOWHERE = "session.model_external_initializers_file_folder_path", f"{os.devnull}/none"


@dataclass(frozen=True)
class OnnxPredictor:
    """See `Predictor`; `records` are what the export found out about the file, by name: see RECORDS."""

    file: Path
    info: Card
    session: Any
    records: Mapping[str, Any] = field(default_factory=dict)
    resize: Resize = resize_by_pillow
    is_parallel: bool = True

    @property
    def title(self) -> str:
        """Return the file, and what computes it."""
        return f"{self.file}, {self.computed_by}"

    @property
    def computed_by(self) -> str:
        """Return ONNX Runtime, and whether it computes with whole numbers of 8 bits."""
        return f"ONNX Runtime{', int8' if INT8 in self.records else ''}"

    @property
    def batch_size(self) -> int:
        """Return few: more do not fit the caches, and a thread's last batch leaves the others idle."""
        return 4

    def begin_thread(self) -> None:
        """Nothing: neither the decoders nor the session start threads here."""

    def look(self, image: Picture) -> Seen:
        """See `Predictor`; of a model that `takes_whole` images not all have one size, and huge ones a smaller one."""
        if not self.info.takes_whole:
            return look_at(image, self.info, self.resize)
        return (to_whole(image, [view.scaling for view in self.info.views]),)

    def probabilities(self, images: Sequence[Seen]) -> NDArray[np.float32]:
        """See `Predictor`; images of one size are asked about at once, but for large ones, which are asked in turn."""
        if not self.info.takes_whole:
            return self._ask(images)
        by_size: dict[tuple[int, ...], list[int]] = {}
        for place, (first, *_) in enumerate(images):
            by_size.setdefault(first.shape, []).append(place)
        found = np.empty((len(images), len(self.info.classes)), np.float32)
        for (height, width, *_), places in by_size.items():
            n = max(1, MOST_PIXELS // (height * width))
            for some in (places[first : first + n] for first in range(0, len(places), n)):
                found[some] = self._ask([images[place] for place in some])
        return found

    def _ask(self, images: Sequence[Seen]) -> NDArray[np.float32]:
        names = input_names(1 if self.info.takes_whole else len(self.info.views))
        given = {name: np.stack([each[place] for each in images]) for place, name in enumerate(names)}
        try:
            found: NDArray[np.float32] = self.session.run(None, given)[0]
        except Exception as error:  # ONNX Runtime's own classes have no common base but this
            raise ModelError(f"{self.file} cannot be computed: {first_line(error)}") from error
        return found


def load_onnx(path: Path, n_threads: int) -> OnnxPredictor:
    """Load a model; each question is computed by `n_threads` threads, that of who asks among them.

    Raises ModelError if ONNX Runtime is not installed or the file is none of clfctl's, DamagedError if it is damaged.
    """
    if not has_runtime():
        hint = "install it with: pip install 'clfctl[onnx]'"
        raise ModelError(f"{path} needs ONNX Runtime, which is not installed", hint)
    return start_onnx(path, read_onnx(path), n_threads)


def start_onnx(path: Path, content: bytes, n_threads: int) -> OnnxPredictor:
    """Return the model whose bytes are given; `path` is what it is called. As `load_onnx`."""
    try:
        session = session_of(content, n_threads)
    except Exception as error:  # as above
        raise DamagedError(f"{path} cannot be read: {first_line(error)}", "clfctl export makes a new one") from None
    metadata = session.get_modelmeta().custom_metadata_map
    card, shape = from_metadata(path, metadata), session.get_outputs()[0].shape
    # A dimension that the file leaves open is a name or None.
    if shape and isinstance(shape[-1], int) and shape[-1] != len(card.classes):
        what = f"it gives {shape[-1]} probabilities, and names {len(card.classes)} classes"
        raise DamagedError(f"{path} is damaged: {what}", "clfctl export makes a new one")
    return OnnxPredictor(path, card, session, records_in(metadata))


def session_of(content: bytes, n_threads: int) -> Any:
    """Return a session of ONNX Runtime for a model's bytes. Raises whatever that raises for what it cannot compute."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(_SILENT)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    # Threads that spin while they wait halve the speed as soon as anything else runs, decoders for a start.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(_WEIGHTS_ELSEWHERE, _NOWHERE)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
