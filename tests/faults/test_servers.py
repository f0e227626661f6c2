"""A server may hang, lie, break off, answer something else or refuse for ever: the run ends with its exit code and one
line that says why, what failed stands in the pool as failed, nothing that came back whole is asked for again, and with
a sound server the same command makes the pool that it would have been.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import bad_server
import polars as pl
import pytest
from bad_server import Bad, Reply, good, send, sums
from length import LONG

from testtime.cli import main

pytest.importorskip("openai")
TO = BaseHTTPRequestHandler


class Fault(NamedTuple):
    """How the server replies, and what is promised then."""

    how: Reply
    says: str
    more: str = ""
    """Flags."""


def half(to: TO, asked: dict[str, Any]) -> None:
    raw = json.dumps(sums(asked)).encode()
    send(to, raw[: len(raw) // 2], content_length=str(len(raw)))
    to.close_connection = True


def half_a_stream(to: TO, asked: dict[str, Any]) -> None:
    delta = {"index": 0, "delta": {"role": "assistant", "content": "I add. Fin"}, "finish_reason": None}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [delta]}
    to.send_response(200)
    to.send_header("content-type", "text/event-stream")
    to.end_headers()
    to.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
    to.close_connection = True


def silent(asked: dict[str, Any]) -> dict[str, Any]:
    reply = sums(asked)
    return {**reply, "choices": [{**choice, "message": None} for choice in reply["choices"]]}


FAULTS = {
    "hangs": Fault(lambda to, asked: HANG.released.wait(5) and None, "no answer within 0.4 s", "--timeout 0.4"),
    "answers HTML": Fault(lambda to, asked: send(to, b"<html>busy</html>", content_type="text/html"), "no chat reply"),
    "HTML with 502": Fault(lambda to, asked: send(to, b"<html>bad</html>", 502, content_type="text/html"), "502: "),
    "half a reply": Fault(half, "the connection broke"),
    "half a stream": Fault(half_a_stream, "", "--stream"),
    "says nothing": Fault(lambda to, asked: send(to, b""), "no JSON"),
    "null": Fault(lambda to, asked: send(to, b"null"), "no chat reply"),
    "choices that are a text": Fault(lambda to, asked: send(to, {**sums(asked), "choices": "well"}), "form of the API"),
    "a message that is null": Fault(lambda to, asked: send(to, silent(asked)), "form of the API"),
    "nested without end": Fault(lambda to, asked: send(to, b'{"a":' * 60_000 + b"1" + b"}" * 60_000), "too deep"),
    "429 for ever": Fault(lambda to, asked: send(to, {"error": {"message": "slow"}}, 429, retry_after="1"), "429: "),
    "wrong key": Fault(lambda to, asked: send(to, {"error": {"message": "bad key"}}, 401), "401: "),
}
HANG: Bad
WHOLE: list[pl.DataFrame] = []
"""The pools that came of it in the end."""


def line(server: Bad, run: str, more: str = "") -> list[str]:
    return (
        f"run --model vllm:m --base_url {server.url} --dataset gsm8k --dataset_path sums.jsonl --run {run}"
        f" --policies sc_fixed:n=2 {more}"
    ).split()


def rows(work: Path, run: str) -> pl.DataFrame:
    frame = pl.read_parquet(work / f"results/{run}/candidates.parquet")
    return frame.drop("latency_s", "timestamp", "joules", "alone", "calls")


@pytest.mark.parametrize("name", FAULTS)
def test_a_run_against_it_ends_saying_why_and_goes_on_with_a_sound_one(
    work: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    global HANG
    fault = FAULTS[name]
    with bad_server.running() as server:
        HANG = server
        server.how = fault.how
        capsys.readouterr()
        assert main(line(server, "r", fault.more)) == 3
        said = capsys.readouterr().err.strip().split("\n")[-1]
        assert said.startswith("testtime: r: 12 of 12 draws failed, more than 20%; the last one: ")
        assert fault.says in said
        server.said.clear()
        failed = rows(work, "r")
        assert failed.height == failed["error"].count() == 12
        assert failed["is_verified"].fill_null(value=False).sum() == 0
        server.how = good
        assert main(line(server, "r", "--retry_failed all")) == 0
        assert set(server.said.values()) == {1}, "what came back whole is asked for again"
        WHOLE.append(rows(work, "r"))
        assert WHOLE[-1].equals(WHOLE[0])
        assert WHOLE[-1]["is_verified"].sum() == 12


def test_half_the_replies_fail_and_only_those_are_asked_for_again(work: Path) -> None:
    def now_and_then(to: TO, asked: dict[str, Any]) -> None:
        if "What is 3 " in str(asked["messages"][-1]["content"]):
            half(to, asked)
        else:
            good(to, asked)
            server.said[str(asked["messages"][-1]["content"]), int(asked["seed"])] += 1

    with bad_server.running(now_and_then) as server:
        assert main(line(server, "r")) in (0, 3)
        failed = rows(work, "r")["error"].count()
        assert failed == 2
        before = {key: times for key, times in server.said.items() if times}
        server.how = good
        assert main(line(server, "r")) == 0
        assert rows(work, "r")["error"].count() == 0
        assert all(server.said[key] == times for key, times in before.items())


USAGES = {
    "none": None, "negative": [-5, -7], "absurd": [10**18, 10**19], "text": ["many", [1]], "no numbers": [1e999, 0.5],
    "not counted": [0, 0], "beyond 64 bits": [2**63, 2**63],
}  # fmt: skip


@pytest.mark.parametrize("name", list(USAGES)[None if LONG else 2 :])
def test_a_usage_that_cannot_be_is_unknown_and_the_pool_is_whole(work: Path, name: str) -> None:
    def lies(to: TO, asked: dict[str, Any]) -> None:
        usage, told = None, USAGES[name]
        if told is not None:
            usage = {"prompt_tokens": told[0], "completion_tokens": told[1], "total_tokens": told[1]}
        send(to, sums(asked) | {"usage": usage})

    with bad_server.running(lies) as server:
        for _ in range(2):  # and again, without a call
            assert main(line(server, "r")) == 0
            assert sum(server.asked.values()) == 6
            frame = pl.read_parquet(work / "results/r/candidates.parquet")
            assert frame["is_verified"].sum() == 12
            assert frame["completion_tokens"].count() == frame["prompt_tokens"].count() == 0
            assert (frame["latency_s"] >= 0).all()


@pytest.mark.parametrize(
    ("told", "calls"),
    [(None, 2), ([-5, -7], 2), ([2**63, 2**63], 2), ([0, 0], 2), ([2**40, 2**40], 1), ([9, 14], 6)],
    ids=["none", "negative", "beyond 64 bits", "not counted", "most", "true"],
)
def test_a_cap_holds_whatever_is_told_of_tokens(work: Path, told: list[int] | None, calls: int) -> None:
    """What is not known counts at its upper bound, of which the cap has room for two."""

    def lies(to: TO, asked: dict[str, Any]) -> None:
        body = sums(asked)
        usage = None if told is None else {"prompt_tokens": told[0], "completion_tokens": told[1], "total_tokens": 1}
        send(to, body | {"usage": usage})

    with bad_server.running(lies) as server:
        for _ in range(2):  # and a later session knows it, too
            code = main(line(server, "r", "--max_total_tokens 1200 --max_tokens 100 --concurrency 1"))
            assert (code, sum(server.asked.values())) == (0 if calls == 6 else 3, calls)
        calls_made = pl.read_parquet(work / "results/r/calls.parquet")
        assert calls_made.height == calls
        known = calls_made["prompt_tokens"].drop_nulls().to_list()
        assert known == ([told[0]] * calls if told and calls != 2 else [])
        assert pl.read_parquet(work / "results/r/candidates.parquet")["is_verified"].sum() == 2 * calls


@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "Infinity", "1e999", "null", '"x"', "-1e308"][: 7 if LONG else 2]
)
def test_log_probabilities_that_are_no_numbers_stop_nothing(work: Path, value: str) -> None:
    def strange(to: TO, asked: dict[str, Any]) -> None:
        body = sums(asked)
        for choice in body["choices"]:
            choice["logprobs"] = {"content": [{"token": "I", "logprob": "@", "bytes": None, "top_logprobs": []}]}
        send(to, json.dumps(body).replace('"@"', value).encode())

    with bad_server.running(strange) as server:
        policies = "--policies sc_fixed:n=2"
        code = main(line(server, "r", policies))
        assert code in (0, 3)
        frame = pl.read_parquet(work / "results/r/candidates.parquet")
        assert frame.height == 12
        assert (code == 0) == (frame["error"].count() == 0)
        server.how = good
        assert main(line(server, "r")) == 0
        assert rows(work, "r")["is_verified"].sum() == 12


ODD = (0x0, 0x1, 0x7F, 0x85, 0x2028, 0x202E, 0xFDD0, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0xD7FF, 0xE000)
TEXTS = {
    "empty": "",
    "blank": " \n\t\r\n",
    "every plane": "".join(chr(plane * 0x10000 + at) for plane in range(17) for at in ODD),
    "gigantic": "so on and on " * 80_000,
    "one long word": "é" * 400_000,
    "JSON": '{"a": [1, "\\ud800"]}\n' * 99,
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_model_may_say_anything_and_the_pool_says_it_back(work: Path, name: str) -> None:
    text = TEXTS[name]

    def says(to: TO, asked: dict[str, Any]) -> None:
        body = sums(asked)
        for choice in body["choices"]:
            choice["message"]["content"] = text
        send(to, body)

    with bad_server.running(says) as server:
        for _ in range(2):
            assert main(line(server, "r", "--max_queries 2")) == 0
            assert sum(server.asked.values()) == 2
            frame = pl.read_parquet(work / "results/r/candidates.parquet")
            assert frame["candidate_text"].to_list() == [text] * 4
