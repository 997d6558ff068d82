"""Only algorithms that give the same bits every time, also on a GPU; what cannot be computed so is a sentence."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from clfctl.errors import UsageError

# cuBLAS takes a workspace of its own choice unless told, and with it another order of its sums.
_CUBLAS, _ITS_SIZE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


def be_deterministic() -> None:
    """Let torch compute by algorithms alone that give the same bits every time, in the whole process."""
    os.environ.setdefault(_CUBLAS, _ITS_SIZE)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


@contextmanager
def flags_as_they_were() -> Iterator[None]:
    """Give back what torch keeps for the whole process about how it computes."""
    before, warns = _flags(), torch.is_deterministic_algorithms_warn_only_enabled()
    cublas = os.environ.get(_CUBLAS)
    try:
        yield
    finally:
        if _flags() != before:
            is_on, torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, precision = before
            torch.use_deterministic_algorithms(is_on, warn_only=warns)
            torch.set_float32_matmul_precision(precision)
        if cublas is None:
            os.environ.pop(_CUBLAS, None)


def _flags() -> tuple[bool, bool, bool, str]:
    cudnn = torch.backends.cudnn
    is_on, precision = torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()
    return is_on, cudnn.deterministic, cudnn.benchmark, precision


@contextmanager
def naming_the_operation() -> Iterator[None]:
    """Make a sentence of torch's error about an operation that has no deterministic algorithm."""
    try:
        yield
    except RuntimeError as error:
        found = re.search(r"(\S+) does not have a deterministic implementation", str(error))
        if not found:
            raise
        what = f"the model needs {found[1]}, of which there is no deterministic algorithm on this device"
        hint = "leave it out, choose another model, or compute on another device with `device=`"
        raise UsageError(what, hint, field="deterministic") from None
