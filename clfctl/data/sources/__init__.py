"""What images there are, of which class, in which part."""
