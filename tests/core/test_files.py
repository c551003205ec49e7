"""Files that users write are read within limits; what is written is safe to open."""

from __future__ import annotations

from io import StringIO

import pandas as pd

from mesa_llm_norms.core.files import write_csv


def test_a_spreadsheet_takes_no_text_for_a_formula() -> None:
    table = pd.DataFrame(
        {
            "=a": ["=1+1", "+x", "-x", "@x", "\tx", "x=1", None],
            "number": [-1.5, 2, 3, 4, 5, 6, 1 / 3],
            "text": ["-5", "+1e3", "-inf", "0", "", "-", "--"],
            "kind": pd.Categorical(["=k"] * 7),
        },
        index=["=i", *"bcdefg"],
    )
    text = StringIO()
    write_csv(table, text, index=True)
    lines = [line.split(",") for line in text.getvalue().splitlines()]
    assert lines[0] == ["", "'=a", "number", "text", "kind"]
    assert [line[1] for line in lines[1:]] == ["'=1+1", "'+x", "'-x", "'@x", "'\tx", "x=1", ""]
    assert [line[2] for line in lines[1:]] == ["-1.5", "2", "3", "4", "5", "6", "0.333333"]
    assert [line[3] for line in lines[1:]] == ["-5", "+1e3", "-inf", "0", "", "'-", "'--"]
    assert {line[4] for line in lines[1:]} == {"'=k"}
    assert lines[1][0] == "'=i"
    assert table.iloc[0, 0] == "=1+1"
