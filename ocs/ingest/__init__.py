"""From files that telescopes write to frames in the archive."""
