"""import-linter looks at the whole product: a new top-level package or module stands in its contracts."""

import tomllib

from tests.architecture.tree import NOT_PRODUCT, ROOT, modules, rooms

# Under no contract of the product's, with the reason.
BESIDE = {
    "sandbox": "plays the vendors in a process of its own",
    "local": "starts servers and processes on this machine, and installs",
}
# They put the rest together: who may import each of them is a contract of its own, or they are the program itself.
COMPOSING = {"app", "runtime", "settings", "cli"}
# Of which layer is none: what knows nothing of the product.
NO_LAYER = {"execution"}
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = {contract["name"]: contract for contract in SETTINGS["contracts"]}
PRODUCT = rooms() - set(NOT_PRODUCT) - set(BESIDE)


def test_every_package_of_the_product_is_looked_at() -> None:
    """The root packages are the product's folders, as they are in the checkout."""
    assert set(SETTINGS["root_packages"]) == PRODUCT
    assert not (set(BESIDE) | NO_LAYER) - rooms()


def test_every_package_has_its_layer() -> None:
    """The layers hold every package but those that know nothing of the product."""
    layers = {name.strip() for layer in CONTRACTS["Rooms stack one way"]["layers"] for name in layer.split("|")}
    assert layers == PRODUCT - NO_LAYER


def test_no_package_may_have_a_circle_or_import_what_composes() -> None:
    """These contracts are about every package."""
    assert set(CONTRACTS["No cycles inside a room"]["ancestors"]) == PRODUCT
    assert set(CONTRACTS["Nobody imports app.py"]["source_modules"]) == PRODUCT


def test_modules_at_the_top_are_known() -> None:
    """A module beside the packages is looked at by no contract, so there is none but what composes."""
    assert {path.stem for path in modules() if len(path.parts) == 1} == COMPOSING
