"""Codecs: what is sealed opens for its own job alone, and nothing else does."""

import base64
import json
import pickle
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral import Compressed, ConfigError, Encrypted, PayloadError, Signed, new_key
from corral.codec.chain import Chain, Codec, Purpose, as_stored, refuse_sealed, unreadable

KEY, OTHER = new_key(), new_key()
JOB = Purpose("payload", "mail", "welcome", "7")
SECRET = '{"card":"4111 1111 1111 1111"}'


def chain(*codecs: Codec) -> Chain:
    return Chain(codecs or [Compressed(above=20), Encrypted({"2026": KEY}), Signed({"s": OTHER})])


def envelope(text: str) -> dict[str, object]:
    made = json.loads(text)
    assert isinstance(made, dict)
    return made


@given(st.text())
def test_what_is_sealed_opens_to_what_it_was(text: str) -> None:
    sealed = json.dumps(text)
    assert chain().open(chain().seal(sealed, JOB), JOB) == sealed


def test_an_envelope_says_how_it_was_sealed_and_nothing_of_the_content() -> None:
    sealed = chain().seal(SECRET, JOB)
    assert envelope(sealed)["steps"] == ["zlib", "A256GCM:2026", "HS256:s"]
    assert "4111" not in sealed
    assert b"4111" not in base64.b64decode(str(envelope(sealed)["body"]))


def test_the_same_payload_is_never_sealed_to_the_same_text_twice() -> None:
    assert len({chain().seal(SECRET, JOB) for _ in range(50)}) == 50


def test_a_small_text_is_not_compressed_and_alone_stays_as_it_is() -> None:
    assert chain(Compressed(above=100)).seal(SECRET, JOB) == SECRET
    assert chain(Compressed(above=100)).open(SECRET, JOB) == SECRET


def test_a_signed_payload_can_be_read_by_anybody() -> None:
    sealed = chain(Signed(KEY)).seal(SECRET, JOB)
    assert b"4111" in base64.b64decode(str(envelope(sealed)["body"]))


@pytest.mark.parametrize(
    "purpose",
    [
        Purpose("payload", "other", "welcome", "7"),
        Purpose("payload", "mail", "goodbye", "7"),
        Purpose("payload", "mail", "welcome", "8"),
        Purpose("result", "mail", "welcome", "7"),
    ],
    ids=["queue", "name", "id", "kind"],
)
@pytest.mark.parametrize("codec", [Encrypted(KEY), Signed(KEY)], ids=["encrypted", "signed"])
def test_an_envelope_opens_for_no_other_job(codec: Codec, purpose: Purpose) -> None:
    sealed = chain(codec).seal(SECRET, JOB)
    with pytest.raises(PayloadError, match="another job"):
        chain(codec).open(sealed, purpose)


def test_an_envelope_without_an_id_opens_for_every_job_of_its_name() -> None:
    sealed = chain().seal(SECRET, Purpose("payload", "mail", "welcome"))
    assert chain().open(sealed, JOB) == SECRET


@pytest.mark.parametrize("codec", [Encrypted(KEY), Signed(KEY)], ids=["encrypted", "signed"])
def test_the_tie_to_an_id_cannot_be_taken_off_or_changed(codec: Codec) -> None:
    sealed = envelope(chain(codec).seal(SECRET, JOB))
    free = json.dumps({**sealed, "to": None}, separators=(",", ":"))
    changed = json.dumps({**sealed, "to": "8"}, separators=(",", ":"))
    with pytest.raises(PayloadError, match="forged"):
        chain(codec).open(free, Purpose("payload", "mail", "welcome", "8"))
    with pytest.raises(PayloadError, match="forged"):
        chain(codec).open(changed, Purpose("payload", "mail", "welcome", "8"))


