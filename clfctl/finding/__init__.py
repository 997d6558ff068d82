"""What the losses of a range test say of the learning rate: pure functions of numbers, without torch."""
