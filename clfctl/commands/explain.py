"""clfctl explain: what a model looks at, drawn over images, and whether that means something."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.data.sources.walk import is_run
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import DataError, UsageError
from clfctl.explaining.methods import DEFAULT, Method, method_of
from clfctl.inference.inputs import Inputs, find_inputs
from clfctl.inference.open import check_model, named_models
from clfctl.inference.sorted_copies import folder_name
from clfctl.runs.ensemble import Ensemble, Model, model_from
from clfctl.runs.folder import run_of
from clfctl.settings.ensembles import Rule
from clfctl.storage.names import plain, shortened

if TYPE_CHECKING:
    from rich.console import Console

    from clfctl.explaining.check import Check
    from clfctl.explaining.explain import Explainer
    from clfctl.explaining.explanation import Explanation

FOLDER = "explain"
# Images that `check` tests at most, by methods of a layer and by those that ask the network a hundred times an image.
N_CHECKED, N_CHECKED_SLOWLY = 100, 12


@dataclass(frozen=True)
class ExplainOptions:
    """What is asked; see the options' help. `folder` None is one in the run's folder."""

    method: str = DEFAULT
    class_name: str | None = None
    layer: str = ""
    check: bool = False
    folder: Path | None = None


def explain(first: Path, words: Sequence[str], rule: Rule | None, options: ExplainOptions, output: Output) -> bool:
    """Draw maps over images, and write them as numbers; return whether all images could be read.

    The words are images, and before them the models that answer as one with the first, by the rule.
    """
    method = method_of(options.method)
    paths, words = named_models(first, words)
    model = model_from(paths, rule)
    check_model(model)
    if not words and not options.check:
        hint = "give image files, folders of images, or - for standard input"
        raise UsageError("there is no image to look at", hint)
    inputs = find_inputs(words, "explain") if words else None
    folder = _folder(model, method, options, inputs)
    with stopping_at_once("what was written is whole"):
        from clfctl.explaining.explain import make_explainer
        from clfctl.explaining.open import open_networks

        explainer = make_explainer(open_networks(model), method, options.class_name, options.layer)
        if inputs is None:
            _check_held_out(explainer, folder, output)
            return True
        return _explain(explainer, inputs, folder, output, n_checked=_n_checked(method) if options.check else 0)


def _explain(explainer: "Explainer", inputs: Inputs, folder: Path, output: Output, *, n_checked: int) -> bool:
    """Explain images and test the maps of the first `n_checked`; return whether all images could be read."""
    from clfctl.display.explain_check import check_lines, check_record, print_checks
    from clfctl.display.explain_files import Files, write_check
    from clfctl.display.explain_text import plain_lines, print_explained, record_of

    files, seen = Files(folder, " of ".join(filter(None, (explainer.method.name, explainer.layer)))), list[list[Any]]()
    found: list[Explanation] = []
    with output.bar("Explaining", sum(1 for _ in inputs)) as advance:
        for name in inputs:
            explanation, pixels = explainer.look(name)
            files.add(explanation)
            found.append(explanation.without_pictures())
            if not explanation.error and len(seen) < n_checked:
                seen.append(pixels)
            advance(1)
    files.finish()
    checks = _checks(explainer, found, seen, output) if n_checked else []
    rows = [*zip(found, files.names, strict=True)]

    def tables(console: "Console") -> None:
        print_explained(rows, console)
        print_checks(checks, console)

    output.result(
        json=lambda: [*(record_of(*row, folder) for row in rows), *map(check_record, checks)],
        plain=lambda: [*plain_lines(rows), *check_lines(checks)],
        rich=tables,
    )
    output.note(*files.summary(), *([f"Wrote {write_check(folder, checks)}"] if n_checked else []))
    output.note(*(f"Not searched: {plain(each)}: {why}" for each, why in inputs.unlisted.items()))
    return not (any(each.error for each in found) or inputs.unlisted)


def _check_held_out(explainer: "Explainer", folder: Path, output: Output) -> None:
    """Test the maps of images that the run held out, and write what was found; no picture of them.

    Raises DataError if none of them can be read.
    """
    from clfctl.display.explain_check import check_lines, check_record, print_checks
    from clfctl.display.explain_files import write_check
    from clfctl.explaining.held_out import held_out_images

    names, images = held_out_images(explainer.networks[0], _n_checked(explainer.method), output.note)
    found: list[Explanation] = []
    seen = list[list[Any]]()
    with output.bar("Explaining", len(names)) as advance:
        for name, image in images:
            explanation, pixels = explainer.look(name, image)
            found.append(explanation.without_pictures())
            if explanation.error:
                output.note(f"Bad image left out: {plain(name)}: {explanation.error}")
            else:
                seen.append(pixels)
            advance(1)
    if not seen:
        raise DataError("none of the images that were held out can be read", "`clfctl check-data` looks at all of them")
    checks = _checks(explainer, found, seen, output)
    output.result(
        json=lambda: map(check_record, checks),
        plain=lambda: check_lines(checks),
        rich=lambda console: print_checks(checks, console),
    )
    output.note(f"Wrote {write_check(folder, checks)}")


def list_layers_of(first: Path, words: Sequence[str], options: ExplainOptions, output: Output) -> None:
    """Print the layers whose output is a map over the image, and which of them is looked at."""
    model = model_from(named_models(first, words)[0])
    check_model(model)
    from clfctl.display.explain_text import layer_lines, layer_records
    from clfctl.explaining.layers import choose_layer, named_layer, try_layers
    from clfctl.explaining.open import open_networks

    for network in open_networks(model).networks:
        inside = network.within(method_of(options.method).name)
        layers = try_layers(inside.model, network.info.preprocess.image_size, network.info.name)
        if options.layer:
            chosen = named_layer(inside.model, layers, options.layer, network.file)
        else:
            chosen = choose_layer(inside.model, layers, network.info.name)
        output.result(
            json=partial(layer_records, layers, chosen),
            plain=partial(layer_lines, layers, chosen),
        )


def _folder(model: Model, method: Method, options: ExplainOptions, inputs: Inputs | None) -> Path:
    """Return where the maps are written. Raises UsageError where they cannot be, or would be found as images."""
    folder = options.folder
    if folder is None:
        chosen = folder_name(options.class_name) if options.class_name is not None else ""
        folder = _place(model) / FOLDER / shortened("-".join(filter(None, (method.name, options.layer, chosen))))
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise UsageError(f"{there} is not a folder", field="output")
    if not os.access(there, os.W_OK):
        raise UsageError(f"{there} is read-only", "`output=` names another folder", field="output")
    for each in inputs.folders if inputs else ():
        if _is_found(folder.resolve(), each.resolve()):
            hint = "what is written there would be found and explained the next time; `output=` names another folder"
            raise UsageError(f"{folder} lies in {each}, which is searched for images", hint, field="output")
    return folder


def _is_found(folder: Path, searched: Path) -> bool:
    """Return whether images in a folder are found where another one is searched, which passes runs in it over."""
    if not folder.is_relative_to(searched):
        return False
    between = (folder, *folder.parents)[: len(folder.parts) - len(searched.parts)]
    return not any(map(is_run, map(str, between)))


def _place(model: Model) -> Path:
    """Return the folder of a run or an ensemble; of several runs that of the first, of a file that of its run."""
    path = model.members[0].path if isinstance(model, Ensemble) else model
    if path.is_dir():
        return path
    run = run_of(path)
    return run.path if run.config.is_file() else path.parent


def _n_checked(method: Method) -> int:
    return N_CHECKED if method.of_layer else N_CHECKED_SLOWLY


def _checks(
    explainer: "Explainer", found: Sequence["Explanation"], seen: Sequence[Sequence[Any]], output: Output
) -> list["tuple[str, Check | None]"]:
    """Return the tests of each network's maps, with the file of the network."""
    import numpy as np

    from clfctl.engine.as_it_was import as_it_was
    from clfctl.explaining.check import check_maps

    named = [each.class_name for each in found if not each.error][: len(seen)]
    checks: list[tuple[str, Check | None]] = []
    for place, (network, layer) in enumerate(zip(explainer.networks, explainer.layers, strict=True)):
        known = network.info.classes
        chosen = [at for at, name in enumerate(named) if name in known]
        if not chosen:
            checks.append((str(network.file), None))
            continue
        pixels = np.stack([seen[at][place] for at in chosen])
        classes = np.array([known.index(named[at]) for at in chosen])
        with as_it_was(), output.bar("Testing the maps", 4 * len(pixels)) as advance:
            checks.append((str(network.file), check_maps(network, explainer.method, layer, pixels, classes, advance)))
    return checks
