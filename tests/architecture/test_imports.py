"""import-linter checks the whole product: every top-level folder, module and package is in its contracts."""

import tomllib

from tests.architecture.tree import NOT_PRODUCT, ROOT, modules, packages, rooms

# Modules that compose the others. A separate contract lists who may import them, or they are the entry points.
COMPOSING = {"app", "cli", "development", "runtime", "settings"}
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = {contract["name"]: contract for contract in SETTINGS["contracts"]}
ROOMS = rooms() - set(NOT_PRODUCT)


def test_every_room_and_package_is_checked() -> None:
    """The root packages of import-linter are the folders of the checkout."""
    assert set(SETTINGS["root_packages"]) == ROOMS | packages()


def test_every_room_has_its_layer() -> None:
    """Every room is in a layer, and transport is above the entry points."""
    layers = [{name.strip() for name in layer.split("|")} for layer in CONTRACTS["Rooms stack one way"]["layers"]]
    assert set.union(*layers) == ROOMS
    assert layers[:2] == [{"transport"}, {"resolvers", "routes", "jobs"}]


def test_the_contracts_on_cycles_and_composition_list_every_room() -> None:
    """No cycles inside a room, and no import of app.py."""
    assert set(CONTRACTS["No cycles inside a room"]["ancestors"]) == ROOMS | packages()
    assert set(CONTRACTS["No module imports app.py"]["source_modules"]) == ROOMS


def test_no_package_imports_a_room() -> None:
    """Packages are independent of the product: the contract lists every package and all of the product."""
    contract = CONTRACTS["packages/* import no room"]
    assert set(contract["source_modules"]) == packages()
    assert set(contract["forbidden_modules"]) == ROOMS | COMPOSING | {"migrations"}
    assert not contract.get("ignore_imports")


def test_modules_at_the_top_are_known() -> None:
    """Top-level modules are not in the contracts of rooms, so only the composing modules may exist."""
    assert {path.stem for path in modules() if len(path.parts) == 1} == COMPOSING
