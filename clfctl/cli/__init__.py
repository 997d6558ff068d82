"""Typer and nothing else: the commands' names, options and help, completion, and errors as sentences."""
