"""What a job may carry: addresses, subjects, attachments. What is wrong is told at once, when the job is added."""

import pytest

from corral.errors import PayloadError
from corral.handlers.email import SendEmail, bundle
from corral.handlers.email.address import parse_address
from corral.handlers.email.payload import addresses, unique
from corral.payload import PayloadType

GUIDE = {
    "to": "team@example.com",
    "subject": "Weekly Team Update",
    "template": "team-update",
    "data": {"kudosCount": 25, "topPerformers": ["Alice", "Bob"]},
}
LATIN = {"to": "ann@example.org", "subject": "Hello", "template": "welcome", "data": {"name": "Ann"}}


def declared() -> PayloadType:
    """The payload as the bundle declares it."""
    return next(iter(bundle())).handler.payload


def complaints(**changes: object) -> list[str]:
    with pytest.raises(PayloadError) as caught:
        declared().encode({**LATIN, **changes})
    return list(caught.value.errors)


@pytest.mark.mission("M-TS-38")
def test_m_ts_38_the_guides_payload_is_carried_as_it_is() -> None:
    stored = declared().decode(declared().encode(GUIDE))

    assert isinstance(stored, SendEmail)
    assert (stored.to, stored.subject, stored.template) == ("team@example.com", "Weekly Team Update", "team-update")
    assert stored.data == GUIDE["data"]


def test_a_model_and_a_dict_are_the_same_payload() -> None:
    email = SendEmail(to="ann@example.org", subject="Hello", template="welcome", data={"name": "Ann"})

    assert declared().encode(email) == declared().encode(LATIN)


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("ann@example.org", "", "ann@example.org"),
        ("Ann Lee <ann@example.org>", "Ann Lee", "ann@example.org"),
        ('"Lee, Ann" <ann@example.org>', "Lee, Ann", "ann@example.org"),
        ("Åsa Ødegård <asa@example.org>", "Åsa Ødegård", "asa@example.org"),
        ("👩‍💻 Dev <dev@example.org>", "👩‍💻 Dev", "dev@example.org"),
        ("J. R. Smith (Ops) <jr@example.org>", "J. R. Smith (Ops)", "jr@example.org"),
        (r'"Ann \"Annie\" Lee" <ann@example.org>', 'Ann "Annie" Lee', "ann@example.org"),
        ("<ann@example.org>", "", "ann@example.org"),
        (" ann@example.org ", "", "ann@example.org"),
        ("ann+tag@example.org", "", "ann+tag@example.org"),
        ("ann@bücher.example", "", "ann@xn--bcher-kva.example"),
        ("ANN@EXAMPLE.ORG", "", "ANN@example.org"),
    ],
)
def test_addresses_with_and_without_names_are_read(text: str, name: str, spec: str) -> None:
    read = parse_address(text)

    assert (read.name, read.spec) == (name, spec)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "ann", "ann@", "@example.org", "ann@example", "ann@@example.org", "ann@exa mple.org", "a b@x.org",
        "ann@example.org, bob@example.org", "ann@example.org;bob@example.org", "<ann@example.org", "ann@example.org>",
        "ann@[127.0.0.1]", "ann@localhost", "jörg@example.org", "ann..lee@example.org", ".ann@example.org",
        f"a@{'b' * 250}.org", f"a@{'b.' * 130}org", f"{'x' * 101} <ann@example.org>", "Lee, Ann <ann@example.org>",
        "eve@example.org <ann@example.org>", "Ann <ann@example.org> Lee", "Ann <ann@example.org>, Bob <bob@x.org>",
        '"Ann" Lee" <ann@example.org>', "Ann <>", "Ann <Bob <bob@example.org>>", "ann@example.org <bob>",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        parse_address(text)


def test_every_complaint_is_told_at_once_and_under_its_field() -> None:
    found = complaints(to=["ann@example.org", "bob", "eve@"], subject="a\nb", template="nope", colour="red", cc=7)

    assert [line.partition(":")[0] for line in found] == ["to", "subject", "cc", "colour"]
    assert "'bob'" in found[0]
    assert "'eve@'" in found[0]
    assert "U+000A" in found[1]


def test_an_unknown_template_is_refused_with_the_nearest_one_that_exists() -> None:
    (found,) = complaints(template="wellcome")

    assert "did you mean 'welcome'?" in found


