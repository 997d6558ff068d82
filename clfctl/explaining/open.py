"""From what the user names to the networks that can be explained: of an ensemble, all of its members."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Pixels
from clfctl.data.workers import n_cores
from clfctl.engine.as_it_was import as_it_was
from clfctl.errors import UsageError
from clfctl.explaining.network import Network, network_of
from clfctl.inference.combining import Joined, join_classes
from clfctl.inference.ensemble_predictor import EnsemblePredictor
from clfctl.inference.open import check_model
from clfctl.inference.predictor import Predictor
from clfctl.inference.torch_predictor import TorchPredictor
from clfctl.inference.trained import load_trained
from clfctl.inference.write_onnx import which_checkpoint
from clfctl.runs.ensemble import Ensemble, Member, Model, checkpoint_of, ensemble_in
from clfctl.runs.folder import ONNX_SUFFIX


@dataclass(frozen=True)
class Opened:
    """A network, or the members of an `ensemble`, whose classes are `joined`."""

    networks: tuple[Network, ...]
    ensemble: Ensemble | None = None
    joined: Joined | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the answers."""
        return self.joined.classes if self.joined else self.networks[0].info.classes


def open_networks(model: Model) -> Opened:
    """Open a run, a checkpoint, an ensemble, or a model.onnx, which can be asked but not looked into.

    A run is its checkpoint, whether or not it has a model.onnx too. Raises UsageError, CheckpointError or ModelError.
    """
    check_model(model)
    ensemble = ensemble_in(model)
    if ensemble is None:
        assert isinstance(model, Path)
        return Opened((_network(model),))
    networks = tuple(_network_of_member(each) for each in ensemble.members)
    names = [each.name for each in ensemble.members]
    return Opened(networks, ensemble, join_classes([each.info.classes for each in networks], names))


def networks_in(predictor: Predictor) -> Opened | None:
    """Return the networks by which a predictor answers, None where torch does not compute all of them."""
    members = predictor.members if isinstance(predictor, EnsemblePredictor) else (predictor,)
    networks = tuple(network_of(each.trained) for each in members if isinstance(each, TorchPredictor))
    if len(networks) < len(members):
        return None
    if isinstance(predictor, EnsemblePredictor):
        return Opened(networks, predictor.ensemble, predictor.joined)
    return Opened(networks)


def networks_of_members(predictor: EnsemblePredictor, members: Sequence[Opened]) -> Opened:
    """Return the networks by which the members of an ensemble can be looked into, each opened by itself."""
    networks = tuple(network for each in members for network in each.networks)
    return Opened(networks, predictor.ensemble, predictor.joined)


def _network_of_member(member: Member) -> Network:
    if _is_onnx(member.path):
        return _network(member.path)
    run, file = checkpoint_of(member)
    with as_it_was():
        return network_of(load_trained(run, file))


def _network(path: Path) -> Network:
    if not _is_onnx(path):
        run, file = which_checkpoint(path)
        with as_it_was():  # a model that is built draws weights, before it is given those of the file
            return network_of(load_trained(run, file))
    from clfctl.inference.onnx_predictor import load_onnx

    exported = load_onnx(path, n_cores())
    if len(exported.info.views) > 1:
        hint = "name the runs that it was made of, or the folder of the ensemble"
        raise UsageError(f"{path} is of several models, which see an image in several ways", hint)
    if exported.info.takes_whole:
        hint = "explain the run or the checkpoint that it was made of, or a file without its preprocessing"
        raise UsageError(f"{path} scales pictures by itself, so that no part of what it sees can be covered", hint)

    def ask(pixels: Pixels) -> NDArray[np.float32]:
        return exported.probabilities([(each,) for each in pixels])

    return Network(path, exported.info, ask, resize=exported.resize)


def _is_onnx(path: Path) -> bool:
    return path.suffix == ONNX_SUFFIX and not path.is_dir()
