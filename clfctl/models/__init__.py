"""The networks: the custom CNN, any timm model, and weights from files."""
