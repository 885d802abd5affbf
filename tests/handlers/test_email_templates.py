"""Templates: what they show, what they refuse, and that data are never more than data."""

import html as html_module
import re
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from corral.errors import ConfigError, PayloadError
from corral.handlers.email import Templates, preview
from corral.handlers.email.templates import built_in

LEAST: dict[str, dict[str, object]] = {
    "achievement": {"achievement": "Ten weeks in a row"},
    "alert": {"message": "Disk is full"},
    "alert-notification": {"message": "Revenue is down"},
    "custom": {"body": "Hello World"},
    "deployment-notification": {"status": "SUCCESS", "projectName": "My App", "environment": "production"},
    "kudos": {"senderName": "Alice", "message": "Thank you"},
    "notification": {"message": "Bob gave you kudos"},
    "password-reset": {"resetUrl": "https://example.org/reset/1"},
    "pipeline-complete": {"status": "FAILED", "projectName": "My App", "pipelineName": "Production Deploy"},
    "reminder": {"message": "The check-in is open"},
    "report": {"title": "Weekly report"},
    "report-delivery": {"title": "Monthly business report"},
    "team-invitation": {"teamName": "Nordic Outdoor", "inviteUrl": "https://example.org/invitations/1"},
    "team-update": {"kudosCount": 25, "topPerformers": ["Alice", "Bob"]},
    "test-results": {"failed": 0, "passed": 12},
    "urgent": {"message": "Payments fail"},
    "verification": {"verificationUrl": "https://example.org/verify/1"},
    "welcome": {"name": "Ann"},
}
SHIPPED = tuple(LEAST)
URL = "https://example.org/d?a=1&b=2"
MOST: dict[str, dict[str, object]] = {
    "achievement": {
        "name": "Ann", "message": "Only four came this far", "points": 250, "teamName": "Platform",
        "reachedAt": "Monday", "achievementUrl": URL, "actionLabel": "All of them",
    },
    "alert-notification": {
        "severity": "CRITICAL", "alertType": "DATA_ANOMALY", "title": "Half of it", "organizationName": "Nordic",
        "name": "Dana", "occurredAt": "at eight", "metadata": {"Actual": 6000}, "recommendations": ["Look at it"],
        "alertUrl": URL, "actionLabel": "Look now",
    },
    "custom": {"title": "Closed", "actionUrl": URL, "actionLabel": "Read on"},
    "deployment-notification": {
        "version": "2.4.1", "previousVersion": "2.4.0", "rolledBackTo": "2.3.9", "commit": "8f3a91c",
        "deployedBy": "John Doe", "reason": "502 for a minute",
        "duration": "2m 41s", "changes": ["Invoices"], "message": "It took two tries", "deploymentUrl": URL,
    },
    "kudos": {"name": "Bob", "value": "Helping out", "teamName": "Platform", "givenAt": "Monday", "kudosUrl": URL},
    "pipeline-complete": {
        "message": "It is late", "reason": "no space left", "branch": "main", "commit": "8f3a91c",
        "triggeredBy": "John Doe", "duration": "5m 23s",
        "steps": [{"name": "Build", "status": "success", "duration": "1m"}], "pipelineUrl": URL,
    },
    "report-delivery": {
        "reportType": "monthly", "organizationName": "Nordic", "name": "Dana", "summary": "Revenue grew",
        "metrics": [{"label": "Revenue", "value": 5, "change": "+8 %"}], "highlights": ["The best day"],
        "period": "October", "generatedAt": "1 November", "expiresAt": "1 December", "files": ["october.pdf"],
        "reportUrl": URL,
    },
    "team-invitation": {
        "inviterName": "Dana", "name": "Erik", "role": "Analyst", "message": "Look under Reports", "expiresIn": "7 days"
    },
    "test-results": {
        "failed": 2, "skipped": 1, "total": 15, "triggeredBy": "John Doe", "coverage": "87.5 %", "duration": "3m",
        "suiteName": "API", "projectName": "My App",
        "branch": "main", "commit": "8f3a91c", "message": "Nearly", "failures": [{"name": "test_a", "message": "no"}],
        "resultsUrl": URL,
    },
    "verification": {"name": "Ann", "code": "417 902", "expiresIn": "24 hours"},
    "alert": {"severity": "MEDIUM", "alertType": "DATA_ANOMALY", "metadata": {"actual": 6000}, "title": "Revenue"},
    "notification": {"name": "Ann", "title": "Kudos", "details": {"From": "Bob"}, "actionUrl": "https://example.org"},
    "password-reset": {"name": "Ann", "expiresIn": "30 minutes"},
    "reminder": {"name": "Ann", "dueAt": "Friday", "actionUrl": "https://example.org", "actionLabel": "Answer"},
    "report": {
        "period": "week 47", "summary": "Up", "metrics": [{"label": "Mood", "value": 4.2, "change": "+3 %"}],
        "reportUrl": "https://example.org",
    },
    "team-update": {
        "teamName": "Platform", "period": "week 47", "message": "Well done", "highlights": ["Release 2.3"],
        "dashboardUrl": "https://example.org", "topPerformers": [{"name": "Alice", "kudos": 9}],
    },
    "urgent": {"title": "Now", "details": {"Region": "north", "Paid": False, "Since": None}},
    "welcome": {"username": "ann", "dashboardUrl": "https://example.org/d?a=1&b=2", "steps": ["Invite your team"]},
}  # fmt: skip


