"""Who people are: users, the ways they prove it, and the OAuth2 provider other services log in through."""
