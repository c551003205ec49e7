"""``minds`` and its commands as typed."""

from __future__ import annotations

import json
import pickle
from importlib import resources
from pathlib import Path

import pytest
from commands import invoke, printed, refused

from mesa_llm_norms import mind_names, minds


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def test_the_minds_are_listed_with_what_they_were_fitted_on() -> None:
    listed = printed("minds")
    assert [one["name"] for one in listed] == list(mind_names())
    text = invoke("minds").stdout
    assert all(name in text for name in mind_names())
    assert "Ashery" in text
    assert "QM, memory 3: all 85 memories" in text
    assert "asked on" in text


def test_a_mind_is_described_in_full() -> None:
    found = printed("minds", "claude-3.5-sonnet")
    assert "Science Advances" in found["provenance"]["source"]
    assert "D" in found["known_names"]
    text = invoke("minds", "claude-3.5-sonnet").stdout
    assert "licence: MIT" in text
    assert "names with measured weights: C D" in text
    assert "none" in invoke("minds", "uniform").stdout
    assert "did you mean" in refused("minds", "claud")


def test_a_mind_file_is_described_too() -> None:
    Path("mine.csv").write_text("memory,Q,M\n,0.5,0.5\n")
    assert printed("minds", "mine.csv")["known_names"] == ["Q", "M"]
    assert "a measured table of 1 memories" in invoke("minds", "mine.csv").stdout


def test_what_a_mind_file_says_of_itself_is_shortened() -> None:
    mind = json.loads(
        (resources.files(minds) / "recordings" / "claude-3.5-sonnet.json").read_text("utf-8")
    )
    mind["provenance"] |= {"source": "x" * 100_000, "y" * 100_000: ["z"] * 100_000}
    mind["provenance"]["conditions"][0] |= {"kind": "k" * 100_000, "log_loss": "l" * 100_000}
    Path("mine.json").write_text(json.dumps(mind), encoding="utf-8")
    text = invoke("minds", "mine.json").stdout
    assert "(100,000 characters)" in text
    assert len(text) < 10_000
    assert len(printed("minds", "mine.json")["provenance"]["source"]) == 100_000


def test_without_a_command_minds_are_shown() -> None:
    assert printed("minds") == printed("minds", "show")
    assert printed("minds", "uniform") == printed("minds", "show", "uniform")
    assert json.loads(invoke("minds", "--json", "uniform").stdout)["name"] == "uniform"
    assert "show" in invoke("minds", "--help").stdout
    assert "--json" in invoke("minds", "uniform", "--help").stdout
    assert "No such option" in refused("minds", "--jsn")


def a_table(name: str = "Q_dict_a-model_ID_7_-50_100_0.5tmp_BLANK_False.pkl") -> str:
    Path(name).write_bytes(pickle.dumps({"": 0.5, "00": 0.9, "01": 0.6, "10": 0.4, "11": 0.1}))
    return name


def test_a_published_table_becomes_a_mind_that_plays() -> None:
    (found,) = printed("minds", "import", a_table(), "--names", "hot", "cold", "--out", "minds")
    assert found["out"] == str(Path("minds", "a-model-hot-cold.json"))
    assert (found["model"], found["digits"]) == ("a-model", {"0": "hot", "1": "cold"})
    typed = ("run", "--names", "hot,cold", "--mind", found["out"], "--topology", "complete(n=8)")
    assert printed(*typed, "--runs", "10", "--seed", "1")["runs"] == 10
    assert printed("minds", found["out"])["provenance"]["sha256"] == found["sha256"]
    again = ("minds", "import", a_table(), "--names", "hot", "cold", "--out", "minds")
    assert "--force" in refused(*again)
    said = " ".join(invoke(*again, "--force").stdout.split())
    assert "remembering nothing it says hot 50% of the time" in said
    assert f"--names hot,cold --mind {found['out']}" in said


def test_tables_that_cannot_be_told_apart_are_not_imported() -> None:
    other = a_table("Q_dict_a-model_ID_8_-50_100_0.5tmp_BLANK_False.pkl")
    assert "several pairs" in refused("minds", "import", a_table(), other, "--names", "a", "b")
    assert "twice" in refused("minds", "import", other, other, "--names", "a", "b")
    assert "requires 2 arguments" in refused("minds", "import", other, "--names", "a")
    assert "named twice" in refused("minds", "import", other, "--names", "a", "a")
    assert "Missing option" in refused("minds", "import", other)
    Path("bad.pkl").write_bytes(pickle.dumps(Path))
    assert "Do not trust" in refused("minds", "import", "bad.pkl", "--names", "a", "b")
