"""Messages on the wire, read back by the standard library."""

from dataclasses import replace
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import getaddresses, parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import PayloadError
from corral.handlers.email import Attachment, Message
from corral.handlers.email.address import MAX_NAME, Address, parse_address
from corral.handlers.email.message import job_key, message_id
from corral.job import Job, JobState

from .post_office import body_of, parsed

BASE = Message(
    id="send-email.1.abc@example.com", sender=Address("noreply@example.com", "Team"), to=(Address("ann@example.org"),),
    subject="Hello", text="Hello\n", html="<p>Hello</p>", date=1_700_000_000_123,
)  # fmt: skip

#: What `check_line` lets through, in scripts and signs that mail software stumbles over.
TURNERS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ALLOWED = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs", "Cn"), exclude_characters=TURNERS)
LINE = st.text(ALLOWED | st.sampled_from(" \",;:<>@()[]\\=?_'åß漢👩"), max_size=90)


#: No deadline: how long an example takes depends on who else uses the machine.
GENTLY = settings(deadline=None, max_examples=60)


def names(message: Message, header: str) -> list[tuple[str, str]]:
    """The mailboxes of a header. Not by the newer parser, which up to Python 3.11.10 puts spaces into long names."""
    value = message_from_bytes(message.to_bytes())[header]
    return [(str(make_header(decode_header(name))), spec) for name, spec in getaddresses([value])]


def test_both_parts_the_date_and_the_marks_of_an_automatic_mail_are_there() -> None:
    mail = parsed(BASE.to_bytes())

    assert mail.get_content_type() == "multipart/alternative"
    assert (body_of(mail, "plain"), body_of(mail, "html")) == ("Hello\n", "<p>Hello</p>\n")
    assert parsedate_to_datetime(mail["Date"]).timestamp() == 1_700_000_000
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["MIME-Version"] == "1.0"
    assert mail["From"] == "Team <noreply@example.com>"


def test_the_same_message_has_the_same_bytes() -> None:
    attachment = Attachment(filename="a.txt", content="aGVsbG8=")

    assert BASE.to_bytes() == replace(BASE).to_bytes()
    assert replace(BASE, attachments=(attachment,)).to_bytes() == replace(BASE, attachments=(attachment,)).to_bytes()


def test_bcc_stands_in_no_header() -> None:
    hidden = replace(BASE, cc=(Address("bob@example.org"),), bcc=(Address("eve@secret.example"),))

    assert b"eve" not in hidden.to_bytes()
    assert b"bcc" not in hidden.to_bytes().lower()


def test_fifty_recipients_with_difficult_names_stay_fifty_recipients() -> None:
    people = tuple(Address(f"person{n}@example.org", f'Ünder, Score {n} ({n}) "q" <x@y>') for n in range(50))

    assert names(replace(BASE, to=people), "To") == [(one.name, one.spec) for one in people]


def test_no_line_is_longer_than_mail_allows() -> None:
    people = tuple(Address(f"{'long' * 12}{n}@example.org", "Ø" * MAX_NAME) for n in range(50))
    content = replace(BASE, to=people, subject="Ø" * 500, text="x" * 5000, html="<p>" + "ø" * 5000).to_bytes()

    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.isascii()
    assert b": \r\n" not in content
    assert b"\n" not in content.replace(b"\r\n", b"")


def test_what_looks_encoded_is_read_as_it_was_written() -> None:
    trick = "=?utf-8?q?Hello=0D=0ABcc:_eve=40secret.example?="
    tricky = replace(BASE, subject=trick, to=(Address("ann@example.org", trick),))
    mail = parsed(tricky.to_bytes())

    assert mail["Subject"] == trick
    assert names(tricky, "To") == [(trick, "ann@example.org")]
    assert mail["Bcc"] is None


@GENTLY
@given(LINE)
def test_any_subject_survives(subject: str) -> None:
    read = parsed(replace(BASE, subject=subject).to_bytes())["Subject"]

    assert read.split() == subject.split()  # folding may change how much white space there is, and nothing else


