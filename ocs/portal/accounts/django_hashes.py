"""Password hashes of the reference system, so that people keep their passwords when they move here."""

import base64
import hashlib
import hmac

from pwdlib.hashers import HasherProtocol
from pwdlib.hashers.argon2 import Argon2Hasher


class DjangoHasher(HasherProtocol):
    """Reads ``pbkdf2_sha256$iterations$salt$hash``; the next login replaces it by argon2id."""

    @classmethod
    def identify(cls, hash: str | bytes) -> bool:  # noqa: A002 - the library's name
        """Tell whether this is such a hash."""
        return (hash.decode() if isinstance(hash, bytes) else hash).startswith("pbkdf2_sha256$")

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        """Never called: new passwords are argon2id."""
        raise NotImplementedError

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002
        """Tell whether the password is right."""
        stored = hash.decode() if isinstance(hash, bytes) else hash
        secret = password.encode() if isinstance(password, str) else password
        try:
            _, iterations, salt, digest = stored.split("$")
            found = hashlib.pbkdf2_hmac("sha256", secret, salt.encode(), int(iterations))
        except ValueError:
            return False
        return hmac.compare_digest(base64.b64encode(found), digest.encode())

    def check_needs_rehash(self, hash: str | bytes) -> bool:  # noqa: A002
        """Return True: it is replaced as soon as the password is known."""
        return True


PASSWORD_HASHERS: tuple[HasherProtocol, ...] = (Argon2Hasher(), DjangoHasher())
"""The first one makes new hashes; the others are read."""
