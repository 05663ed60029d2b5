"""Planning without an account: when targets are visible, the nights of a site, the sky over it."""
