"""Several trained models as one: measured together, weighted, and kept in a folder of their own."""
