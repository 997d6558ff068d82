"""What lr-preview shows: from what is asked for (asked.py), over its subjects (tracks.py), to tracks (track.py)."""
