"""The product has at least as many lines of tests as of its own, and no area of it far fewer."""

from tests.architecture.ratio import NOUNS, ROOMS, areas, total
from tests.architecture.tree import NOT_PRODUCT, ROOT, rooms

MIN_RATIO = 1.0
MIN_AREA_RATIO = 0.6


def test_the_product_is_tested_as_a_whole_and_everywhere() -> None:
    """`python -m tests.architecture.ratio` prints the areas."""
    found = areas()
    assert total(found).ratio >= MIN_RATIO
    assert {name: area for name, area in found.items() if area.ratio < MIN_AREA_RATIO} == {}


def test_every_room_and_folder_of_tests_is_counted_once() -> None:
    """Each room has an area for what no noun names, and each folder of tests is of one area or not of the product."""
    rooms_of = [room for names, _ in ROOMS.values() for room in names]
    assert sorted(rooms_of) == sorted(set(rooms_of))
    assert rooms() - set(NOT_PRODUCT) <= set(rooms_of)
    folders = [folder for _, folders in (NOUNS | ROOMS).values() for folder in folders]
    assert sorted(folders) == sorted(set(folders))
    not_product = {"architecture", "benchmarks", "execution", "local", "migrations", "mutation", "node", "sandbox"}
    there = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")} - not_product
    assert there == set(folders) - {folder for folder in folders if not (ROOT / "tests" / folder).exists()}
