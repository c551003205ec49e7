"""What people did, as read from the published files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.reproduction import observed
from mesa_llm_norms.reproduction.observed import shipped_people, summarise_people, write_people

COLLECTED = Path(__file__).parents[3] / "shared" / "people"

TABLE = """A title, with a comma,,
trial,N,cm_count,rounds_played,adoption_established,adoption_alternative,adoption_other,
2,20,5,0,100.00%,0.00%,0.00%

2,20,5,1,40.00%,50.00%,10.00%
2,20,5,2,25.00%,75.00%,0.00%
1,21,4,0,90.00%,0.00%,10.00%
"""
LEADING = "x,y,N,Topology,Norm\n0,0.25,48,spatial,ann\n"


def collect(folder: Path, table: str = TABLE, pairs: str | None = None) -> Path:
    """Write made-up files under the names of the collection."""
    (folder / observed.GROUPS_FILE).write_text(table, encoding="utf-8")
    (folder / observed.LEADING_FILE).write_text(LEADING, encoding="utf-8")
    default = "Ann ann 1.0\n" * 20 + "Bob RESPONSE_NOT_GIVEN 0.0\n" * 3 + "bob van dyke nan\n"
    for name in observed.GRAPHS:
        path = folder / observed.PAIRS_FILE.format(name=name)
        path.write_text(default * 4 if pairs is None else pairs, encoding="utf-8")
    return folder


def test_groups_keep_their_numbers_sizes_and_rounds(tmp_path: Path) -> None:
    groups = summarise_people(collect(tmp_path)).groups
    assert {one.number: one.majority for one in groups} == {1: None, 2: 2}
    first, second = groups
    assert [first.number, first.agents, first.committed, first.rounds] == [1, 21, 4, 1]
    assert list(second.alternative) == [0, 0.5, 0.75]
    assert list(second.other) == [0, 0.1, 0]


def test_missing_answers_are_no_names_and_case_makes_no_other_name(tmp_path: Path) -> None:
    found = summarise_people(collect(tmp_path)).networks[-1]
    assert found.leader == "ann"
    assert found.names == 3  # ann, bob, van dyke
    assert found.answered == (21,) * 4
    assert found.missing == pytest.approx((3 / 48,) * 4, abs=1e-5)
    assert found.leading == pytest.approx((40 / 45,) * 4, abs=1e-5)
    assert (found.reported, found.reported_leader) == ((0.25,), "ann")


@pytest.mark.parametrize(
    ("table", "pairs", "message"),
    [
        ("nothing\n", None, "no line of column names"),
        (TABLE.replace("2,20,5,1", "2,20,5,7"), None, "round 7 of group 2 is out of turn"),
        (TABLE.replace("75.00%", "many"), None, "many"),
        (TABLE.replace(",adoption_other", ",x"), None, "adoption_other"),
        (TABLE, "Ann ann 1.0\n" * 30, "30 pairs"),
        (TABLE, "\n", "it cannot be read"),
    ],
)
def test_files_of_another_form_are_refused_with_their_name(
    tmp_path: Path, table: str, pairs: str | None, message: str
) -> None:
    with pytest.raises(FileFormatError, match=message):
        summarise_people(collect(tmp_path, table, pairs))


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=observed.GROUPS_FILE):
        summarise_people(tmp_path)


def test_what_ships_is_what_the_files_say(tmp_path: Path) -> None:
    write_people(shipped_people(), tmp_path / "people.json")
    shipped = Path(observed.__file__).with_name("people.json")
    assert (tmp_path / "people.json").read_bytes() == shipped.read_bytes()
    if COLLECTED.is_dir():
        assert summarise_people(COLLECTED) == shipped_people()


def test_five_of_ten_groups_turned_and_two_of_these_had_after_thirty_rounds() -> None:
    found = {one.number: one.majority for one in shipped_people().groups}
    assert found == {
        **dict.fromkeys((1, 3, 5, 7, 9), None),
        **{2: 29, 4: 14, 6: 13, 8: 57, 10: 35},
    }
    after_thirty = [
        one.number
        for one in shipped_people().groups
        if one.majority is not None and one.alternative[min(30, one.rounds - 1)] > 0.5
    ]
    assert after_thirty == [4, 6]
