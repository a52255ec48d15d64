"""The operations that README.md and docs/clients.md print."""

import json
import re
from dataclasses import replace
from pathlib import Path

from graphql import NameNode, OperationDefinitionNode, parse, print_ast

ROOT = Path(__file__).parents[2]


def readme_operations() -> list[str]:
    """The operations of the commands in README.md, in their order."""
    text = (ROOT / "README.md").read_text("utf-8")
    return [json.loads(body)["query"] for body in re.findall(r"""ask '(\{"query".*?"\})'""", text)]


def client_operations() -> list[str]:
    """The operations in the programs of docs/clients.md, without those that a program completes at run time."""
    page = (ROOT / "docs" / "clients.md").read_text("utf-8")
    programs = re.findall(r"<!-- example: \S+ -->\n```\w+\n(.*?)```", page, re.DOTALL)
    quoted = re.findall(r"""[`"]((?:query|mutation|subscription) .*?)[`"]""", "\n".join(programs), re.DOTALL)
    return [text for text in quoted if "${" not in text]


def named(operation: str, prefix: str) -> str:
    """An operation with the name that compilers require: the prefix, and `Query`, `Mutation` or `Subscription`."""
    (definition,) = parse(operation).definitions
    assert isinstance(definition, OperationDefinitionNode)
    return print_ast(replace(definition, name=NameNode(value=prefix + definition.operation.value.title())))
