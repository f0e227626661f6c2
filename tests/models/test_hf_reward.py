"""Reward models through `transformers` say how good a text is as the model's own head says it, and score the steps of a
beam; a model that writes is none.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Request
from testtime.models.naming import open_model
from testtime.models.pocket.backend import SHIPPED

torch = pytest.importorskip("torch", reason="torch is not installed: make check-hf runs these")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: make check-hf runs these")

ASK = Request([{"role": "user", "content": "Tom has 2 pens."}])
TEXTS = ["<think>\nMay:2+3=5", "<think>\nMay:2+3=6\n"]


def folder_of(kind: str, labels: int, place: Path) -> Path:
    """pocket-s with a random head of that kind."""
    place.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        if (SHIPPED / "pocket-s" / name).exists():
            shutil.copy(SHIPPED / "pocket-s" / name, place)
    config = transformers.AutoConfig.from_pretrained(SHIPPED / "pocket-s", num_labels=labels)
    torch.manual_seed(0)
    getattr(transformers, kind)(config).save_pretrained(place)
    assert json.loads((place / "config.json").read_text())["architectures"] == [kind]
    return place


def logits_of(model: Any, ids: list[int]) -> Any:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0].double()


@pytest.mark.parametrize("labels", [1, 2])
def test_a_whole_answer_is_scored_where_its_turn_ends(labels: int, tmp_path: Path) -> None:
    place = folder_of("LlamaForSequenceClassification", labels, tmp_path / "m")
    scores = asyncio.run(open_model(f"hf-reward:{place}").score(ASK, TEXTS))
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(place).eval()
    for text, score in zip(TEXTS, scores, strict=True):
        whole = [*ASK.messages, {"role": "assistant", "content": text}]
        logits = logits_of(theirs, tokenizer.apply_chat_template(whole, tokenize=True, return_dict=False))
        p = torch.sigmoid(logits) if labels == 1 else logits.softmax(-1)
        assert float(np.exp(score[0])) == pytest.approx(float(p[-1]), rel=1e-5)
    assert scores[0][0] != scores[1][0]


def test_a_step_is_scored_at_its_last_token(tmp_path: Path) -> None:
    place = folder_of("LlamaForTokenClassification", 2, tmp_path / "m")
    (score,) = asyncio.run(open_model(f"hf-reward:{place}").score(ASK, TEXTS[:1]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    theirs = transformers.AutoModelForTokenClassification.from_pretrained(place).eval()
    ids = tokenizer.apply_chat_template(
        list(ASK.messages), add_generation_prompt=True, tokenize=True, return_dict=False
    )
    logits = logits_of(theirs, [*ids, *tokenizer.encode(TEXTS[0], add_special_tokens=False)])
    assert float(np.exp(score[0])) == pytest.approx(float(logits[-1].softmax(-1)[1]), rel=1e-5)


def test_a_beam_asks_it_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from testtime.cli import main

    place = folder_of("LlamaForTokenClassification", 2, tmp_path / "m")
    line = ["run", "--model", "pocket-s", "--dataset", "pocket-math", "--split", "easy", "--max_queries", "2",
            "--decoding", "beam:width=1,branch=2,scorer=reward", "--judge_model", f"hf-reward:{place}",
            "--policies", "best_of_n:n=1,by=search_score", "--out_dir", str(tmp_path / "out")]  # fmt: skip
    assert main(line) == 0
    assert "failed" not in capsys.readouterr().out


def test_what_writes_is_no_reward_model_and_a_reward_model_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="LlamaForCausalLM with 2 labels is no reward model"):
        asyncio.run(open_model("hf-reward:pocket-s").score(ASK, TEXTS))
    place = folder_of("LlamaForSequenceClassification", 1, tmp_path / "m")
    model = open_model(f"hf-reward:{place}")
    assert model.refuses(ASK)
    with pytest.raises(ModelError, match="writes none"):
        asyncio.run(model.generate(ASK))
