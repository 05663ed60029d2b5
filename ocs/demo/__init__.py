"""The demo observatory: a network, its people, their requests, and telescopes that are ordinary HTTP clients."""
