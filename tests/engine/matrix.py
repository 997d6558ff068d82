"""What training must hold for: a feature joins every test of exact resume by one line here."""

# Every kind of schedule, with parameters that make it move in three epochs; a chain; classes of torch and timm.
SCHEDULES: dict[str, dict[str, object]] = {
    "step": {"step_size": 1},
    "plateau": {"patience": 0, "threshold": 0.5},
    "cosine": {},
    "constant": {},
    "multistep": {"milestones": "1,2"},
    "exponential": {"gamma": 0.5, "lr_every": "batch"},
    "linear": {},
    "polynomial": {"power": 2},
    "cosine-restarts": {"cycles": 2},
    "onecycle": {},
    "inverse-sqrt": {},
    "wsd": {"decay": 0.5},
    "linear(start=0.1):1 > 0.5*cosine(every=batch):1 > plateau(patience=0)": {},
    "torch:CyclicLR(base_lr=1e-5, max_lr=1e-3, step_size_up=4, every=batch)": {},
    "torch:ReduceLROnPlateau(patience=0, factor=0.5)": {},
    "timm:TanhLRScheduler(t_initial=3)": {},
}

# Settings that a resumed run must end with the same bits under: each is trained whole, and stopped at several places.
FEATURES: dict[str, dict[str, object]] = {
    **{f"schedule {name}": {"scheduler": name, **options} for name, options in SCHEDULES.items()},
    "warmup": {"scheduler": "cosine", "warmup": 1},
    "warmup of batches": {"scheduler": "plateau", "patience": 0, "warmup": "4b"},
    "warmup outside": {"scheduler": "onecycle", "warmup": 1, "warmup_inside": False, "epochs": 2},
    "smoothed plateau": {"scheduler": "plateau", "patience": 0, "plateau_smooth": 0.5},
    "cooldown": {"early_stopping": 1, "cooldown": 2, "lr": 1e-9, "epochs": 4},
    "bf16": {"amp": "bf16"},
    "clipping": {"clip_grad": 0.5},
    "label smoothing": {"label_smoothing": 0.1},
    "dropout": {"dropout": 0.5},
    "drop path": {"drop_path": 0.5},
    "weight decay": {"optimizer": "adamw", "weight_decay": 0.1},
    "sgd": {"optimizer": "sgd"},
    "lamb": {"optimizer": "lamb"},
    "balance by the sampler": {"balance": "sampler", "augment": "light"},
    "balance by the loss": {"balance": "loss", "label_smoothing": 0.1},
    "balance by the loss in bf16": {"balance": "loss", "amp": "bf16"},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
    "mixup or cutmix": {"mixup": 0.8, "cutmix": 1.0, "balance": "loss", "label_smoothing": 0.1},
    "no workers": {"augment": "light", "workers": 0},
    "one worker": {"augment": "light", "workers": 1},
    "two workers": {"augment": "light", "workers": 2},
    "the last batch of one image": {"batch_size": 13},
    "all at once": {
        "scheduler": "linear:1 > cosine", "warmup": 0.5, "amp": "bf16", "clip_grad": 1.0, "label_smoothing": 0.1,
        "dropout": 0.2, "drop_path": 0.2, "optimizer": "adamw", "weight_decay": 0.05, "augment": "light",
    },
}  # fmt: skip
