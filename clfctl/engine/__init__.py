"""The training loop and the parts that only it needs."""
