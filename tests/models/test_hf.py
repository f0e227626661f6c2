"""Models through `transformers` keep the promises of every backend: on the pocket weights each candidate of a seed is
the pocket runtime's own, alone or in any company; scores and states are its too; memory that does not suffice halves
the batch; what cannot be is one line.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pocket_tiny as tiny
import pytest
from scipy import stats

from testtime.core.errors import BadInput, ModelError
from testtime.core.protocols import Tokens
from testtime.core.records import Completion, Request
from testtime.core.signals import STATISTICS
from testtime.models.naming import open_model
from testtime.models.pocket.backend import SHIPPED, PocketModel
from testtime.models.pocket.params import Params
from testtime.models.pocket.sampling import Settings
from testtime.models.pocket.sampling import choose as pocket_choose
from testtime.statistics import labelled_steps, read_steps

torch = pytest.importorskip("torch", reason="torch is not installed: make check-hf runs these")
pytest.importorskip("transformers", reason="transformers is not installed: make check-hf runs these")

from testtime.models.hf import sampling  # noqa: E402
from testtime.models.hf.backend import HF  # noqa: E402
from testtime.models.hf.revision import revision  # noqa: E402

ASK = [{"role": "user", "content": "Every day in May 12 cups are sold. How many in 3 days?"}]
PARAMS = {"max_tokens": 120, "temperature": 0.8, "top_p": 0.95}


@pytest.fixture(scope="module")
def pocket() -> PocketModel:
    return PocketModel("pocket-m")


@pytest.fixture(scope="module")
def local() -> HF:
    one = open_model("hf:pocket-m")
    assert isinstance(one, HF)
    one.open()
    return one


def run(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    async def together() -> list[Any]:
        return await asyncio.gather(*work)

    return asyncio.run(together())


def one(model: Any, request: Request) -> Completion:
    (got,) = run(model.generate(request))
    return got.completions[0]


REQUESTS = {
    "plain": Request(ASK, n=12, seed=1, params=PARAMS),
    "hot": Request(ASK, n=8, seed=2, params={"max_tokens": 60, "temperature": 1.5}),
    "cut": Request(ASK, n=8, seed=3, params=PARAMS | {"top_k": 4, "top_p": 0.6}),
    "greedy": Request(ASK, seed=4, params={"max_tokens": 200, "temperature": 0}),
    "stopped": Request(ASK, n=8, seed=5, params=PARAMS | {"stop": ["=0", "\n"]}),
    "continued": Request(ASK, "<think>\nMay:", n=4, seed=6, params=PARAMS),
    "from ids": Request(ASK, (6, 11), n=4, seed=7, params=PARAMS),
    "raw": Request((), "<|user|>2 + 3?<|assistant|>", n=2, seed=8, params=PARAMS),
    "system": Request([{"role": "system", "content": "7"}, *ASK], n=2, seed=9, params=PARAMS),
}


def test_weights_say_which_they_are_by_the_hub_s_commit_or_by_what_lies_in_their_folder(
    local: HF, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Request(ASK, seed=1, params={"max_tokens": 1})
    (here,) = run(local.generate(asked))
    assert here.model == f"hf:pocket-m@{revision(SHIPPED / 'pocket-m')}"
    snapshot = tmp_path / "models--org--name" / "snapshots" / ("0a1b" * 10)
    shutil.copytree(SHIPPED / "pocket-m", snapshot)
    (told,) = run(HF(str(snapshot), device="cpu").generate(asked))
    assert told.model == f"hf:{snapshot}@{'0a1b' * 10}"
    monkeypatch.chdir(tmp_path)
    (named,) = run(_of_the_hub(snapshot, monkeypatch).generate(asked))
    assert named.model == f"hf:org/name@{'0a1b' * 10}"


def _of_the_hub(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> HF:
    """The same by its name, from a cache of the hub that holds it."""
    home = snapshot.parents[2]
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("transformers.utils.hub.is_offline_mode", lambda: True, raising=False)
    monkeypatch.setattr("transformers.utils.hub.TRANSFORMERS_CACHE", str(home), raising=False)
    return HF("org/name", device="cpu")


@pytest.mark.parametrize("what", REQUESTS)
def test_a_candidate_of_a_seed_is_the_pocket_runtimes_own(local: HF, pocket: PocketModel, what: str) -> None:
    theirs, ours = run(local.generate(REQUESTS[what]), pocket.generate(REQUESTS[what]))
    assert theirs.completions == ours.completions
    assert (theirs.spend.prompt, theirs.spend.completion) == (ours.spend.prompt, ours.spend.completion)
    assert theirs.spend.reasoning == ours.spend.reasoning
    assert theirs.spend.seconds > 0


def test_a_candidate_is_the_same_alone_and_in_any_company(local: HF) -> None:
    alone = [one(local, Request(ASK, seed=seed, params=PARAMS)) for seed in range(5)]
    crowd = run(*[local.generate(request) for request in REQUESTS.values()],
                local.generate(Request(ASK, n=5, seed=0, params=PARAMS)))  # fmt: skip
    assert crowd[-1].completions == alone


def test_logprobs_are_the_models_own_of_the_drawn_and_the_best_tokens(local: HF, pocket: PocketModel) -> None:
    request = Request(ASK, n=3, seed=4, params=PARAMS | {"logprobs": 3, "temperature": 0.6})
    theirs, ours = run(local.generate(request), pocket.generate(request))
    for a, b in zip(theirs.completions, ours.completions, strict=True):
        assert a.token_ids == b.token_ids
        for got, wanted in zip(a.logprobs or (), b.logprobs or (), strict=True):
            assert next(iter(got)) == next(iter(wanted))
            assert got == pytest.approx(wanted, abs=1e-3)


def test_scores_and_laws_are_teacher_forcing(local: HF, pocket: PocketModel) -> None:
    texts: list[Any] = ["\nMay:012", "", "\nJune", (11, 24), *(f"{value:03d}" for value in range(0, 1000, 13))]
    request = Request(ASK, prefix="<think>")
    for full in (False, True):
        theirs, ours = run(local.score(request, texts, full), pocket.score(request, texts, full))
        for got, wanted in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(got, wanted, atol=2e-4)


def test_states_are_the_pocket_runtimes(local: HF, pocket: PocketModel) -> None:
    ids = one(pocket, Request(ASK, seed=1, params={"max_tokens": 40})).token_ids or ()
    request, places = Request(ASK, prefix=ids), [0, 40, 3, 17]
    theirs, ours = run(local.states(request, places), pocket.states(request, places))
    assert theirs.keys() == ours.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(values, ours[name], rtol=1e-3, atol=1e-5)
    assert one(local, REQUESTS["greedy"]) == one(pocket, REQUESTS["greedy"])  # its usual attention is back
    with pytest.raises(ModelError, match="position 41 is outside the prefix of 40 tokens"):
        run(local.states(request, [41]))


def test_its_tokens_are_shown(local: HF, pocket: PocketModel) -> None:
    assert isinstance(local, Tokens)
    request = Request(ASK, prefix="<think>\nMay")
    assert local.ids(request) == pocket.ids(request)
    assert local.pieces(local.ids(request)) == pocket.pieces(pocket.ids(request))
    assert local.context == pocket.context


@pytest.mark.parametrize("seed", range(5))
def test_the_law_and_the_draw_are_the_pocket_runtimes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = (3 * rng.standard_normal((64, 50))).astype(np.float32)
    logits[:, 10] = logits[:, 11]  # level tokens
    choices = ([0, 0.3, 1, 2], [0, 1, 5, 60], [0.1, 0.9, 1])
    params = [
        Params(temperature=float(t), top_k=int(k), top_p=float(p))
        for t, k, p in zip(*(rng.choice(one, 64) for one in choices), strict=True)
    ]
    seeds, positions = rng.integers(0, 2**40, 64).tolist(), rng.integers(0, 900, 64)
    settings = Settings.room(64)
    for row, one_params in enumerate(params):
        settings.set(row, seeds[row], one_params)
    theirs = sampling.choose(torch.from_numpy(logits), seeds, params, positions.tolist())
    assert (theirs.numpy() == pocket_choose(logits, settings, positions)).mean() > 0.98


def test_draws_follow_the_models_own_law(local: HF) -> None:
    draws = 2_000
    (got,) = run(local.generate(Request(ASK, prefix="<think>\n", n=draws, seed=1, params={"max_tokens": 1})))
    (laws,) = run(local.score(Request(ASK, prefix="<think>\n"), [(0,)], full=True))
    law = np.exp(laws[0][0])
    seen = np.bincount([c.token_ids[0] for c in got.completions], minlength=len(law))
    rare = law * draws < 10
    folded = np.append(seen[~rare], seen[rare].sum()), np.append(law[~rare], law[rare].sum()) * draws
    assert stats.chisquare(folded[0], folded[1] * folded[0].sum() / folded[1].sum()).pvalue > 1e-6


def test_memory_that_does_not_suffice_halves_the_batch_and_changes_no_text(
    local: HF, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = run(local.generate(REQUESTS["plain"]))[0].completions
    small = HF("pocket-m", batch_size=12)
    small.open()
    loaded = small._at_work().loaded
    sizes: list[int] = []

    def forward(ids: Any, *rest: Any, room: int = 3, **more: Any) -> Any:
        sizes.append(len(ids))
        if rest[0].shape[0] > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return type(loaded).forward(loaded, ids, *rest, **more)

    monkeypatch.setattr(type(loaded), "forward", type(loaded).forward)  # restored afterwards
    object.__setattr__(loaded, "forward", forward)
    assert run(small.generate(REQUESTS["plain"]))[0].completions == wanted
    assert small._at_work().batch == 3
    object.__setattr__(loaded, "forward", lambda *a, **k: forward(*a, room=0, **k))
    with pytest.raises(ModelError, match="out of memory on cpu with one text at a time; use a smaller model") as caught:
        run(small.generate(REQUESTS["plain"]))
    assert not caught.value.retry
    assert "\n" not in str(caught.value)


def test_a_cancelled_request_leaves_the_batch_and_harms_no_neighbour(local: HF) -> None:
    async def race() -> Completion:
        endless = asyncio.create_task(local.generate(Request(ASK, n=20, seed=1, params={"max_tokens": 900})))
        neighbour = asyncio.create_task(local.generate(REQUESTS["greedy"]))
        await asyncio.sleep(0.2)
        endless.cancel()
        await asyncio.gather(endless, return_exceptions=True)
        return (await neighbour).completions[0]

    assert asyncio.run(race()) == one(local, REQUESTS["greedy"])


def test_half_precision_is_the_model_too(pocket: PocketModel) -> None:
    half = HF("pocket-m", dtype="bfloat16", device="cpu")
    assert half._loaded.model.dtype == torch.bfloat16
    (got,) = run(half.generate(Request(ASK, n=4, seed=1, params=PARAMS)))
    assert all(c.text.startswith("<think>") for c in got.completions)


def test_a_foreign_folder_without_a_chat_template_reads_raw_text(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m", spread=0.35)
    said = json.loads((folder / "tokenizer_config.json").read_text())
    del said["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    bare = HF(str(folder))
    assert bare.ids(Request([{"role": "user", "content": "Tom has"}])) == tuple(bare._loaded.encode("Tom has"))
    with pytest.raises(ModelError, match="no chat template"):
        run(bare.generate(Request([*ASK, *ASK])))
    context = tiny.SIZES["max_position_embeddings"]
    (got,) = run(bare.generate(Request((), "Tom has", n=4, seed=1, params={"temperature": 2.0})))
    assert all(c.tokens == context - 2 for c in got.completions if c.finish == "length")
    shutil.rmtree(folder)


BAD = {
    "tools": (Request(ASK, params={"tools": []}), "hf: models have no tools"),
    "nothing": (Request(()), "nothing to go on from"),
    "an unknown token": (Request(ASK, prefix=(9999,)), "unknown token id 9999"),
    "too long": (Request([{"role": "user", "content": "7 " * 2000}]), "more than the context of 1024"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_honoured_is_one_line_before_and_at_the_call(local: HF, what: str) -> None:
    request, named = BAD[what]
    why = local.refuses(request)
    assert why is not None
    assert named in why
    with pytest.raises(ModelError, match=named):
        run(local.generate(request))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"model": "./nowhere"}, "no folder ./nowhere, and no name of the hub; write hf:ORG/NAME or hf:FOLDER"),
        ({"model": "pocket-x"}, "no folder pocket-x"),
        ({"model": "pocket-m", "device": "cuda:9"}, "no device 'cuda:9' here"),
        ({"model": "pocket-m", "dtype": "int3"}, "dtype 'int3' is not known; one of auto, bfloat16"),
        ({"model": "pocket-m", "quantization": "3bit"}, "quantization '3bit' is not known; one of 8bit, 4bit"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(how: dict[str, str], why: str) -> None:
    with pytest.raises(BadInput, match=why.replace(".", r"\.")) as caught:
        HF(**how).open()
    assert "\n" not in str(caught.value)


def test_a_broken_folder_is_one_line(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m")
    (folder / "config.json").write_text("{}")
    with pytest.raises(BadInput, match=r"hf: .*/m cannot be loaded \("):
        HF(str(folder)).open()
    with pytest.raises(BadInput, match="batch_size=0 cannot be"):
        HF("pocket-m", batch_size=0)


def test_labelled_steps_are_read_alike_by_both(local: HF) -> None:
    """Data in PRM800K's format; one step holds a sign that the pocket runtime refuses to read."""
    steps, _ = labelled_steps(Path(__file__).parents[1] / "cli" / "prm800k.jsonl")
    theirs, ours = read_steps(steps, "hf:pocket-m", device="cpu"), read_steps(steps, "pocket-m")
    assert len(theirs) == len(ours) == 2 * len(steps)
    for one, other in zip(theirs, ours, strict=True):
        assert (one["query_id"], one["at"], one["rating"]) == (other["query_id"], other["at"], other["rating"])
        if "analysis_error" not in other:
            assert [one[name] for name in STATISTICS] == pytest.approx([other[name] for name in STATISTICS], abs=1e-3)
