"""A whole tool_calling experiment offline: model and tools in turns by either protocol, mocks, a judge, and a row for
everything that goes wrong; the documents' columns, messages and recipes; calls as answers; retries in their own file.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from tooled import BFCL, PLACE, QUESTIONS, SOLVER, rows

from testtime import api, sources
from testtime.build import resolve
from testtime.cli import main
from testtime.core.definitions import arguments_of
from testtime.core.errors import BadInput, Refused
from testtime.core.records import Arm, Completion, Problem
from testtime.core.strings import parse
from testtime.decoding.talk import MOST, wire_names
from testtime.decoding.tools import REASON, Means
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import execute
from testtime.models import BUILTIN
from testtime.models.scripted import Scripted
from testtime.runspec import RunSpec
from testtime.sources import inspect
from testtime.tools.execute import Execute

SEED = sorted((Path(__file__).parents[3] / "shared" / "seeds").glob("004_*.txt"))


@pytest.fixture(autouse=True)
def tooled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(BUILTIN, "tooled", PLACE)
    monkeypatch.setitem(BUILTIN, "solver", SOLVER)


def config(model: str, path: Path, **how: Any) -> Path:
    given = {"dataset": "nemotron", "dataset_path": str(rows(path.with_name("rows.jsonl"))), "splits": "tool_calling",
             "model": model, "num_candidates": 2, "policies": ["sc_fixed:n=2"], "mock_threshold": 0.4,
             "max_iterations": 5, "temperature": 1.0, "output": str(path.with_suffix(".parquet")), **how}  # fmt: skip
    path.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in given.items()))
    return path


@pytest.fixture(params=["native", "text"])
def experiment(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, pl.DataFrame, Path]:
    path = config(f"tooled:{request.param}", tmp_path / "experiment.yaml")
    assert main(["run", "--config", str(path)]) == 0
    output = tmp_path / "experiment.parquet"
    return request.param, pl.read_parquet(output), output


def of(table: pl.DataFrame, question: int) -> list[dict[str, Any]]:
    return table.filter(query_id=f"q{question}").to_dicts()


def test_a_whole_experiment_with_tools_offline(experiment: tuple[str, pl.DataFrame, Path]) -> None:
    protocol, table, output = experiment
    assert table.height == 2 * len(QUESTIONS)
    assert set(table["split"]) == {"tool_calling"}
    assert not table["is_retry"].any()

    for row in of(table, 0):  # two calls at once, played by the dynamic mock
        assert (row["tool_iterations"], row["tool_calls_total"]) == (1, 2)
        assert json.loads(row["mock_sources"]) == {"get_weather": "dynamic_mock"}
        facts = json.loads(row["facts"])
        assert (facts["tool_protocol"], facts["tools_available"]) == (protocol, 2)
        assert facts["tool_calls_by_name"] == {"get_weather": 2}
        messages = json.loads(row["output_messages"])
        assert [(one["role"], one["channel"]) for one in messages] == [
            ("system", "tools"), ("assistant", "tool_call"), ("tool", "tool_result"), ("tool", "tool_result"),
            ("assistant", "final"),
        ]  # fmt: skip
        assert [tool["name"] for tool in json.loads(messages[0]["content"])] == ["get_weather", "read.horoscope"]
        called = json.loads(messages[1]["content"])
        assert called["thinking"] == "I look."
        assert [(one["name"], one["input"]["city"]) for one in called["tool_calls"]] == [
            ("get_weather", "Graz"), ("get_weather", "Lima"),
        ]  # fmt: skip
        result = json.loads(messages[2]["content"])
        assert result["tool_use_id"] == called["tool_calls"][0]["id"]
        assert json.loads(result["content"])["city"] == "Graz"
        assert row["candidate_text"].startswith("So it is:"), "what was made up beside a call is no answer"
        assert row["is_verified"]
        assert row["verification_verifier_name"] == "judge"
        assert row["verification_method"].endswith("judge appropriateness")
        assert "whatever was said" in row["ground_truth_answer"]

    for row in of(table, 1):  # nothing known of it: a model plays it
        assert json.loads(row["mock_sources"]) == {"read.horoscope": "llm_mock"}
        assert "a quiet week" in row["tool_trace"]

    for row in of(table, 2):  # what is called wrongly comes back as an error, and the model goes on
        told = [json.loads(json.loads(step["text"])["content"]) for step in json.loads(row["tool_trace"])[1::2]]
        assert [list(one) for one in told] == [["error"]] * 3
        assert "city is missing" in told[0]["error"]
        assert "there is no tool 'no_such_tool'; there are: get_weather, read.horoscope" in told[1]["error"]
        assert "are no JSON object" in told[2]["error"]
        assert (row["error"], row["tool_iterations"]) == (None, 3)
        assert row["tool_errors"] == 3

    for row in of(table, 3):  # an unknown tool for ever: a row with the error, and the trace of how it came to that
        assert row["error"] == "no answer after 5 rounds of tool calls"
        assert (row["tool_iterations"], row["answer_key"], row["is_verified"]) == (5, None, False)
        assert row["completion_tokens"] is not None
        assert row["tool_trace"].count("no_such_tool") > 5

    assert {row["tool_iterations"] for row in of(table, 5)} == {0}
    meta = pq.read_table(output).schema.metadata
    assert json.loads(meta[b"config"])["decoding"] == ["tools:max_iterations=5"]


def test_a_capability_refusal_is_tried_again_once_in_a_file_of_its_own(
    experiment: tuple[str, pl.DataFrame, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, table, output = experiment
    again = pl.read_parquet(output.with_suffix(".retries.parquet"))
    assert again["retry_of_candidate_idx"].to_list() == [0, 1]
    assert set(again["query_id"]) == {"q4"}
    assert set(again["retry_reason"]) == {REASON}
    assert set(again["arm"]) == {"tools:max_iterations=5,mock=llm"}
    assert again["is_retry"].all()
    assert {json.loads(one)["get_weather"] for one in again["mock_sources"]} == {"llm_mock_forced"}
    assert again["is_verified"].all(), "they are judged as the others are"
    assert not table.filter(query_id="q4")["is_verified"].any(), "the original stays as it was"
    (seen,) = inspect(output)
    assert seen.rows == 12
    assert main(["run", "--config", str(output.with_name("experiment.yaml"))]) == 0
    assert "no call was made" in capsys.readouterr().out


@pytest.mark.skipif(not SEED, reason="the describing documents are not on this machine")
def test_the_documents_recipes_for_tool_calling_run(
    experiment: tuple[str, pl.DataFrame, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, table, output = experiment
    blocks = re.findall(r"^```python\n(.*?)^```", SEED[0].read_text(encoding="utf-8"), re.S | re.M)
    (recipe,) = [text for text in blocks if "refusal_is_refusal" in text]
    exec(recipe, {"df": pd.read_parquet(output)})
    said = capsys.readouterr().out
    right = table["is_verified"].sum() / table["is_verified"].count()
    assert f"Tool calling verification: {right:.2%}" in said
    assert said.count("Explanation: ") == 5


def test_the_usual_decoding_of_a_split_with_tools_has_tools(tmp_path: Path) -> None:
    path = config("tooled:native", tmp_path / "one.yaml", decoding="plain", mock_threshold=None, max_iterations=None)
    text = "\n".join(line for line in path.read_text().splitlines() if "null" not in line)
    path.write_text(text)
    api.run(str(path), max_queries=1)
    assert set(pl.read_parquet(tmp_path / "one.parquet")["arm"]) == {"plain"}


def test_structured_output_keeps_the_conversation_before_the_steps(tmp_path: Path) -> None:
    path = config("tooled:native", tmp_path / "steps.yaml", structured_output=True)
    api.run(str(path), max_queries=1)
    for row in pl.read_parquet(tmp_path / "steps.parquet").to_dicts():
        channels = [one["channel"] for one in json.loads(row["output_messages"])]
        assert channels == ["tools", "tool_call", "tool_result", "tool_result", "reasoning", "final"]
        assert row["is_verified"]


def test_what_a_judge_says_besides_is_in_columns(experiment: tuple[str, pl.DataFrame, Path]) -> None:
    _, table, _ = experiment
    assert set(table["oracle(judge_addresses_problem)"]) == {1.0, None}
    assert table.filter(query_id="q4")["oracle(judge_answer_sensible)"].to_list() == [0.0, 0.0]


def test_retries_alone_are_no_pool(experiment: tuple[str, pl.DataFrame, Path]) -> None:
    _, _, output = experiment
    with pytest.raises(BadInput, match="no candidates"):
        api.load(output.with_suffix(".retries.parquet"))
    with pytest.raises(BadInput, match="no candidates"):
        sources.inspect(output.with_suffix(".retries.parquet"))
    for pattern in ("*.parquet", "*"):  # as the documents have it: each pool once
        found = sources.paths_of(str(output.parent / f"{output.stem}{pattern}"))
        assert output.with_suffix(".retries.parquet") in found
        assert len(sources.inspect([path for path in found if path.suffix != ".yaml"])) == 1


@pytest.mark.parametrize(
    ("given", "mock"),
    [
        ({"model": "gpt-5.1"}, "openai:gpt-4o-mini"),
        ({"model": "claude-opus-5-5"}, "anthropic:claude-sonnet-4-6"),
        ({"model": "gemini-3.8-flash"}, None),
        ({"model": "vllm:qwen"}, None),
        ({"model": "openai:mine", "base_url": ["http://here:1/v1"]}, None),
        ({"model": "gpt-5.1", "mock_model": "claude-haiku-5-5"}, "anthropic:claude-haiku-5-5"),
        ({"model": "gpt-5.1", "decoding": ["plain"]}, None),
        ({"model": "gpt-5.1", "decoding": ["plain"], "mock_model": "claude-haiku-5-5"}, None),
    ],
)
def test_a_tool_is_played_on_the_generators_platform(given: dict[str, Any], mock: str | None) -> None:
    spec = resolve(RunSpec(**{"dataset": "nemotron", "splits": ("math", "tool_calling"), **given}))
    assert spec.mock_model == mock
    assert spec.decoding == (("plain",) if given.get("decoding") else ("tools",))


def test_a_split_without_tools_is_drawn_plainly_where_nobody_says_otherwise() -> None:
    assert resolve(RunSpec(model="gpt-5.1", dataset="nemotron", splits=("math",))).decoding == ("plain",)


def test_a_file_of_definitions_is_what_it_says_and_not_what_it_is_called(tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "model": "tooled:native", "dataset": "pocket-math", "max_queries": 1, "policies": "sc_fixed:n=1",
        "decoding": "tools", "tools": ["own.json", "calculate"], "run": "r",
    }  # fmt: skip
    (tmp_path / "own.json").write_text(json.dumps([{"name": "count_sheep", "parameters": {"n": {"type": "int"}}}]))
    made = api.run(**asked)
    (row,) = pl.read_parquet(made.path / "candidates.parquet").to_dicts()
    told = json.loads(json.loads(row["output_messages"])[0]["content"])
    assert [one["name"] for one in told] == ["count_sheep", "calculate"]
    (tmp_path / "own.json").write_text(json.dumps([{"name": "count_goats"}]))
    with pytest.raises(BadInput, match=r"was made with decoding\.definitions"):
        api.run(**asked)
    (tmp_path / "own.json").write_text('[{"parameters": {}}]')
    with pytest.raises(BadInput, match=r"own\.json:1: a tool is defined without a name"):
        api.run(**asked)


def test_so_many_calls_of_one_message_are_run_and_no_more(tmp_path: Path) -> None:
    listed = [{"id": f"c{at}", "name": "get_stock_price", "arguments": {"symbol": str(at)}} for at in range(90)]

    def script(request: Any, seed: int) -> Any:
        told = [one for one in request.messages if one["role"] == "tool"]
        assert len(told) in (0, 90), "every call is answered"
        return "done" if told else Completion("", "tools", 9, tool_calls=listed)

    row = one_draw(tmp_path, script, [{"name": "get_stock_price"}])
    assert (row["tool_calls_total"], row["tool_errors"], row["answer"]) == (MOST, 90 - MOST, "done")


def test_no_tool_at_all_is_refused(tmp_path: Path) -> None:
    ask: dict[str, Any] = {"model": "tooled:native", "dataset": "pocket-math", "decoding": "tools", "max_queries": 2}
    with pytest.raises(Refused, match="no problem has any"):
        api.run(**ask, policies="sc_fixed:n=1")
    made = api.run(**ask, tools=["calculate", "get_weather_forecast"], policies="sc_fixed:n=1")
    assert set(made.drawn.spec.decoding) == {"tools:tools=(calculate,get_weather_forecast)"}


@pytest.mark.parametrize("protocol", ["native", "text"])
def test_calls_that_are_the_answer_are_read_and_not_run(protocol: str, tmp_path: Path) -> None:
    if not BFCL.exists():
        pytest.skip("the BFCL files are not on this machine")
    asked: dict[str, Any] = {"dataset": "bfcl", "dataset_path": BFCL, "decoding": "tools", "policies": "sc_fixed:n=1"}
    made = api.run(model=f"solver:{protocol}", max_queries=60, out_dir=tmp_path, **asked)
    table = pl.read_parquet(made.path / "candidates.parquet")
    assert table["is_verified"].to_list() == [True] * 60
    assert set(table["verification_verifier_name"]) == {"tools"}
    assert set(table["tool_iterations"]) == {0}
    assert not table["input_messages"].str.contains("as a JSON list").any(), "the tools are told as tools"
    assert any("." in json.loads(one)[0][0] for one in table["answer"]), "names come back as they are defined"


def test_names_that_providers_do_not_take_are_rewritten_each_to_another() -> None:
    names = ["a.b", "a_b", "a b", "ä" * 99, "ä" * 98, ""]
    made = wire_names(names)
    assert len(set(made.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in made.values())


def one_draw(tmp_path: Path, script: Any, tools: Any, native: bool = True, **means: Any) -> dict[str, Any]:
    """One problem, one draw, of a model that is scripted."""
    model = Scripted(script, name="scripted:1")
    made = parse("decoding", "tools:max_iterations=3", means=Means(native=native, **means))
    arm = Arm("tools", {"model": model.name})
    lane = Lane((arm,), made, lambda problem: [{"role": "user", "content": problem.question}], 1, made.again_of(arm))
    problem = Problem("q", "tool_calling", "?", fields={"tools": tools})
    plan = Plan(
        "r", "d", 0, [problem], [lane], {model.name: model}, lambda problem, text: (text or None, None),
        tools={"execute": Execute(0)}, roles={"mock": model.name},
    )  # fmt: skip
    asyncio.run(execute(plan, tmp_path / "run"))
    (row,) = pl.read_parquet(tmp_path / "run" / "candidates.parquet").to_dicts()
    return row


WRITTEN = {
    "brackets without end": "[" * 100_000,
    "deeper than can be written down": '{"city":' * 900 + "1" + "}" * 900,
    "no number": '{"city": NaN}',
    "half a surrogate pair": '{"city": "\\ud800"}',
    "a number of 5,000 digits": '{"city": ' + "9" * 5000 + "}",
    "nothing": "",
}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_whatever_is_written_as_arguments_the_model_is_told_and_the_draw_goes_on(
    tmp_path: Path, written: str, native: bool
) -> None:
    called = {"id": "a", "name": "get_weather", "arguments": arguments_of(written)}
    text = f'<tool_call>{{"name": "get_weather", "arguments": {written}}}</tool_call>'
    call = Completion("" if native else text, "tools" if native else "stop", 4, tool_calls=[called] if native else [])

    def script(request: Any, seed: int) -> Any:
        came = [one for one in request.messages if one["role"] == "tool" or "<tool_result>" in str(one["content"])]
        return "It is told." if came else call

    row = one_draw(tmp_path, script, [{"name": "get_weather"}], native=native)
    assert (row["finish_reason"], row["error"], row["candidate_text"]) == ("stop", None, "It is told.")
    assert row["tool_calls_total"] == 1


def test_a_definition_without_a_name_fails_its_draw_and_not_the_run(tmp_path: Path) -> None:
    row = one_draw(tmp_path, lambda request, seed: "no", [{"parameters": {}}])
    assert row["error"].startswith("a tool is defined without a name")


def test_a_text_cut_at_its_limit_is_no_call(tmp_path: Path) -> None:
    cut = Completion("", "length", 9, tool_calls=[{"id": "a", "name": "get_stock_price", "arguments": '{"symb'}])
    row = one_draw(tmp_path, lambda request, seed: cut, [{"name": "get_stock_price"}])
    assert (row["finish_reason"], row["tool_calls_total"], row["answer_key"]) == ("length", 0, None)


def test_a_dry_run_is_told_of_mocks_where_a_model_plays_tools_and_of_none_elsewhere() -> None:
    tool = {"name": "look_up", "description": "Looks up.", "parameters": {"type": "object", "properties": {}}}
    problem = Problem("q", "test", "?", fields={"tools": [tool]})
    played = parse("decoding", "tools", means=Means(simulated=True))
    (need,) = played.foresees(problem)
    assert (need.part, need.role, need.low, need.high) == ("mocks", "mock", 0, None)
    assert need.reads > 2_000
    assert not list(played.foresees(Problem("q", "test", "?")))
    assert not list(played.foresees(Problem("q", "test", "?", fields={"tools": [{"name": 3}]})))
    assert not list(parse("decoding", "tools", means=Means()).foresees(problem))
