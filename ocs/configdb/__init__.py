"""Configuration database: sites, enclosures, telescopes, instruments, modes and their history."""
