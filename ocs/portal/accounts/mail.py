"""Outgoing mail: written with the transaction that causes it, sent afterwards, retried for two days.

A text may hold a link that logs somebody in, so it waits encrypted and is forgotten once sent. Without a mail
server the messages are written to the folder ``mail`` of the data folder.
"""

import asyncio
import logging
import smtplib
import ssl
from collections.abc import Iterable
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import select

from ocs.kernel import changes
from ocs.kernel.database import WriteSession
from ocs.kernel.runtime import Runtime
from ocs.kernel.security import Vault
from ocs.kernel.settings import Settings
from ocs.portal.accounts.models import Mail

logger = logging.getLogger("ocs.mail")

GIVE_UP_AFTER = timedelta(days=2)
_TIMEOUT_S = 20.0


def queue(
    session: WriteSession, vault: Vault, recipients: Iterable[str], subject: str, body: str, now: datetime
) -> None:
    """Let one message go to each recipient when `session` is committed."""
    encrypted = vault.encrypt(body)
    line = " ".join(subject.split())  # a line break would begin another header
    session.add_all(
        Mail(recipient=recipient, subject=line, body_encrypted=encrypted, created_at=now, due_at=now)
        for recipient in dict.fromkeys(recipients)
    )
    changes.stamp(session, "mail")


def support_address(settings: Settings) -> str:
    """Return where requests of users go."""
    return f"support@{urlsplit(portal_url(settings)).hostname or 'localhost'}"


def portal_url(settings: Settings) -> str:
    """Return the address for links in mail, without final slash.

    Never what a request says its host is: a link that logs in must not lead to where a stranger wants it.
    """
    return settings.public_url or f"http://{settings.host}:{settings.port}"


def message(sender: str, recipient: str, subject: str, body: str) -> EmailMessage:
    """Return a plain-text message."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, subject
    mail.set_content(body)
    return mail


def send(url: str, mail: EmailMessage) -> None:
    """Hand a message to the server at `url` (smtp, smtp with STARTTLS as smtp+starttls, or smtps); blocks."""
    parts = urlsplit(url)
    host, context = parts.hostname or "localhost", ssl.create_default_context()
    server: smtplib.SMTP
    if parts.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=_TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=_TIMEOUT_S)
    with server:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=context)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(mail)


def write(folder: Path, number: int, mail: EmailMessage) -> None:
    """Keep a message as a file, for installations without a mail server."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / f"{number:08d}.eml").write_bytes(mail.as_bytes())


async def send_due(runtime: Runtime) -> None:
    """Send what is due, one transaction a message, until nothing is left."""
    while await runtime.database.run(lambda session: _send_one(runtime, session)):
        pass


async def _send_one(runtime: Runtime, session: WriteSession) -> bool:
    now = runtime.clock.now()
    row = await session.scalar(
        select(Mail)
        .where(Mail.sent_at.is_(None), Mail.body_encrypted.is_not(None), Mail.due_at <= now)
        .order_by(Mail.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if row is None or row.body_encrypted is None:
        return False
    settings = runtime.settings
    mail = message("ocs@localhost", row.recipient, row.subject, runtime.vault.decrypt(row.body_encrypted))
    try:
        if settings.mail_url is None:
            await asyncio.to_thread(write, settings.data_dir / "mail", row.id, mail)
        else:
            await asyncio.to_thread(send, settings.mail_url.get_secret_value(), mail)
    except (OSError, smtplib.SMTPException) as error:
        row.attempts += 1
        row.last_error = f"{type(error).__name__}: {error}"[:500]
        row.due_at = now + timedelta(minutes=min(2**row.attempts, 240))
        if now - row.created_at > GIVE_UP_AFTER:
            row.body_encrypted = None
        logger.warning("mail not sent", extra={"mail": row.id, "reason": type(error).__name__})
    else:
        row.sent_at, row.body_encrypted, row.last_error = now, None, ""
    return True