def visible(html: str) -> str:
    """The words of a page, without its tags and styles."""
    without_styles = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return " ".join(html_module.unescape(re.sub(r"<[^>]+>", " ", without_styles)).split())


def test_the_set_is_what_the_documents_say() -> None:
    assert built_in().names == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_each_template_shows_everything_it_is_given_in_both_parts(name: str) -> None:
    data = {**LEAST[name], **MOST[name]}
    html, text = preview(name, data, subject="The subject", brand="TeamSpark")

    for value in (value for value in data.values() if isinstance(value, str) and not value.startswith("http")):
        assert value.lower() in visible(html).lower()
        assert value.lower() in text.lower()
    assert "TeamSpark" in visible(html)
    assert "TeamSpark" in text


@pytest.mark.parametrize("name", SHIPPED)
def test_each_template_does_with_the_least(name: str) -> None:
    html, text = preview(name, LEAST[name], subject="The subject")

    assert html.startswith("<!DOCTYPE html>")
    assert "None" not in text
    assert "\n\n\n" not in text


@pytest.mark.parametrize("name", SHIPPED)
def test_a_missing_variable_is_named(name: str) -> None:
    missing = next(iter(LEAST[name]))

    with pytest.raises(PayloadError, match=f"template '{name}' cannot be filled: '{missing}' is undefined"):
        preview(name, {})


@pytest.mark.mission("M-TS-43")
def test_m_ts_43_the_guides_welcome_and_team_update_are_rendered() -> None:
    welcome, _ = preview("welcome", {"name": "John"})
    update, text = preview("team-update", {"kudosCount": 25, "topPerformers": ["Alice", "Bob"]})

    assert "Welcome, John" in visible(welcome)
    assert "25 kudos given Most appreciated 1 Alice 2 Bob" in visible(update)
    assert "Kudos given: 25\n\nMost appreciated\n1. Alice\n2. Bob\n" in text


@pytest.mark.parametrize(
    ("status", "said", "colour"),
    [("SUCCESS", "Build succeeded", "#0a7355"), ("FAILED", "Build failed", "#b3261e"),
     ("rolled_back", "Build was rolled back", "#9a5b00"), ("Timed-Out", "Build timed out", "#b3261e"),
     ("running", "Build is running", "#2f4bc7"), ("on hold", "Build is on hold", "#2f4bc7")],
)  # fmt: skip
def test_a_status_is_said_in_words_and_shown_in_its_colour(status: str, said: str, colour: str) -> None:
    html, text = preview("pipeline-complete", {"status": status, "projectName": "My App", "pipelineName": "Build"})

    assert said in visible(html)
    assert text.startswith(f"{said}\n")
    assert re.search(rf'class="kicker ink-\w+" style="[^"]*{colour}', html)


