"""Metrics of a trained model."""