@GENTLY
@given(LINE)
def test_any_display_name_survives(name: str) -> None:
    ((read, spec),) = names(replace(BASE, to=(Address("ann@example.org", name.strip()),)), "To")

    assert (read.split(), spec) == (name.split(), "ann@example.org")


@GENTLY
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_text_survives_but_for_the_kind_of_its_line_ends(text: str) -> None:
    read = body_of(parsed(replace(BASE, text=text).to_bytes()), "plain")

    assert read.splitlines() == (text.splitlines() or [""])


def test_attachments_keep_name_type_and_bytes() -> None:
    files = (
        Attachment(filename="report.pdf", content="JVBERi0=", content_type="application/pdf"),
        Attachment(filename="Überblick „Q4“ 漢字.csv", content="YTti"),
    )
    mail = parsed(replace(BASE, attachments=files).to_bytes())

    assert mail.get_content_type() == "multipart/mixed"
    assert body_of(mail, "plain") == "Hello\n"
    found = [(part.get_filename(), part.get_content_type(), part.get_content()) for part in mail.iter_attachments()]
    assert found == [
        ("report.pdf", "application/pdf", b"%PDF-"),
        ("Überblick „Q4“ 漢字.csv", "application/octet-stream", b"a;b"),
    ]


@pytest.mark.parametrize("bad", ["a\r\nBcc: e@example.org", "a\nb", "a\rb", "a\x00b", "a\u2028b", "a\x85b", "a\u202eb"])
@pytest.mark.parametrize("where", ["subject", "id", "name", "spec", "reply_to"])
def test_a_message_made_past_the_payload_is_checked_all_the_same(where: str, bad: str) -> None:
    made = {
        "subject": replace(BASE, subject=bad),
        "id": replace(BASE, id=bad),
        "name": replace(BASE, to=(Address("ann@example.org", bad),)),
        "spec": replace(BASE, cc=(Address(bad),)),
        "reply_to": replace(BASE, reply_to=(Address("ann@example.org", bad),)),
    }

    with pytest.raises(PayloadError, match=r"U\+"):
        made[where].to_bytes()


# -- names that are the same in every attempt --------------------------------------------------------------------------


def job(**changes: object) -> Job:
    fields: dict[str, object] = {"id": "1", "queue": "send-email", "name": "x", "state": JobState.ACTIVE, "data": "{}"}
    return Job(**{**fields, "created_at": 1_700_000_000_000, **changes})  # type: ignore[arg-type]  # fields by name


def test_a_job_has_one_message_id_and_one_key_in_all_its_attempts() -> None:
    first, second = job(attempts_made=0, attempts_started=1), job(attempts_made=1, attempts_started=2)
    sender = parse_address("Team <noreply@bücher.example>")

    assert message_id(first, sender) == message_id(second, sender)
    assert message_id(first, sender).startswith("send-email.1.")
    assert message_id(first, sender).endswith("@xn--bcher-kva.example")
    assert job_key(first) == job_key(second)


@pytest.mark.parametrize(
    "other",
    [{"id": "2"}, {"queue": "mail"}, {"created_at": 1_700_000_000_001}, {"id": "Ann"}, {"id": "a/b"}, {"id": "漢"}],
)
def test_two_jobs_never_share_a_key(other: dict[str, object]) -> None:
    neighbours = [job(), job(id="ann"), job(id="a-b"), job(id="字")]

    assert job_key(job(**other)) not in {job_key(one) for one in neighbours}


@GENTLY
@given(st.text(min_size=1, max_size=256), st.text(min_size=1, max_size=128))
def test_keys_and_message_ids_fit_into_any_header(job_id: str, queue: str) -> None:
    odd = job(id=job_id.encode("utf-8", "replace").decode(), queue=queue.encode("utf-8", "replace").decode())

    assert len(job_key(odd)) <= 140
    assert job_key(odd).isascii()
    assert job_key(odd).isprintable()
    assert " " not in message_id(odd, Address("a@example.org"))
