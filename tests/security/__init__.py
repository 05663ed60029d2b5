"""What must hold at every address at once."""
