"""Bytes on disk that survive: writes, locks, tensor files, JSON lines. Knows nothing of images or training."""
