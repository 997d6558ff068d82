"""From settings to the learning rate of every step; what changes at resume, and what a preview shows."""
