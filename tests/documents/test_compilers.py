"""Compilers of clients take the schema as it is exported: Relay's, and graphql-codegen with strict TypeScript."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from tests.documents.operations import client_operations, named, readme_operations

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "node" / "compilers"
PACKAGES = json.loads((FOLDER / "package.json").read_text("utf-8"))["dependencies"]
missing = [name for name in PACKAGES if not (FOLDER / "node_modules" / name).is_dir()]
needs_compilers = pytest.mark.skipif(
    shutil.which("node") is None or bool(missing),
    reason=f"needs Node.js and `npm ci` in tests/node/compilers, which has no {', '.join(missing)}",
)
SCHEMA = ROOT / "schema.graphql"
PRINTED = readme_operations() + client_operations()


def run(folder: Path, program: str, *arguments: str) -> str:
    """The output of a program of the packages, run in a folder."""
    command = ["node", str(FOLDER / "node_modules" / program), *arguments]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_the_printed_operations_are_valid() -> None:
    """Every operation that README.md and docs/clients.md show fits the schema."""
    schema = build_schema(SCHEMA.read_text("utf-8"))
    assert len(readme_operations()) == 3
    assert len(client_operations()) > 7
    for text in PRINTED:
        assert validate(schema, parse(text)) == [], text


@needs_compilers
def test_relay_compiles(tmp_path: Path) -> None:
    """Fragments on the types of user errors, pages by `@connection`, `node`, fields that are null on error alone."""
    shutil.copytree(FOLDER / "relay", tmp_path / "src")
    for number, text in enumerate(PRINTED):
        declared = named(text, f"printed{number}")
        module = f"import {{ graphql }} from 'relay-runtime';\ngraphql`{declared}`;\n"
        (tmp_path / "src" / f"printed{number}.ts").write_text(module, "utf-8")
    shutil.copy(SCHEMA, tmp_path)
    (tmp_path / "generated").mkdir()
    config = {"src": "src", "schema": SCHEMA.name, "language": "typescript", "artifactDirectory": "generated"}
    (tmp_path / "relay.config.json").write_text(json.dumps({**config, "eagerEsModules": True}))
    run(tmp_path, "relay-compiler/cli.js", "relay.config.json")
    row = (tmp_path / "generated" / "campaigns_row.graphql.ts").read_text("utf-8")
    assert re.search(r"readonly deliveries: \{\n    readonly totalCount: number;\n  \};", row)
    assert re.search(r"readonly lists: ReadonlyArray<\{", row)
    assert len(list((tmp_path / "generated").glob("printed*.graphql.ts"))) == len(PRINTED)
    errors = (tmp_path / "generated" / "campaigns_errors.graphql.ts").read_text("utf-8")
    assert "readonly allowed?: ReadonlyArray<string>;" in errors


@needs_compilers
def test_graphql_codegen_makes_types_for_a_strict_client(tmp_path: Path) -> None:
    """TypeScript's own compiler accepts a client that distinguishes types of user errors and reads without `?.`."""
    operations = [(FOLDER / "operations.graphql").read_text("utf-8")]
    operations += [named(text, f"Printed{number}") for number, text in enumerate(PRINTED)]
    (tmp_path / "operations.graphql").write_text("\n".join(operations), "utf-8")
    run(FOLDER, "../codegen.mjs", str(SCHEMA), str(tmp_path))
    shutil.copy(FOLDER / "usage.ts", tmp_path)
    options = ("--noEmit", "--strict", "--allowImportingTsExtensions", "--module", "nodenext")
    run(tmp_path, "typescript/bin/tsc", *options, "usage.ts")
    types = (tmp_path / "types.ts").read_text("utf-8")
    assert len(set(re.findall(r"export type (Printed\d+)\w+ = \{", types))) == len(PRINTED)
    (tmp_path / "types.ts").write_text(types.replace("'ConflictError'", "'AnotherError'"))
    with pytest.raises(AssertionError, match="AnotherError"):
        run(tmp_path, "typescript/bin/tsc", *options, "usage.ts")
