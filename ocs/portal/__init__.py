"""The observation portal: people and proposals, requests and observations."""
