"""What can go wrong with accounts.

::

    InvalidInput
    ├── WrongPassword        name or password wrong, or the account not active
    │   └── PasswordExpired  the password is right and must be changed first
    ├── LoginIncomplete      a browser's login without name or password
    ├── UserExists           the name or the e-mail address belongs to somebody
    └── WeakPassword         a password that is easy to guess
    NotFound
    └── UnknownUser          no user has this name
    NotAuthenticated
    └── LoginRefused         a browser's login that fails; 401
"""

from ocs.kernel.errors import InvalidInput, NotAuthenticated, NotFound


class WrongPassword(InvalidInput):
    """Name or password are wrong, or the account is not active; which of them is not told."""

    code = "wrong_password"
    detail = "Unable to log in with provided credentials."

    def __init__(self) -> None:
        super().__init__(body={"non_field_errors": [type(self).detail]})


class PasswordExpired(WrongPassword):
    """The password is right, but it has to be changed before it is good for anything else."""

    code = "password_expired"
    detail = "Your password expired; log in at /accounts/login/ to set a new one."


class LoginIncomplete(InvalidInput):
    """A login lacks the name or the password."""

    code = "login_incomplete"

    def __init__(self) -> None:
        super().__init__(body={"message": "Must provide a `username` and `password`."})


class LoginRefused(NotAuthenticated):
    """A browser's login failed."""

    status = 401
    code = "login_refused"

    def __init__(self, sentence: str = "Invalid credentials.") -> None:
        super().__init__(sentence, body={"message": sentence})


class UserExists(InvalidInput):
    """The name or the e-mail address belongs to somebody already."""

    code = "user_exists"


class UnknownUser(NotFound):
    """No user has this name."""

    code = "unknown_user"

    def __init__(self, username: str) -> None:
        super().__init__(f"There is no user {username}.")


class WeakPassword(InvalidInput):
    """The password is easy to guess."""

    code = "weak_password"
