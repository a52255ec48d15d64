"""import-linter checks the whole product: a new top-level folder, module or package stands in its contracts."""

import tomllib

from tests.architecture.tree import NOT_PRODUCT, ROOT, modules, packages, rooms

# They compose the rest: who may import each of them is a contract of its own, or they are the program itself.
COMPOSING = {"app", "cli", "development", "runtime", "settings"}
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = {contract["name"]: contract for contract in SETTINGS["contracts"]}
ROOMS = rooms() - set(NOT_PRODUCT)


def test_every_room_and_package_is_checked() -> None:
    """The root packages of import-linter are the folders of the checkout."""
    assert set(SETTINGS["root_packages"]) == ROOMS | packages()


def test_every_room_has_its_layer() -> None:
    """The layers hold every room, and transport stands above the doors."""
    layers = [{name.strip() for name in layer.split("|")} for layer in CONTRACTS["Rooms stack one way"]["layers"]]
    assert set.union(*layers) == ROOMS
    assert layers[:2] == [{"transport"}, {"resolvers", "routes", "jobs"}]


def test_no_room_has_a_circle_or_imports_what_composes() -> None:
    """These contracts are about every room."""
    assert set(CONTRACTS["No cycles inside a room"]["ancestors"]) == ROOMS | packages()
    assert set(CONTRACTS["Nobody imports app.py"]["source_modules"]) == ROOMS


def test_no_package_imports_a_room() -> None:
    """Packages can be used without the product: the contract names every package, and all that is product."""
    contract = CONTRACTS["packages/* import no room"]
    assert set(contract["source_modules"]) == packages()
    assert set(contract["forbidden_modules"]) == ROOMS | COMPOSING | {"migrations"}
    assert not contract.get("ignore_imports")


def test_modules_at_the_top_are_known() -> None:
    """A module beside the rooms is checked by no contract, so there is none but what composes."""
    assert {path.stem for path in modules() if len(path.parts) == 1} == COMPOSING
