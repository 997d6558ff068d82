"""Runs beside each other: what differs in how they were made, in what they learned and in what they cost."""
