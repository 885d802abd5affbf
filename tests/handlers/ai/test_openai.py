"""The wire: what is asked, what is understood, what is not."""

import pytest
from pydantic import SecretStr
from werkzeug import Response

from corral.handlers.ai import AiSettings, Completion, Model, ModelError, OpenAi, Question, Said, model_for
from corral.handlers.kit.web import AuthError, BlockedAddressError, BusyError, RefusedError, Web, WebError

from .fake_openai import KEY, FakeOpenAi, direction, refusing, reply

QUESTION = Question(
    messages=(Said("system", "Be brief."), Said("user", "Hello there")), model="gpt-4", max_tokens=100, temperature=0.7
)


@pytest.fixture
def model(settings: AiSettings) -> Model:
    return model_for(settings)


async def test_an_answer_comes_with_its_tokens(openai: FakeOpenAi, model: Model) -> None:
    assert await model.complete(QUESTION) == Completion(
        content="You said: Hello there", model="gpt-4-0613", prompt_tokens=4, completion_tokens=4
    )
    assert openai.asked == [
        {
            "model": "gpt-4", "max_tokens": 100, "temperature": 0.7,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there"}],
        }
    ]  # fmt: skip


async def test_a_streamed_answer_is_told_while_it_is_written(openai: FakeOpenAi, model: Model) -> None:
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    completion = await model.complete(QUESTION, hear)
    assert heard == ["You", "You said:", "You said: Hello", "You said: Hello there"]
    assert (completion.content, completion.tokens, completion.cut) == ("You said: Hello there", 8, False)
    assert openai.asked[0]["stream"] is True
    assert openai.asked[0]["stream_options"] == {"include_usage": True}


async def hear_nothing(text: str) -> None:
    return


async def test_an_answer_that_was_cut_says_so(openai: FakeOpenAi, model: Model) -> None:
    openai.finish = "length"
    assert (await model.complete(QUESTION)).cut
    assert (await model.complete(QUESTION, hear_nothing)).cut


async def test_a_server_that_counts_no_tokens_has_them_estimated(openai: FakeOpenAi, model: Model) -> None:
    message = {"choices": [{"message": {"role": "assistant", "content": "four letters"}, "finish_reason": "stop"}]}
    openai.plans = [lambda _: reply(message)]
    completion = await model.complete(QUESTION)
    assert (completion.prompt_tokens, completion.completion_tokens, completion.model) == (6, 4, "gpt-4")


async def test_a_refusal_of_the_model_is_its_answer(openai: FakeOpenAi, model: Model) -> None:
    message = {"choices": [{"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}]}
    openai.plans = [lambda _: reply(message)]
    assert (await model.complete(QUESTION)).content == "I cannot."


async def test_the_bound_goes_by_the_name_that_the_server_wants(openai: FakeOpenAi, settings: AiSettings) -> None:
    newer = settings.model_copy(update={"ai_tokens_field": "max_completion_tokens"})
    await model_for(newer).complete(QUESTION)
    assert openai.asked[0]["max_completion_tokens"] == 100
    assert "max_tokens" not in openai.asked[0]


async def test_vectors_come_in_the_order_of_the_texts(openai: FakeOpenAi, model: Model) -> None:
    made = await model.embed(["the cat", "a dog"], "text-embedding-3-small")
    assert made.vectors == (tuple(direction("the cat")), tuple(direction("a dog")))
    assert (made.tokens, openai.asked) == (
        4, [{"model": "text-embedding-3-small", "input": ["the cat", "a dog"]}]
    )  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthError), (403, AuthError), (400, RefusedError), (404, RefusedError), (429, BusyError),
        (500, WebError), (502, WebError), (503, WebError), (408, WebError),
    ],
)  # fmt: skip
async def test_every_status_is_an_error_of_its_kind(
    openai: FakeOpenAi, model: Model, status: int, kind: type[WebError], streamed: bool
) -> None:
    openai.plans = [refusing(status, "because")]
    with pytest.raises(WebError, match=rf"answered {status} .*because") as caught:
        await model.complete(QUESTION, hear_nothing if streamed else None)
    assert type(caught.value) is kind


async def test_429_says_when_to_come_again(openai: FakeOpenAi, model: Model) -> None:
    openai.plans = [refusing(429, "slow down", "rate_limit_exceeded", after="7")]
    with pytest.raises(BusyError) as caught:
        await model.complete(QUESTION)
    assert caught.value.after == 7


async def test_a_quota_that_is_used_up_is_asked_for_again_in_ten_minutes(openai: FakeOpenAi, model: Model) -> None:
    openai.plans = [refusing(429, "You exceeded your current quota", "insufficient_quota")]
    with pytest.raises(BusyError) as caught:
        await model.complete(QUESTION)
    assert caught.value.after == 600


async def test_a_key_never_shows_although_the_server_repeats_it(openai: FakeOpenAi, settings: AiSettings) -> None:
    wrong = "sk-wrong-0123456789abcdef"
    model = model_for(settings.model_copy(update={"ai_api_key": SecretStr(wrong)}))
    with pytest.raises(AuthError) as caught:
        await model.complete(QUESTION)
    assert "Incorrect API key provided" in str(caught.value)
    for shown in (str(caught.value), repr(model), repr(settings), str(settings)):
        assert wrong not in shown
        assert KEY not in shown


@pytest.mark.parametrize("streamed", [False, True])
async def test_silence_ends_when_the_time_is_over(openai: FakeOpenAi, settings: AiSettings, streamed: bool) -> None:
    openai.plans = [openai.silence]
    model = model_for(settings.model_copy(update={"ai_timeout": 0.3}))
    with pytest.raises(WebError, match=r"took longer than 0\.3 s"):
        await model.complete(QUESTION, hear_nothing if streamed else None)


async def test_a_stream_that_breaks_off_is_no_answer(openai: FakeOpenAi, model: Model) -> None:
    openai.plans = [openai.half_a_stream, openai.stream_with_an_error]
    with pytest.raises(WebError, match="broke off before the answer was complete"):
        await model.complete(QUESTION, hear_nothing)
    with pytest.raises(WebError, match="broke off: server_error"):
        await model.complete(QUESTION, hear_nothing)


@pytest.mark.parametrize("body", [b"<html>", b'{"choices": 1}', b'{"choices": []}', b"\xff"])
async def test_an_answer_that_is_none_is_an_error(openai: FakeOpenAi, model: Model, body: bytes) -> None:
    openai.plans = [lambda _: Response(body, mimetype="application/json")]
    with pytest.raises(ModelError):
        await model.complete(QUESTION)


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"index": 0, "embedding": []}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}],
    ],
)
async def test_vectors_that_are_missing_or_of_two_lengths_are_an_error(
    openai: FakeOpenAi, model: Model, data: list[object]
) -> None:
    openai.plans = [lambda _: reply({"data": data})]
    with pytest.raises(ModelError, match="answered 2 texts with"):
        await model.embed(["a", "b"], "m")


async def test_a_web_that_does_not_trust_the_server_does_not_go_there(openai: FakeOpenAi) -> None:
    with pytest.raises(BlockedAddressError):
        await OpenAi(Web(), openai.url, SecretStr(KEY)).complete(QUESTION)
