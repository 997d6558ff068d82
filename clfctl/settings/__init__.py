"""The settings: their groups, where their values come from, and how they are written down again."""
