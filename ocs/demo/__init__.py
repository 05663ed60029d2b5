"""The demo observatory: a network, people, requests, and telescopes that are ordinary HTTP clients."""