@pytest.mark.parametrize("codec", [Encrypted(KEY), Signed(KEY)], ids=["encrypted", "signed"])
def test_every_single_changed_byte_is_noticed(codec: Codec) -> None:
    sealed = envelope(chain(codec).seal(SECRET, JOB))
    body = base64.b64decode(str(sealed["body"]))
    for place in range(len(body)):
        forged = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        text = json.dumps({**sealed, "body": base64.b64encode(forged).decode()}, separators=(",", ":"))
        with pytest.raises(PayloadError, match="forged, damaged"):
            chain(codec).open(text, JOB)


@pytest.mark.parametrize("codec", [Encrypted(KEY), Signed(KEY)], ids=["encrypted", "signed"])
def test_every_shorter_body_is_noticed(codec: Codec) -> None:
    sealed = envelope(chain(codec).seal(SECRET, JOB))
    body = base64.b64decode(str(sealed["body"]))
    for length in range(len(body)):
        text = json.dumps({**sealed, "body": base64.b64encode(body[:length]).decode()}, separators=(",", ":"))
        with pytest.raises(PayloadError, match="forged, damaged"):
            chain(codec).open(text, JOB)


def changed(change: Callable[[dict[str, object]], dict[str, object]]) -> str:
    return json.dumps(change(envelope(chain().seal(SECRET, JOB))), separators=(",", ":"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (changed(lambda it: {**it, "steps": ["zlib"]}), "without A256GCM and HS256"),
        (changed(lambda it: {**it, "steps": ["A256GCM:2026", "zlib", "HS256:s"]}), "forged"),
        (changed(lambda it: {**it, "steps": ["zlib", "A256GCM:2026", "HS256:s", "rot13"]}), "no codec for"),
        (changed(lambda it: {**it, "steps": ["zlib", "A256GCM:2025", "HS256:s"]}), "forged"),
        (changed(lambda it: {**it, "body": "%%%"}), "not base64"),
        (changed(lambda it: {**it, "body": 7}), "damaged"),
        (changed(lambda it: {**it, "corral:sealed": 2}), "version 2"),
        (changed(lambda it: {**it, "more": 1}), "damaged"),
        ('{"corral:sealed":1,"steps":[', "damaged"),
        ('{"card":1}', "without A256GCM and HS256"),
        ("null", "without A256GCM and HS256"),
    ],
)
def test_a_payload_that_is_not_sealed_as_demanded_is_refused(text: str, why: str) -> None:
    with pytest.raises(PayloadError, match=why) as caught:
        chain().open(text, JOB)
    assert "4111" not in str(caught.value)


def test_an_old_key_opens_and_the_current_one_seals() -> None:
    before = chain(Encrypted({"old": KEY})).seal(SECRET, JOB)
    after = chain(Encrypted({"old": KEY, "new": OTHER}, current="new"))
    assert after.open(before, JOB) == SECRET
    assert not after.is_current(before)
    assert envelope(after.seal(SECRET, JOB))["steps"] == ["A256GCM:new"]
    assert after.is_current(after.seal(SECRET, JOB))


def test_a_key_that_was_taken_away_is_named() -> None:
    before = chain(Encrypted({"old": KEY})).seal(SECRET, JOB)
    with pytest.raises(PayloadError, match="its key 'old' is not here"):
        chain(Encrypted({"new": KEY})).open(before, JOB)


def test_another_key_with_the_same_id_does_not_open_it() -> None:
    for make in (Encrypted, Signed):
        with pytest.raises(PayloadError, match="forged"):
            chain(make({"k": OTHER})).open(chain(make({"k": KEY})).seal(SECRET, JOB), JOB)


def test_without_strict_what_is_plain_is_let_through_and_what_is_forged_is_not() -> None:
    lenient = chain(Encrypted(KEY, strict=False))
    assert lenient.open(SECRET, JOB) == SECRET
    assert not lenient.is_current(SECRET)
    with pytest.raises(PayloadError, match="forged"):
        lenient.open(chain(Encrypted(OTHER)).seal(SECRET, JOB), JOB)


