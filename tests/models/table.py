"""clfctl/models/timm_table.tsv is made here, of the installed timm: `python -m tests.models.table` writes it.

A quarter of an hour: every model is built once, without memory for its weights (torch's meta device).
"""

import os
import sys
from pathlib import Path

import timm
import torch

from clfctl.models.timm_models import TimmModels
from clfctl.models.timm_table import PATH, Row, write_table
from clfctl.models.weights import COUNTER


def row_of(name: str) -> Row:
    """Return what the table says of a model."""
    config = timm.get_pretrained_cfg(name)
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    head, state = TimmModels().head(model), model.state_dict()
    body = [each for key, each in state.items() if key not in head and not key.endswith(COUNTER)]
    return Row(
        name=name,
        n_parameters=sum(each.numel() for each in model.parameters()),
        height=config.input_size[1],
        width=config.input_size[2],
        head=tuple(sorted({key.rpartition(".")[0] for key in head})),
        n_body=len(body),
        n_values=sum(each.numel() for each in body),
        published=_published(name, config.tag or ""),
    )


def _published(name: str, default: str) -> tuple[tuple[str, str], ...]:
    """Return (tag, where it is, if not in timm's own place) of all published weights, first those that timm takes."""
    found = []
    for each in timm.list_pretrained(f"{name}.*") + timm.list_pretrained(name):
        config = timm.get_pretrained_cfg(each)
        if config.architecture != name:
            continue
        place = "" if config.hf_hub_id == f"timm/{each}" else config.hf_hub_id or config.url or ""
        found.append((config.tag or "", place))
    found = list(dict.fromkeys(found))
    return tuple(sorted(found, key=lambda each: (each[0] != default, each[0])))


def main() -> None:
    """Write the table, of the models that are named alone to the standard output."""
    if sys.argv[1:]:
        for name in sys.argv[1:]:
            print(row_of(name))
        return
    os.nice(19)
    rows = []
    for name in sorted(timm.list_models()):
        try:
            rows.append(row_of(name))
        except Exception as error:  # whatever its constructor stumbles over
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    write_table(Path(PATH), timm.__version__, rows)


if __name__ == "__main__":
    main()
