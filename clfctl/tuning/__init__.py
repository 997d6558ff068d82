"""A search for settings: trials chosen by Optuna, each a run of its own, in a study that can be stopped and go on."""