@pytest.mark.parametrize(
    ("counts", "said"),
    [({"passed": 12, "failed": 0}, "All 12 tests passed"), ({"passed": 9, "failed": 3}, "3 of 12 tests failed"),
     ({"passed": 9, "failed": 0, "skipped": 2}, "9 tests passed"), ({"passed": "9", "failed": "1"}, "1 of 10 tests")],
)  # fmt: skip
def test_results_are_summed_up_in_the_first_line(counts: dict[str, object], said: str) -> None:
    html, text = preview("test-results", counts)

    assert said in visible(html)
    assert text.startswith(said)


def test_an_address_is_confirmed_by_a_code_alone_or_by_a_link_alone() -> None:
    coded = "".join(preview("verification", {"code": "417 902"}))
    linked = "".join(preview("verification", {"verificationUrl": "https://example.org/v/1"}))

    assert "417 902" in coded
    assert "Confirm the address" not in coded
    assert "https://example.org/v/1" in linked
    assert "code" not in visible(linked)


@pytest.mark.parametrize(
    ("template", "data", "shown"),
    [
        ("welcome", {"username": "John Doe", "dashboardUrl": "https://app.golive.example/dashboard"}, "John Doe"),
        (
            "pipeline-complete",
            {
                "pipelineName": "Production Deploy", "projectName": "My App", "status": "SUCCESS", "duration": "5m 23s",
                "triggeredBy": "John Doe", "pipelineUrl": "https://app.golive.example/pipelines/123",
            },
            "Production Deploy succeeded",
        ),
        ("custom", {"body": "Hello World"}, "Hello World"),
        ("welcome", {"name": "John Doe"}, "Welcome, John Doe"),
    ],
)  # fmt: skip
@pytest.mark.mission("M-GL-18")
def test_the_guides_contexts_are_rendered(template: str, data: dict[str, object], shown: str) -> None:
    html, text = preview(template, data)

    assert shown in visible(html)
    assert shown in text


def test_styles_are_written_to_the_elements_and_the_rules_for_small_and_dark_screens_stay() -> None:
    html, _ = preview("welcome", {"name": "Ann"})

    assert re.search(r'<h1 style="[^"]*font-size', html)
    assert "@media (prefers-color-scheme: dark)" in html
    assert "@media (max-width: 480px)" in html
    assert b"charset" in html.encode()[:1024]


def test_a_key_that_python_uses_too_means_the_data(tmp_path: Path) -> None:
    write(tmp_path, "keys", "{{ cart.items|length }} {{ cart.keys }}")

    html, _ = preview("keys", {"cart": {"items": [1, 2], "keys": "door"}}, templates=tmp_path)
    assert visible(html) == "2 door"


# -- S-41: data are data -----------------------------------------------------------------------------------------------

INJECTIONS = [
    "{{7*7}}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{x}}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'].system('id') }}",
    "{{ config }}",
    "{{ self._TemplateReference__context }}",
    "{% include '/etc/passwd' %}",
    "{# comment #}",
    "${7*7} #{7*7} <%= 7*7 %>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</title><script>alert(1)</script>",
    "<style>body{display:none}</style>",
    "<!--", "-->", "]]>", "&lt;script&gt;", "<br", "</td></table>",
]  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("injection", INJECTIONS)
def test_templates_and_markup_in_data_are_shown_as_text(name: str, injection: str) -> None:
    def filled(value: str) -> dict[str, object]:
        given: dict[str, object] = {key: value for key, one in LEAST[name].items() if isinstance(one, str)}
        fixed = dict.fromkeys(("resetUrl", "inviteUrl", "verificationUrl"), "https://example.org/1")
        return {**LEAST[name], **given, "title": value, "message": value, "topPerformers": [value], **fixed}

    harmless, _ = preview(name, filled("x"))
    html, text = preview(name, filled(injection), subject=injection, brand=injection)

    assert injection in html_module.unescape(html)
    assert injection in text
    assert re.findall(r"<[a-z0-9/]+", html) == re.findall(r"<[a-z0-9/]+", harmless)  # not one element more


@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "//evil.example", "/relative", "",
     "https://", "https://a b", "\thttps://example.org\n x", "file:///etc/passwd", 7, None, ["https://example.org"]],
)  # fmt: skip
def test_a_link_leads_to_a_page_or_the_mail_is_refused(href: object) -> None:
    with pytest.raises(PayloadError, match="a link must begin with https://"):
        preview("password-reset", {"resetUrl": href})


