"""Pages with at most one form, which the web front ends embed: login, registration, passwords, consent.

Success is a page without a form, failure the same page with the form and what is wrong.
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader

from ocs.kernel.errors import PermissionDenied, TooManyRequests
from ocs.kernel.runtime import RuntimeDep
from ocs.kernel.security import CSRF_COOKIE, CSRF_HEADER, SESSION_COOKIE, Principal
from ocs.kernel.wire.route import Reading, Writing, make_router
from ocs.portal.accounts.browser import set_csrf_cookie, set_session_cookies
from ocs.portal.accounts.dependencies import AccountsDep, ClientAddress
from ocs.portal.accounts.errors import UserExists, WeakPassword
from ocs.portal.accounts.oauth import Provider, read_request
from ocs.portal.accounts.registration import Registration, Registrations
from ocs.portal.accounts.service import Accounts

router = make_router("account-pages")

_templates = Environment(loader=PackageLoader("ocs.portal.accounts"), autoescape=True)
_RESET_COOKIE = "password_reset"
_NEXT_STEP = "set-password"
_RESET_PATH = "/accounts/password/reset/confirm/"


@dataclass(frozen=True, slots=True)
class Field:
    """An input of a form."""

    name: str
    label: str
    type: str = "text"
    max_length: int | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """A page with a form."""

    title: str
    submit: str
    fields: tuple[Field, ...]
    texts: tuple[str, ...] = ()
    button: str = ""

    def show(
        self,
        request: Request,
        values: Mapping[str, str] | None = None,
        errors: Mapping[str, Sequence[str]] | None = None,
        hidden: Mapping[str, str] | None = None,
        texts: Sequence[str] = (),
        status: int = 200,
    ) -> HTMLResponse:
        """Return the page; the browser gets the cookie that its answer must match."""
        token = request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(24)
        content = _templates.get_template("page.html").render(
            title=self.title,
            submit=self.submit,
            fields=self.fields,
            button=self.button,
            texts=[*self.texts, *texts],
            action=request.url.path,
            csrf_token=token,
            values=values or {},
            errors=errors or {},
            hidden=hidden or {},
        )
        response = _page(content, status)
        set_csrf_cookie(request, response, token)
        return response


def _page(content: str, status: int = 200) -> HTMLResponse:
    headers = {
        "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'self'",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(content, status, headers)


def _text(title: str, *texts: str, status: int = 200) -> HTMLResponse:
    return _page(_templates.get_template("page.html").render(title=title, texts=texts), status)


LOGIN = Form(
    "Log in",
    "Log in",
    (Field("username", "Username or e-mail address"), Field("password", "Password", "password")),
)
REGISTER = Form(
    "Register",
    "Register",
    (
        Field("first_name", "First name", max_length=150),
        Field("last_name", "Last name", max_length=150),
        Field("institution", "Institution", max_length=200),
        Field("title", "Title", max_length=200),
        Field("email", "E-mail address", "email", max_length=254),
        Field("username", "Username", max_length=50),
        Field("password1", "Password", "password"),
        Field("password2", "Password again", "password"),
        Field("simple_interface", "Simple interface", "checkbox", required=False),
        Field("tos", "I accept the terms of service", "checkbox"),
    ),
    ("The password needs at least 8 characters.",),
)
_NEW_PASSWORD = (
    Field("new_password1", "New password", "password"),
    Field("new_password2", "New password again", "password"),
)
CHANGE = Form(
    "Change your password",
    "Change",
    (Field("old_password", "Old password", "password"), *_NEW_PASSWORD),
)
RESET = Form("Reset your password", "Send", (Field("email", "E-mail address", "email"),))
SET = Form("Set a new password", "Set", _NEW_PASSWORD)
RESEND = Form("Resend the activation", "Send", (Field("email", "E-mail address", "email"),))
CONSENT = Form("Allow access", "Allow", (), button="allow")


async def _form(request: Request) -> dict[str, str]:
    """Read a form whose sender has seen our page."""
    sent = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    cookie = request.cookies.get(CSRF_COOKIE, "")
    proof = request.headers.get(CSRF_HEADER) or sent.pop("csrfmiddlewaretoken", "")
    if not cookie or not hmac.compare_digest(cookie.encode(), proof.encode()):
        raise PermissionDenied("CSRF Failed: CSRF token missing or incorrect.")
    sent.pop("csrfmiddlewaretoken", None)
    return sent


async def _visitor(request: Request, session: Reading, runtime: RuntimeDep) -> Principal | None:
    key = request.cookies.get(SESSION_COOKIE)
    return await runtime.authenticator.by_session(session, key) if key else None


def _registrations(session: Writing, runtime: RuntimeDep) -> Registrations:
    return Registrations(session, runtime)


Visitor = Annotated[Principal | None, Depends(_visitor)]
SentForm = Annotated[dict[str, str], Depends(_form)]
RegistrationsDep = Annotated[Registrations, Depends(_registrations)]


def _local(target: str, otherwise: str) -> str:
    """Return where to go next, if that is one of our own pages."""
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if safe else otherwise


def _to_login(request: Request) -> RedirectResponse:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/accounts/login/?{urlencode({'next': target})}", 302)


# --- login ----------------------------------------------------------------------------------------------


@router.get("/accounts/login/", summary="Page: log in", response_class=HTMLResponse)
async def login_page(request: Request) -> Response:
    """Show the login form."""
    return LOGIN.show(request, hidden={"next": request.query_params.get("next", "")})


@router.post("/accounts/login/", summary="Log a browser in by form", response_class=HTMLResponse)
async def login(
    request: Request, form: SentForm, address: ClientAddress, session: Writing, accounts: AccountsDep
) -> Response:
    """Start a browser session and go on."""
    name = form.get("username", "")
    hidden = {"next": form.get("next", "")}
    try:
        found = await accounts.logins.check(name, form.get("password", ""), address=address)
    except TooManyRequests as error:
        return LOGIN.show(request, {"username": name}, {"": [error.detail]}, hidden, status=429)
    if found is None:
        sentence = "Enter a correct username and password. Note that the password is case-sensitive."
        return LOGIN.show(request, {"username": name}, {"": [sentence]}, hidden)
    target = _local(form.get("next", ""), "/accounts/loggedinstate/")
    response = RedirectResponse("/accounts/password/change/" if found.password_expired else target, 302)
    set_session_cookies(request, response, await accounts.start_session(session, found.user_id))
    return response


@router.get("/accounts/loggedinstate/", summary="Page: who is logged in", response_class=HTMLResponse)
async def logged_in_state(visitor: Visitor) -> Response:
    """Say who is logged in."""
    return _text(f"Logged in as {visitor.username}" if visitor else "You are logged out")


# --- registration ---------------------------------------------------------------------------------------


@router.get("/accounts/register/", summary="Page: register", response_class=HTMLResponse)
async def register_page(request: Request, visitor: Visitor) -> Response:
    """Show the registration form."""
    if visitor is not None:
        return RedirectResponse("/accounts/loggedinstate/", 302)
    return REGISTER.show(request, {"email": request.query_params.get("email", "")})


@router.post("/accounts/register/", summary="Register by form", response_class=HTMLResponse)
async def register(request: Request, form: SentForm, registrations: RegistrationsDep) -> Response:
    """Create an account that its owner activates by mail."""
    registration, problems = Registration.read(form)
    if registration is not None:
        try:
            await registrations.register(registration)
            return RedirectResponse("/accounts/register/complete/", 302)
        except (UserExists, WeakPassword) as error:
            problems = error.body
    return REGISTER.show(request, form, problems)


@router.get("/accounts/register/complete/", summary="Page: registered", response_class=HTMLResponse)
async def register_complete() -> Response:
    """Say that a mail is on its way."""
    return _text("Almost done", "We sent you a mail with a link that activates your account.")


@router.get("/accounts/register/closed/", summary="Page: no registration", response_class=HTMLResponse)
async def register_closed() -> Response:
    """Say that nobody can register."""
    return _text("Registration is closed")


@router.get("/accounts/activate/complete/", summary="Page: activated", response_class=HTMLResponse)
async def activate_complete() -> Response:
    """Say that the account is active."""
    return _text("Your account is active", "You can log in now.")


@router.get("/accounts/activate/resend/", summary="Page: new activation", response_class=HTMLResponse)
async def resend_page(request: Request) -> Response:
    """Ask where to send a new activation."""
    return RESEND.show(request)


@router.post("/accounts/activate/resend/", summary="Send a new activation", response_class=HTMLResponse)
async def resend(form: SentForm, registrations: RegistrationsDep) -> Response:
    """Send a new link; the answer does not tell whether there is such an account."""
    await registrations.resend(form.get("email", ""))
    return _text("Sent", "If there is such an account and it is not active yet, a new link is on its way.")


@router.get("/accounts/activate/{key}/", summary="Activate an account", response_class=HTMLResponse)
async def activate(key: str, registrations: RegistrationsDep) -> Response:
    """Activate the account the link was made for."""
    if await registrations.activate(key):
        return RedirectResponse("/accounts/activate/complete/", 302)
    return _text("The account was not activated", "The link is wrong or older than seven days.")


# --- passwords ------------------------------------------------------------------------------------------


@router.get("/accounts/password/change/", summary="Page: change password", response_class=HTMLResponse)
async def change_page(request: Request, visitor: Visitor) -> Response:
    """Show the form."""
    return _to_login(request) if visitor is None else CHANGE.show(request)


def _new_password(form: Mapping[str, str]) -> tuple[str, dict[str, Sequence[str]]]:
    first, second = form.get("new_password1", ""), form.get("new_password2", "")
    problems: dict[str, Sequence[str]] = {}
    if not first:
        problems["new_password1"] = ["This field is required."]
    elif first != second:
        problems["new_password2"] = ["The two password fields didn't match."]
    return first, problems


@router.post("/accounts/password/change/", summary="Change password", response_class=HTMLResponse)
async def change(
    request: Request,
    form: SentForm,
    visitor: Visitor,
    registrations: RegistrationsDep,
    accounts: AccountsDep,
) -> Response:
    """Store a new password; other browser sessions end."""
    if visitor is None or visitor.user_id is None:
        return _to_login(request)
    password, problems = _new_password(form)
    await registrations.session.rollback()  # hold no connection while the password is checked
    old = form.get("old_password", "")[:128]
    if await accounts.logins.check(visitor.username, old) is None:
        problems["old_password"] = ["Your old password was entered incorrectly. Please enter it again."]
    if not problems:
        try:
            await registrations.set_password(visitor.user_id, password)
            response = RedirectResponse("/accounts/password/change/done/", 302)
            key = await accounts.start_session(registrations.session, visitor.user_id)
            set_session_cookies(request, response, key)
            return response
        except WeakPassword as error:
            problems["new_password2"] = error.body["password"]
    return CHANGE.show(request, errors=problems)


@router.get("/accounts/password/change/done/", summary="Page: changed", response_class=HTMLResponse)
async def change_done() -> Response:
    """Say that the password is changed."""
    return _text("Your password is changed")


@router.get("/accounts/password/reset/", summary="Page: reset password", response_class=HTMLResponse)
async def reset_page(request: Request) -> Response:
    """Ask where to send the link."""
    return RESET.show(request)


@router.post("/accounts/password/reset/", summary="Send a reset link", response_class=HTMLResponse)
async def reset(form: SentForm, registrations: RegistrationsDep) -> Response:
    """Send a link; the answer does not tell whether there is such an account."""
    await registrations.send_reset(form.get("email", ""))
    return RedirectResponse("/accounts/password/reset/done/", 302)


@router.get("/accounts/password/reset/done/", summary="Page: link sent", response_class=HTMLResponse)
async def reset_done() -> Response:
    """Say that a mail is on its way."""
    return _text("Look into your mail", "If there is such an account, a link to set a new password is there.")


@router.get("/accounts/password/reset/complete/", summary="Page: reset", response_class=HTMLResponse)
async def reset_complete() -> Response:
    """Say that the new password is set."""
    return _text("Your password is set", "You can log in now.")


def _unsuccessful() -> Response:
    return _text("Password reset unsuccessful", "The link is wrong, used or older than three days.")


@router.get(
    "/accounts/password/reset/confirm/{user}/{token}/",
    summary="Page: set a new password",
    response_class=HTMLResponse,
)
async def confirm_page(request: Request, user: str, token: str, registrations: RegistrationsDep) -> Response:
    """Take the token out of the address, where others could see it, and show the form."""
    if token != _NEXT_STEP:
        if await registrations.reset_user(user, token) is None:
            return _unsuccessful()
        response = RedirectResponse(f"{_RESET_PATH}{user}/set-password/", 302)
        response.set_cookie(
            _RESET_COOKIE,
            token,
            max_age=3600,
            path=_RESET_PATH,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response
    if await registrations.reset_user(user, request.cookies.get(_RESET_COOKIE, "")) is None:
        return _unsuccessful()
    return SET.show(request)


@router.post(
    "/accounts/password/reset/confirm/{user}/set-password/",
    summary="Set a new password",
    response_class=HTMLResponse,
)
async def confirm(request: Request, user: str, form: SentForm, registrations: RegistrationsDep) -> Response:
    """Store the new password; the link is used up."""
    user_id = await registrations.reset_user(user, request.cookies.get(_RESET_COOKIE, ""))
    if user_id is None:
        return _unsuccessful()
    password, problems = _new_password(form)
    if not problems:
        try:
            await registrations.set_password(user_id, password)
            response = RedirectResponse("/accounts/password/reset/complete/", 302)
            response.delete_cookie(_RESET_COOKIE, path=_RESET_PATH)
            return response
        except WeakPassword as error:
            problems["new_password2"] = error.body["password"]
    return SET.show(request, errors=problems)


# --- consent to an application --------------------------------------------------------------------------


async def _authorize(
    request: Request, visitor: Principal, session: Writing, accounts: Accounts, sent: dict[str, str] | None
) -> Response:
    """Show the consent form, or act on it; `sent` is the form, None when nothing was sent yet."""
    query = dict(request.query_params) if sent is None else sent
    call = read_request("GET" if sent is None else "POST", request.headers, query, {}, visitor.user_id)
    problem = await session.run_sync(
        lambda db: Provider(db, accounts.vault, accounts.clock.now()).redirect_problem(call)
    )
    if problem is not None:
        return _text("The application asked in a wrong way", problem, status=400)
    answer = await session.run_sync(
        lambda db: Provider(db, accounts.vault, accounts.clock.now()).authorize(
            call, allow=None if sent is None else bool(sent.get("allow"))
        )
    )
    if answer is None:
        shown = {name: value for name, value in query.items() if name != "allow"}
        text = f"The application {call.application_name} wants to read and write in your name."
        return CONSENT.show(request, hidden=shown, texts=[text])
    return Response(status_code=answer.status, headers=dict(answer.headers))


@router.get("/o/authorize/", summary="Page: consent to an application", response_class=HTMLResponse)
async def authorize_page(
    request: Request, visitor: Visitor, accounts: AccountsDep, session: Writing
) -> Response:
    """Ask the user whether an application may act in their name."""
    if visitor is None:
        return _to_login(request)
    return await _authorize(request, visitor, session, accounts, None)


@router.post("/o/authorize/", summary="Consent to an application", response_class=HTMLResponse)
async def authorize(
    request: Request, form: SentForm, visitor: Visitor, accounts: AccountsDep, session: Writing
) -> Response:
    """Send the browser back to the application, with a code or a refusal."""
    if visitor is None:
        return _to_login(request)
    return await _authorize(request, visitor, session, accounts, form)
