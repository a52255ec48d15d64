"""Enums of models and core as enums of the API."""

from collections.abc import Mapping
from enum import EnumMeta
from typing import TypeVar, cast

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

Kind = TypeVar("Kind", bound=EnumMeta)


def described_enum(kind: Kind, *, name: str, description: str, values: Mapping[str, str]) -> Kind:
    """Publish an enum that is declared outside the schema; `values` describes each value by its name.

    Strawberry takes the description of a value from the class of the enum, where models know no GraphQL. Raises
    `ValueError` when `values` does not describe exactly the values of the enum.
    """
    published = strawberry.enum(kind, name=name, description=description)
    definition = cast("StrawberryEnumDefinition", vars(published)["__strawberry_definition__"])
    if {value.name for value in definition.values} != set(values):
        raise ValueError(f"not every value of {name} is described, or something else is")
    for value in definition.values:
        value.description = values[value.name]
    return published
