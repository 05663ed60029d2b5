"""Request groups: what is to be observed, checked against what the observatory can do."""
