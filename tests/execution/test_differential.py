"""Compiled responses equal graphql-core's, byte for byte, on a schema with every feature and every failure."""

import asyncio
from random import Random
from typing import Any

from graphql import parse, validate
from hypothesis import given
from hypothesis import strategies as st

import execution
from tests.execution import torture
from tests.execution.differential import MARKS, TIMES, by_core, compiled, observe, was_copied
from tests.execution.documents import document
from tests.properties import examples

pytestmark = MARKS
BY_CORE, COMPILED = by_core(), compiled(execution.CompiledExecutor)


def compare(kind: str, random: Random, seed: int, trouble: float) -> None:
    """Generate a document, run it both ways, compare."""
    text, variables = document(torture.SCHEMA, random, kind, literals=torture.LITERALS)
    parsed = parse(text)
    assert validate(torture.SCHEMA, parsed) == [], text

    async def both() -> None:
        arguments: dict[str, Any] = {"kind": kind, "variable_values": variables, "root_value": {}}
        expected = await observe(BY_CORE, torture.SCHEMA, parsed, torture.Stage(seed, trouble), **arguments)
        for _ in range(TIMES):
            actual = await observe(COMPILED, torture.SCHEMA, parsed, torture.Stage(seed, trouble), **arguments)
            assert actual[0] == expected[0], text
            assert actual[1] == expected[1], text
        assert kind == "subscription" or was_copied(COMPILED, torture.SCHEMA, parsed, variables)

    asyncio.run(both())


CASES = given(
    kind=st.sampled_from(["query", "query", "query", "mutation", "subscription"]),
    random=st.randoms(use_true_random=False),
    seed=st.integers(0, 2**32),
    trouble=st.sampled_from([0.0, 0.05, 0.3]),
)


@examples(long=20_000)
@CASES
def test_responses_are_equal(kind: str, random: Random, seed: int, trouble: float) -> None:
    """For any document, values and failures in them."""
    compare(kind, random, seed, trouble)
