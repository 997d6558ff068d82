"""A run on disk: its folder, its state, its checkpoints."""
