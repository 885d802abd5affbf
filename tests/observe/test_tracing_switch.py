"""What travels with a job, and how tracing is switched on and off."""

import subprocess
import sys

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel

from corral import ConfigError, Corral, RegistrationError
from corral.observe.carrier import MOST, packed, unpacked
from corral.observe.tracing import instrument
from tests.observe.spans import Seen

# -- what travels ------------------------------------------------------------------------------------------------------


def test_baggage_does_not_travel_unless_it_is_named(seen: Seen) -> None:
    with seen.tracer.start_as_current_span("request") as span:
        context = baggage.set_baggage("user", "alice@example.com", trace.set_span_in_context(span))
        context = baggage.set_baggage("tenant", "7", context)
        assert set(unpacked(packed(context)) or {}) == {"traceparent"}
        assert (unpacked(packed(context, {"tenant"})) or {})["baggage"] == "tenant=7"


def test_a_carrier_above_a_kilobyte_is_cut_to_what_leads_to_the_trace(seen: Seen) -> None:
    with seen.tracer.start_as_current_span("request") as span:
        context = baggage.set_baggage("tenant", "x" * MOST, trace.set_span_in_context(span))
        assert set(unpacked(packed(context, {"tenant"})) or {}) == {"traceparent"}


def test_without_a_trace_nothing_travels() -> None:
    assert packed(otel.Context()) is None


def test_a_carrier_may_be_a_list_of_pairs() -> None:
    assert unpacked('[["traceparent", "00-1"]]') == {"traceparent": "00-1"}


# -- switching it on and off -------------------------------------------------------------------------------------------


def test_the_switch_turns_all_of_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORRAL_OTEL", "0")
    app = Corral("sqlite:///:memory:")
    assert not instrument(app)
    assert app.middlewares == []
    assert app.watchers == []


def test_instrumenting_twice_changes_nothing() -> None:
    app = Corral("sqlite:///:memory:")
    assert instrument(app)
    assert instrument(app)
    assert len(app.middlewares) == 1


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="parent must be one of auto, parent, link, not 'both'"):
        instrument(Corral("sqlite:///:memory:"), parent="both")


async def test_an_open_application_cannot_be_instrumented() -> None:
    async with Corral("sqlite:///:memory:") as app:
        with pytest.raises(RegistrationError, match="before the application's store is opened"):
            instrument(app)


def test_without_the_package_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import corral.observe.tracing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'corral[otel]'" in done.stderr


def test_nothing_of_it_is_imported_by_corral_itself() -> None:
    code = "import sys, corral, corral.cli.work, corral.app.app\nprint({name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "corral" in done.stdout
    assert "opentelemetry" not in done.stdout
    assert "prometheus_client" not in done.stdout
