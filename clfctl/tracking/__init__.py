"""Trackers that watch a training: what is recorded of it, written for TensorBoard, MLflow, W&B, or as CSV."""
