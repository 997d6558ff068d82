"""Images that are decoded once: in memory or in a file."""
