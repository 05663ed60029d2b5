"""How the accounts derive what they store of a secret."""

from datetime import datetime

from ocs.kernel.security import Vault


def client_secret_hash(vault: Vault, client_id: str, secret: str) -> str:
    """Return what is stored of an application's secret.

    People choose these secrets, so the hash is keyed: without the installation's key, which is not in the
    database, nobody can try candidates. It is cheap because services send the secret with every call.
    """
    return vault.sign("oauth client secret", f"{client_id}:{secret}")


def archive_token(vault: Vault, user_id: int, created_at: datetime) -> str:
    """Return the archive token (32 hex characters) of a user made at `created_at`."""
    return vault.sign("archive token", f"{user_id}:{created_at.isoformat()}")
