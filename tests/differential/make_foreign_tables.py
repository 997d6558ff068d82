"""Write foreign_tables.json: rates of real schedules of transformers, Keras and Ultralytics.

They are not needed to test clfctl. To make the table again, with them installed somewhere on the path:

    KERAS_BACKEND=torch python -m tests.differential.make_foreign_tables

Keras computes in 64 bits here. Ultralytics' trainer cannot be made without a model: the two functions of its source
that set the rate are run by themselves.
"""

import ast
import json
import math
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PATH = Path(__file__).with_name("foreign_tables.json")
N, LR = 7, 0.25
# (our text, the name, warmup steps, all steps, arguments)
HUGGING_FACE: list[tuple[str, str, int, int, dict[str, Any]]] = [
    ("linear --warmup_steps 10 --num_train_epochs 6", "linear", 10, 42, {}),
    ("linear --num_train_epochs 1 --warmup_ratio 0.1", "linear", 1, 7, {}),
    ("cosine --warmup_ratio 0.1 --num_train_epochs 6", "cosine", 5, 42, {}),
    ("cosine --warmup_steps 5 --max_steps 42 num_cycles=1.5", "cosine", 5, 42, {"num_cycles": 1.5}),
    ("cosine_with_restarts --warmup_steps 4 --num_train_epochs 6 --lr_scheduler_kwargs '{\"num_cycles\": 3}'",
     "cosine_with_restarts", 4, 42, {"num_cycles": 3}),
    ("cosine_with_restarts --warmup_steps 4 --num_train_epochs 6", "cosine_with_restarts", 4, 42, {}),
    ("polynomial --warmup_steps 3 --num_train_epochs 6", "polynomial", 3, 42, {}),
    ("polynomial --num_train_epochs 6 power=2.5 lr_end=0.01", "polynomial", 0, 42, {"power": 2.5, "lr_end": 0.01}),
    ("constant --warmup_steps 3 --num_train_epochs 2", "constant", 3, 14, {}),
    ("constant_with_warmup --warmup_steps 9 --num_train_epochs 3", "constant_with_warmup", 9, 21, {}),
    ("inverse_sqrt --warmup_steps 9 --num_train_epochs 6", "inverse_sqrt", 9, 42, {}),
    ("inverse_sqrt --warmup_steps 9 --num_train_epochs 6 timescale=20", "inverse_sqrt", 9, 42, {"timescale": 20}),
    ("inverse_sqrt --num_train_epochs 6", "inverse_sqrt", 0, 42, {}),
    ("cosine_with_min_lr --warmup_steps 5 --num_train_epochs 6 min_lr=0.01", "cosine_with_min_lr", 5, 42,
     {"min_lr": 0.01}),
    ("cosine_with_min_lr --num_train_epochs 6 min_lr_rate=0.1", "cosine_with_min_lr", 0, 42, {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr --warmup_steps 5 --num_train_epochs 6 min_lr_rate=0.1", "cosine_warmup_with_min_lr", 5,
     42, {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr --warmup_steps 5 --num_train_epochs 6 min_lr=0.01 warmup_lr_rate=0.3",
     "cosine_warmup_with_min_lr", 5, 42, {"min_lr": 0.01, "warmup_lr_rate": 0.3}),
    ("cosine_warmup_with_min_lr --num_train_epochs 6 min_lr=0.01", "cosine_warmup_with_min_lr", 0, 42,
     {"min_lr": 0.01}),
    ("warmup_stable_decay --warmup_steps 6 --num_train_epochs 6 num_decay_steps=13", "warmup_stable_decay", 6, 42,
     {"num_decay_steps": 13}),
    ("warmup_stable_decay --warmup_steps 6 --num_train_epochs 6 num_decay_steps=13 decay_type=1-sqrt min_lr_ratio=0.1",
     "warmup_stable_decay", 6, 42, {"num_decay_steps": 13, "decay_type": "1-sqrt", "min_lr_ratio": 0.1}),
    ("warmup_stable_decay --warmup_steps 6 --num_train_epochs 6 num_stable_steps=10 num_decay_steps=13 "
     "decay_type=linear warmup_type=cosine min_lr_ratio=0.05", "warmup_stable_decay", 6, 42,
     {"num_stable_steps": 10, "num_decay_steps": 13, "decay_type": "linear", "warmup_type": "cosine",
      "min_lr_ratio": 0.05}),
]  # fmt: skip
METRICS = (0.9, 0.8, 0.85, 0.85, 0.81, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76, 0.5, 0.51, 0.52, 0.53, 0.54, 0.55)
KERAS = [
    "ExponentialDecay(0.25, decay_steps=10, decay_rate=0.5)",
    "ExponentialDecay(0.25, 14, 0.5, staircase=True)",
    "ExponentialDecay(0.25, 10, 0.5, staircase=True)",
    "PiecewiseConstantDecay([5, 20, 30], [0.25, 0.1, 0.05, 0.0])",
    "PiecewiseConstantDecay(boundaries=[20], values=[0.25, 0.3])",
    "PolynomialDecay(0.25, 30, end_learning_rate=0.01, power=2.0)",
    "PolynomialDecay(0.25, 100)",
    "InverseTimeDecay(0.25, decay_steps=10, decay_rate=0.5)",
    "CosineDecay(0.25, decay_steps=42)",
    "CosineDecay(0.25, decay_steps=30, alpha=0.1)",
    "CosineDecay(0.0, decay_steps=36, warmup_target=0.25, warmup_steps=6)",
    "CosineDecay(0.05, decay_steps=20, alpha=0.1, warmup_target=0.25, warmup_steps=10)",
    "CosineDecay(0.05, decay_steps=100, warmup_target=0.25, warmup_steps=10)",
    "CosineDecayRestarts(0.25, first_decay_steps=6)",
    "CosineDecayRestarts(0.25, 10, t_mul=1.0, m_mul=0.5)",
    "CosineDecayRestarts(0.25, 5, t_mul=1.5, alpha=0.1)",
]
KERAS_PLATEAU = [
    "ReduceLROnPlateau()",
    "ReduceLROnPlateau(patience=2, factor=0.5)",
    "ReduceLROnPlateau(patience=0, factor=0.5, min_lr=0.01)",
    "ReduceLROnPlateau(patience=1, factor=0.5, cooldown=2)",
    "ReduceLROnPlateau(patience=2, factor=0.5, cooldown=1, min_delta=0.05)",
    "ReduceLROnPlateau(monitor='val_accuracy', mode='max', patience=2, factor=0.5)",
]
ULTRALYTICS: list[dict[str, Any]] = [
    {"lr0": 0.01, "lrf": 0.01, "epochs": 10},
    {"lr0": 0.01, "lrf": 0.1, "cos_lr": True, "epochs": 10, "warmup_epochs": 3.0},
    {"lr0": 0.02, "lrf": 0.01, "cos_lr": True, "epochs": 6, "warmup_epochs": 1.5},
    {"lr0": 0.01, "lrf": 0.5, "epochs": 2, "warmup_epochs": 3},
    {"lr0": 0.01, "lrf": 0.0, "epochs": 5, "warmup_epochs": 0},
]


def hugging_face() -> Iterator[tuple[str, list[float]]]:
    import torch

    optimization = import_module("transformers.optimization")
    for text, name, warmup, steps, arguments in HUGGING_FACE:
        optimizer = torch.optim.SGD([torch.zeros(1)], LR)
        made = optimization.get_scheduler(name, optimizer, warmup, steps, arguments)
        rates = []
        for _ in range(steps):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            made.step()
        yield f"hf: {text} --learning_rate {LR}", rates


def keras() -> Iterator[tuple[str, list[float]]]:
    library = import_module("keras")
    library.config.set_floatx("float64")
    for text in KERAS:
        made = eval(f"schedules.{text}", {"schedules": library.optimizers.schedules})
        yield f"keras: {text}", [float(made(step)) for step in range(6 * N)]
    for text in KERAS_PLATEAU:
        made = eval(f"callbacks.{text}", {"callbacks": library.callbacks})
        optimizer = library.optimizers.SGD(LR)
        made.set_model(
            SimpleNamespace(optimizer=optimizer, metrics=[SimpleNamespace(name="accuracy", _direction="up")])
        )
        made.on_train_begin()
        rates = []
        for epoch, metric in enumerate(METRICS):
            rates.append(float(optimizer.learning_rate))
            made.on_epoch_end(epoch, {made.monitor: metric})
        yield f"keras: {text}", rates


def ultralytics() -> Iterator[tuple[str, list[float]]]:
    import numpy as np

    found = find_spec("ultralytics")
    assert found
    assert found.origin
    root = Path(found.origin).parent
    names: dict[str, Any] = {
        "math": math,
        "optim": SimpleNamespace(lr_scheduler=SimpleNamespace(LambdaLR=lambda *_, **__: 0)),
    }
    for file, function in (
        ("utils/torch_utils.py", "one_cycle"),
        ("engine/trainer.py", "_setup_scheduler"),
        ("engine/trainer.py", "_get_warmup_iterations"),
    ):
        tree = ast.parse((root / file).read_text(encoding="utf-8"))
        node = next(each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == function)
        exec(compile(ast.Module([node], []), file, "exec"), names)
    for stated in ULTRALYTICS:
        options = {"lrf": 0.01, "cos_lr": False, "warmup_epochs": 3.0} | stated
        trainer = SimpleNamespace(args=SimpleNamespace(**options), epochs=options["epochs"], optimizer=None)
        names["_setup_scheduler"](trainer)
        n_warmup, rates, lr = names["_get_warmup_iterations"](trainer, N), [], options["lr0"]
        for epoch in range(trainer.epochs):
            lr = options["lr0"] * trainer.lf(epoch)  # what LambdaLR sets when the epoch begins
            for batch in range(N):
                n = epoch * N + batch
                if n_warmup and n <= n_warmup:
                    lr = float(np.interp(n, [0, n_warmup], [0.0, options["lr0"] * trainer.lf(epoch)]))
                rates.append(lr)
        yield "ultralytics: " + " ".join(f"{name}={value}" for name, value in stated.items()), rates


if __name__ == "__main__":
    libraries = {"transformers": hugging_face, "keras": keras, "ultralytics": ultralytics}
    rates = {text: rates for make in libraries.values() for text, rates in make()}
    head = {"made_with": {name: version(name) for name in libraries}, "steps_per_epoch": N, "metrics": METRICS}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    # A case a line.
    cases = ",\n".join(f"{json.dumps(text)}: {json.dumps(values)}" for text, values in rates.items())
    PATH.write_text("{\n" + ",\n".join([*lines, f'"rates": {{\n{cases}\n}}']) + "\n}\n", encoding="utf-8")
