"""What the user sees: tables, live progress, terminal curves and PNG plots."""
