"""Node ids are written so that they are read back, alike in every process."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from hypothesis import given
from strategies import node_ids

from mesa_llm_norms.llm.journal.rows import node_text, read_node


@given(node_ids())
def test_a_node_id_that_json_can_hold_is_read_back_the_same(node: Hashable) -> None:
    read = read_node(node_text(node))
    if "frozenset" in repr(node) and not isinstance(node, str):
        assert read == node_text(node)
    else:
        assert read == node
        assert type(read) is type(node)


def test_node_ids_are_written_alike_in_every_process() -> None:
    assert node_text(frozenset({"b", "a", "c"})) == "frozenset({'a', 'b', 'c'})"
    assert node_text((1, frozenset({2}))) == "(1, frozenset({2}))"
    assert node_text(np.int64(3)) == "3"
    assert node_text(float("nan")) == "nan"
    assert read_node(node_text(((1, 2), "x"))) == ((1, 2), "x")
