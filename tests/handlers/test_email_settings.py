"""Settings: where they come from, what they choose, and that passwords stay in them."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from corral.errors import ConfigError
from corral.handlers.email import DryRunTransport, EmailSettings, ResendTransport, SmtpTransport
from corral.handlers.email.bundle import transport_for
from corral.handlers.email.settings import Security, load_settings

GOLIVE = {
    "SMTP_HOST": "smtp.gmail.com", "SMTP_PORT": "587", "SMTP_SECURE": "false", "SMTP_USER": "your-email@gmail.com",
    "SMTP_PASSWORD": "your-app-password", "SMTP_FROM": "noreply@golive.dev",
}  # fmt: skip


def set_all(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.mission("M-BI-09")
def test_without_any_setting_mails_become_files(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = transport_for(load_settings())

    assert isinstance(transport, DryRunTransport)
    assert transport.folder == Path("mail")
    monkeypatch.setenv("CORRAL_MAIL_DIR", "elsewhere")
    assert repr(transport_for(load_settings())) == "<files in elsewhere>"


@pytest.mark.mission("M-GL-80")
def test_the_guides_smtp_variables_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, GOLIVE)
    settings = load_settings()
    transport = transport_for(settings)

    assert isinstance(transport, SmtpTransport)
    assert (transport.host, transport.port, transport.user) == ("smtp.gmail.com", 587, "your-email@gmail.com")
    assert transport.security is Security.STARTTLS
    assert settings.sender == "noreply@golive.dev"


def test_a_resend_key_and_a_sender_choose_resend(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"RESEND_API_KEY": "re_1", "EMAIL_FROM": "BizInsights <noreply@example.com>"})

    assert isinstance(transport_for(load_settings()), ResendTransport)


def test_empty_variables_are_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"RESEND_API_KEY": "", "SMTP_HOST": "", "SMTP_PORT": "", "EMAIL_FROM": ""})

    assert load_settings().transport == "dry-run"


@pytest.mark.mission("M-BI-09")
def test_arguments_win_over_the_environment_over_dotenv_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "corral.toml").write_text(
        '[worker]\nx = 1\n[email]\nsmtp_host = "toml"\nsmtp_user = "toml"\nemail_brand = "toml"\n'
        'email_from = "t@example.org"\n'
    )
    (tmp_path / ".env").write_text("SMTP_HOST=dotenv\nSMTP_USER=dotenv\nEMAIL_BRAND=dotenv\nOTHER=x\n")
    monkeypatch.setenv("SMTP_HOST", "environment")
    monkeypatch.setenv("SMTP_USER", "environment")

    settings = EmailSettings(smtp_host="argument")

    assert (settings.smtp_host, settings.smtp_user) == ("argument", "environment")
    assert (settings.email_brand, settings.email_from) == ("dotenv", "t@example.org")


@pytest.mark.parametrize("content", ["[email", 'email = "x"', "\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "corral.toml").write_text(content)

    with pytest.raises(ConfigError, match=r"corral\.toml"):
        load_settings()


@pytest.mark.mission("M-GL-80")
@pytest.mark.parametrize(
    ("values", "security", "port"),
    [
        ({}, Security.STARTTLS, 587),
        ({"SMTP_PORT": "465"}, Security.TLS, 465),
        ({"SMTP_PORT": "2525"}, Security.STARTTLS, 2525),
        ({"SMTP_SECURE": "true"}, Security.TLS, 465),
        ({"SMTP_SECURE": "false", "SMTP_PORT": "465"}, Security.STARTTLS, 465),
        ({"SMTP_TLS": "none"}, Security.NONE, 25),
        ({"SMTP_TLS": "false"}, Security.NONE, 25),
        ({"SMTP_TLS": "true"}, Security.STARTTLS, 587),
        ({"SMTP_TLS": "STARTTLS", "SMTP_SECURE": "true"}, Security.STARTTLS, 587),
        ({"SMTP_TLS": "ssl"}, Security.TLS, 465),
        ({"SMTP_HOST": "localhost"}, Security.NONE, 25),
        ({"SMTP_HOST": "127.0.0.1", "SMTP_PORT": "1025"}, Security.NONE, 1025),
        ({"SMTP_HOST": "localhost", "SMTP_TLS": "starttls"}, Security.STARTTLS, 587),
        ({"SMTP_HOST": "10.0.0.7"}, Security.STARTTLS, 587),
    ],
)
def test_only_this_machine_is_spoken_to_in_the_clear_unless_told_so(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], security: Security, port: int
) -> None:
    set_all(monkeypatch, {"SMTP_HOST": "mail.example.org", "EMAIL_FROM": "a@example.org", **values})

    settings = load_settings()

    assert (settings.security, settings.port) == (security, port)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"SMTP_HOST": "h"}, "EMAIL_FROM must say whom the mail comes from"),
        ({"RESEND_API_KEY": "re_1"}, "EMAIL_FROM must say whom the mail comes from"),
        ({"SMTP_HOST": "h", "RESEND_API_KEY": "re_1", "EMAIL_FROM": "a@example.org"}, "choose with EMAIL_TRANSPORT"),
        ({"EMAIL_TRANSPORT": "smtp", "EMAIL_FROM": "a@example.org"}, "EMAIL_TRANSPORT=smtp needs SMTP_HOST"),
        ({"EMAIL_TRANSPORT": "resend", "EMAIL_FROM": "a@example.org"}, "EMAIL_TRANSPORT=resend needs RESEND_API_KEY"),
        ({"EMAIL_TRANSPORT": "pigeon"}, "EMAIL_TRANSPORT"),
        ({"EMAIL_FROM": "nobody"}, "EMAIL_FROM 'nobody' is not an e-mail address"),
        ({"EMAIL_FROM": "a@example.org\r\nBcc: eve@example.org"}, r"U\+000D"),
        ({"SMTP_PORT": "seventy"}, "SMTP_PORT"),
        ({"SMTP_PORT": "70000"}, "SMTP_PORT"),
        ({"SMTP_TLS": "maybe"}, "SMTP_TLS"),
        ({"SMTP_TIMEOUT": "0"}, "SMTP_TIMEOUT"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], complaint: str
) -> None:
    set_all(monkeypatch, values)

    with pytest.raises(ConfigError, match=f"(?i)e-mail settings: .*{complaint}"):
        load_settings()


def test_both_may_be_configured_when_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**GOLIVE, "RESEND_API_KEY": "re_1", "EMAIL_TRANSPORT": "dry-run"})

    assert isinstance(transport_for(load_settings()), DryRunTransport)


def test_s_15_passwords_show_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**GOLIVE, "SMTP_PASSWORD": "canary-1", "EMAIL_FROM": "nobody"})

    with pytest.raises(ConfigError) as refused:
        load_settings()
    with pytest.raises(ValidationError) as invalid:
        EmailSettings()
    with pytest.raises(ValidationError) as mistaken:
        EmailSettings(smtp_password=["canary-3"])
    fine = EmailSettings(email_from="a@example.org", smtp_password=SecretStr("canary-2"))

    shown = [refused.value, refused.value.__context__, invalid.value, mistaken.value, fine, fine.model_dump_json()]
    assert "canary" not in repr(shown)
    assert "canary" not in repr(transport_for(fine)) + repr(vars(transport_for(fine)))
