"""One e-mail to everybody, through one mail server."""

from __future__ import annotations

import hashlib
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from slipway.errors import NotificationError
from slipway.names import Channel
from slipway.notifications import render
from slipway.notifications.failures import TemporaryError
from slipway.notifications.text import line

if TYPE_CHECKING:
    import smtplib

    from slipway.notifications.message import Message
    from slipway.notifications.settings import EmailSettings


def compose(message: Message, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """Build the mail.

    The Message-ID follows from the release and the occasion: mail servers and programs that see it twice know the
    repeat, and a person can tell it apart. All mails of a release answer one that never was, so they stand together.

    :raises NotificationError: a header would hold a line break.
    """
    content = render.mail(message)
    domain = sender.rpartition("@")[2]
    key = hashlib.sha256(message.release.id.encode()).hexdigest()[:24]
    mail = EmailMessage()
    try:
        mail["Subject"] = content.subject
        mail["From"] = sender
        mail["To"] = ", ".join(recipients)
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{key}.{message.occasion}@{domain}>"
        mail["References"] = f"<{key}.release@{domain}>"
        # Keeps out-of-office answers away, as RFC 3834 says.
        mail["Auto-Submitted"] = "auto-generated"
        if content.urgent:
            mail["Importance"] = "high"
    except (ValueError, MessageError):
        raise NotificationError(
            "The e-mail was not built: a header would hold a line break.",
            mend="look at the sender and the recipients in the connection",
        ) from None
    mail.set_content(content.text)
    mail.add_alternative(content.html, subtype="html")
    return mail


class Email:
    """Sends through one mail server."""

    channel = Channel.EMAIL

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings

    def send(self, message: Message, timeout_s: float) -> str:
        """Send one mail to all recipients and return how it went in a few words.

        :param timeout_s: for each step of the conversation; the caller bounds the whole.
        :raises TemporaryError: another attempt may help.
        :raises NotificationError: another attempt will not help.
        """
        import smtplib

        mail = compose(message, self._settings.sender, self._settings.recipients)
        try:
            with self._connect(timeout_s) as server:
                refused = server.send_message(mail, self._settings.sender, self._settings.recipients)
        except smtplib.SMTPAuthenticationError as error:
            raise self._refusal(
                error.smtp_code, error.smtp_error, "check login and password of the connection"
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()))
            raise self._refusal(code, words, "check the recipients of the connection") from None
        except smtplib.SMTPResponseException as error:
            mend = "ask whoever runs the mail server what its answer means"
            raise self._refusal(error.smtp_code, error.smtp_error, mend) from None
        except smtplib.SMTPNotSupportedError as error:
            raise NotificationError(
                f"The mail server {self._place} cannot do what the connection asks for.",
                found=line(error, 200),
                mend="set security to none, starttls or tls as the server has it; without login where it knows none",
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise TemporaryError(
                f"The mail server {self._place} did not answer.",
                found=line(f"{type(error).__name__}: {error}", 200),
                mend="check host, port and security of the connection, and that this machine reaches the server",
            ) from None
        everybody = len(self._settings.recipients)
        return f"taken by the mail server for {everybody - len(refused)} of {everybody} recipients"

    @property
    def _place(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _connect(self, timeout_s: float) -> smtplib.SMTP:
        import smtplib
        import ssl

        settings = self._settings
        if settings.security == "tls":
            tls = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(settings.host, settings.port, timeout=timeout_s, context=tls)
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=timeout_s)
        try:
            if settings.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.user and settings.password:
                server.login(settings.user, settings.password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server

    def _refusal(self, code: int, words: bytes | str, mend: str) -> NotificationError:
        text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
        password = self._settings.password
        if password is not None:
            text = text.replace(password.get_secret_value(), "***")
        kind = TemporaryError if 400 <= code < 500 else NotificationError
        return kind(
            f"The mail server {self._place} did not take the message.", found=line(f"{code} {text}", 200), mend=mend
        )
