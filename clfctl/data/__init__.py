"""From files to batches: index, splits, decoding, augmentation, loading."""