def test_a_bomb_is_refused_at_the_limit() -> None:
    bomb = base64.b64encode(zlib.compress(b"0" * 50_000_000)).decode()
    text = json.dumps({"corral:sealed": 1, "steps": ["zlib"], "body": bomb}, separators=(",", ":"))
    assert len(text) < 100_000
    with pytest.raises(PayloadError, match="inflates to more than 1,000,000 bytes"):
        chain(Compressed(limit=1_000_000)).open(text, JOB)


def test_a_compressed_body_that_is_cut_short_is_refused() -> None:
    body = base64.b64encode(zlib.compress(SECRET.encode())[:-4]).decode()
    text = json.dumps({"corral:sealed": 1, "steps": ["zlib"], "body": body}, separators=(",", ":"))
    with pytest.raises(PayloadError, match="cut short"):
        chain(Compressed()).open(text, JOB)


def test_a_text_of_exactly_the_limit_is_let_through() -> None:
    exact = Compressed(above=0, limit=len(SECRET))
    assert chain(exact).open(chain(exact).seal(SECRET, JOB), JOB) == SECRET


@pytest.mark.parametrize("make", [Encrypted, Signed])
def test_keys_stand_in_no_repr_error_or_pickle(make: Callable[..., Codec]) -> None:
    codec = make({"a": KEY, "b": OTHER}, current="a")
    assert repr(codec) == f"{make.__name__}(keys=['a', 'b'], current='a')"
    with pytest.raises(TypeError, match="are not pickled"):
        pickle.dumps(codec)
    for keys in ({"a": KEY[:-4]}, {"a": KEY + "!"}, {"a": KEY.encode()}):
        with pytest.raises(ConfigError) as caught:
            make(keys)
        assert KEY[:16] not in str(caught.value)


@pytest.mark.parametrize("make", [Encrypted, Signed])
@pytest.mark.parametrize(
    ("keys", "current", "why"),
    [
        ({}, None, "at least one key"),
        ({"a": KEY, "b": KEY}, None, "which is the current one"),
        ({"a": KEY}, "b", "no key 'b'"),
        ({"a": b"short"}, None, "32 bytes, not 5 bytes"),
        ({"a": 7}, None, "32 bytes, not int"),
        ({"": KEY}, None, "1 to 64 characters"),
        ({"a\n": KEY}, None, "1 to 64 characters"),
    ],
)
def test_keys_that_are_none_are_refused(make: Callable[..., Codec], keys: object, current: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        make(keys, current=current)


def test_a_key_is_bytes_or_base64_of_either_alphabet() -> None:
    key = bytes(range(224, 256))
    standard, urls = base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()
    assert standard != urls
    sealed = chain(Signed(key)).seal(SECRET, JOB)
    assert chain(Signed(standard)).open(sealed, JOB) == chain(Signed(urls)).open(sealed, JOB) == SECRET


@pytest.mark.parametrize("options", [{"above": -1}, {"above": True}, {"level": 0}, {"level": 10}, {"limit": 0}])
def test_a_compression_that_cannot_be_meant_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        Compressed(**options)


def test_a_chain_takes_one_codec_of_a_kind_and_codecs_alone() -> None:
    with pytest.raises(ConfigError, match="several keys"):
        Chain([Signed(KEY), Signed(OTHER)])
    with pytest.raises(ConfigError, match="codecs are"):
        Chain([Compressed])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="codecs are"):
        Chain(["zlib"])  # type: ignore[list-item]


def test_what_cannot_be_opened_keeps_its_envelope_and_its_reason() -> None:
    sealed = chain().seal(SECRET, JOB)
    text = unreadable("its key is gone", sealed)
    assert as_stored(text) == sealed
    with pytest.raises(PayloadError, match="cannot be opened: its key is gone"):
        refuse_sealed(text)
    with pytest.raises(PayloadError, match="no codecs"):
        refuse_sealed(sealed)
    refuse_sealed(SECRET)
    assert as_stored(SECRET) is None
    assert as_stored(unreadable("made up", "anything")) is None
