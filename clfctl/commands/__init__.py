"""What each command does, one file each: the only layer that joins engine and display."""
