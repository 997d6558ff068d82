"""What a model looks at: heat maps of its answers."""
