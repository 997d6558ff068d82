"""How fast images can be fed, what limits that, and what to set: measuring, advice, and what is shown of it."""