def test_a_template_cannot_reach_python(tmp_path: Path) -> None:
    write(tmp_path, "reach", "{{ data.__class__.__mro__ }}")

    with pytest.raises(PayloadError, match=r"unsafe|undefined"):
        preview("reach", {}, templates=tmp_path)


@pytest.mark.parametrize("name", ["lipsum", "cycler", "range", "joiner", "namespace", "dict"])
def test_templates_see_the_data_and_nothing_else(tmp_path: Path, name: str) -> None:
    write(tmp_path, "globals", "{{ " + name + " }}")

    with pytest.raises(PayloadError, match=f"'{name}' is undefined"):
        preview("globals", {}, templates=tmp_path)


def test_no_shipped_template_trusts_data() -> None:
    folder = Path(__file__).parents[2] / "src/corral/handlers/email/templates"

    assert not [file.name for file in folder.iterdir() if re.search(r"\|\s*safe|Markup|autoescape", file.read_text())]


def test_stylesheets_are_never_fetched(tmp_path: Path, httpserver: HTTPServer) -> None:
    local = tmp_path / "local.css"
    local.write_text("p { color: red }")
    links = f'<link rel="stylesheet" href="{httpserver.url_for("/a.css")}"><link rel="stylesheet" href="{local}">'
    style = f"<style>@import url({httpserver.url_for('/b.css')});</style>"
    write(tmp_path, "linked", f"<html><head>{links}{style}</head><p>x")

    html, _ = preview("linked", {}, templates=tmp_path)

    assert httpserver.log == []
    assert "red" not in html


# -- templates of one's own --------------------------------------------------------------------------------------------


def write(folder: Path, name: str, html: str, text: str = "text") -> None:
    (folder / f"{name}.html").write_text(html, encoding="utf-8")
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def test_a_folder_adds_templates_and_wins_over_corrals(tmp_path: Path) -> None:
    invitation = '{% extends "_layout.html" %}{% set tone = "good" %}{% block content %}Come, {{ who }}!{% endblock %}'
    write(tmp_path, "invitation", invitation, "Come, {{ who }}!")
    write(tmp_path, "welcome", "<p>Ours: {{ name }}</p>", "Ours: {{ name }}")
    (tmp_path / "notes.md").write_text("not a template")
    own = Templates(tmp_path)

    assert set(own.names) == {*SHIPPED, "invitation"}
    assert "Come, Ann!" in visible(preview("invitation", {"who": "Ann"}, templates=own)[0])
    assert preview("welcome", {"name": "Ann"}, templates=own)[1] == "Ours: Ann\n"


def test_the_set_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, "fixed", "<p>before</p>")
    own = Templates(tmp_path)
    write(tmp_path, "fixed", "<p>after</p>")
    write(tmp_path, "late", "<p>late</p>")

    assert visible(preview("fixed", {}, templates=own)[0]) == "before"
    with pytest.raises(PayloadError, match="does not exist"):
        preview("late", {}, templates=own)


def test_a_template_with_one_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "half.html").write_text("<p>x")

    with pytest.raises(ConfigError, match=r"'half\.html' has no 'half\.txt'"):
        Templates(tmp_path)


def test_a_template_that_is_not_valid_is_refused_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "broken", "<p>\n{% if %}")

    with pytest.raises(ConfigError, match=r"template broken\.html is not valid in line 2"):
        Templates(tmp_path)


@pytest.mark.parametrize("name", ["Welcome", "über", "a b", "-x"])
def test_a_template_needs_a_plain_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "x")

    with pytest.raises(ConfigError, match="lower case"):
        Templates(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="templates cannot be read"):
        Templates(tmp_path / "missing")


def test_data_that_a_template_cannot_use_are_refused_without_a_traceback(tmp_path: Path) -> None:
    write(tmp_path, "sum", "{{ a / b }}{{ c|join(',') }}")

    for data in ({"a": 1, "b": 0, "c": []}, {"a": "x", "b": 2, "c": []}, {"a": 1, "b": 1, "c": 5}):
        with pytest.raises(PayloadError, match="template 'sum' cannot be filled"):
            preview("sum", data, templates=tmp_path)
