"""What can go wrong with accounts.

::

    InvalidInput
    ├── WrongPassword        name or password wrong, or the account not active
    ├── PasswordExpired      the password is right and must be changed first
    └── AccountsFileProblems rows of an observatory file that cannot be applied
"""

from ocs.kernel.errors import InvalidInput


class WrongPassword(InvalidInput):
    """Name or password are wrong, or the account is not active; which of them is not told."""

    code = "wrong_password"
    detail = "Unable to log in with provided credentials."


class PasswordExpired(InvalidInput):
    """The password is right, but it has to be changed before it is good for anything else."""

    code = "password_expired"
    detail = "Your password expired; log in at /accounts/login/ to set a new one."