@pytest.mark.parametrize("name", ["../welcome", "welcome.html", "_layout", "/etc/passwd", "WELCOME", "", "a" * 10_000])
def test_a_template_is_a_name_and_never_a_path(name: str) -> None:
    (found,) = complaints(template=name)

    assert "does not exist" in found
    assert len(found) < 400


def test_fifty_recipients_are_taken_and_fifty_one_are_not() -> None:
    people = [f"p{n}@example.org" for n in range(50)]

    declared().encode({**LATIN, "to": people[:20], "cc": people[20:40], "bcc": people[40:]})
    (found,) = complaints(to=people[:20], cc=people[20:40], bcc=[*people[40:], "more@example.org"])
    assert "50 recipients, not 51" in found


def test_a_mail_to_nobody_is_refused() -> None:
    (found,) = complaints(to=[])

    assert "at least one recipient" in found


def test_an_address_given_twice_gets_one_mail() -> None:
    to = addresses(["Ann <ann@example.org>", "bob@example.org", "ann@EXAMPLE.org"], "to")

    assert unique(to) == ("ann@example.org", "bob@example.org")


def test_reply_to_may_be_spelled_as_node_does() -> None:
    stored = declared().decode(declared().encode({**LATIN, "replyTo": "help@example.org"}))

    assert isinstance(stored, SendEmail)
    assert stored.reply_to == "help@example.org"


@pytest.mark.parametrize(
    ("attachment", "complaint"),
    [
        ({"filename": "../../etc/passwd", "content": ""}, "plain name"),
        ({"filename": "a\\b", "content": ""}, "plain name"),
        ({"filename": "..", "content": ""}, "plain name"),
        ({"filename": "a\r\nX: y", "content": ""}, "U+000D"),
        ({"filename": "a.txt", "content": "not base64!"}, "base64"),
        ({"filename": "a.txt", "content": "é"}, "base64"),
        ({"filename": "a.txt", "content": "", "content_type": "text"}, "application/pdf"),
        ({"filename": "a.txt", "content": "", "content_type": "text/html\r\nX: y"}, "application/pdf"),
        ({"filename": "a.txt", "content": "", "content_type": "multipart/mixed"}, "application/pdf"),
        ({"filename": "a.txt", "content": "", "content_type": "message/rfc822"}, "application/pdf"),
        ({"filename": "a.txt", "content": "", "path": "/etc/passwd"}, "Extra inputs"),
    ],
)
def test_an_attachment_is_a_plain_file_and_nothing_else(attachment: dict[str, str], complaint: str) -> None:
    (found,) = complaints(attachments=[attachment])

    assert complaint in found


@pytest.mark.mission("M-TS-54")
def test_m_ts_54_data_text_and_attachments_stay_out_of_the_representation() -> None:
    email = SendEmail.model_validate(
        {
            **LATIN,
            "data": {"resetUrl": "https://example.org/canary-1"},
            "text": "canary-2",
            "attachments": [{"filename": "f", "content": "canary33"}],
        }
    )

    assert "canary" not in f"{email!r} {email}"


# -- S-40: fifty ways to write a line break into a mail ----------------------------------------------------------------

BREAKS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]
PLACES = {
    "to": "ann@example.org{0}Bcc: eve@secret.example",
    "to's name": "Ann{0}Bcc: eve@secret.example <ann@example.org>",
    "cc": '"Ann{0}" <ann@example.org>',
    "reply_to": "ann@example.org{0}",
    "subject": "Hello{0}Bcc: eve@secret.example",
}
VECTORS = [(field.partition("'")[0], text.format(sign)) for field, text in PLACES.items() for sign in BREAKS]


def test_there_are_fifty_vectors() -> None:
    assert len(set(VECTORS)) == 50


@pytest.mark.parametrize(("field", "text"), VECTORS)
def test_no_line_break_gets_into_a_job(field: str, text: str) -> None:
    (found,) = complaints(**{field: text})

    assert found.startswith(f"{field}: ")
    assert found.isprintable()


@pytest.mark.parametrize(("field", "text"), VECTORS)
def test_no_line_break_gets_into_a_job_through_a_list(field: str, text: str) -> None:
    listed = {"subject": text}.get(field, ["bob@example.org", text])

    (found,) = complaints(**{field: listed})
    assert found.startswith(f"{field}: ")
