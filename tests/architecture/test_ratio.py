"""The product has at least as many lines of tests as lines of code, and no area has far fewer."""

from tests.architecture.ratio import ROOMS, SUBJECTS, areas, total
from tests.architecture.tree import NOT_PRODUCT, ROOT, rooms

MIN_RATIO = 1.0
MIN_AREA_RATIO = 0.6


def test_ratios_are_high_enough() -> None:
    """`python -m tests.architecture.ratio` prints the areas."""
    all_areas = areas()
    assert total(all_areas).ratio >= MIN_RATIO
    assert {name: area for name, area in all_areas.items() if area.ratio < MIN_AREA_RATIO} == {}


def test_rooms_and_test_folders_are_counted_once() -> None:
    """Each room belongs to one area, and each folder of tests to one area or to none of the product."""
    rooms_of = [room for names, _ in ROOMS.values() for room in names]
    assert sorted(rooms_of) == sorted(set(rooms_of))
    assert rooms() - set(NOT_PRODUCT) <= set(rooms_of)
    folders = [folder for _, folders in (SUBJECTS | ROOMS).values() for folder in folders]
    assert sorted(folders) == sorted(set(folders))
    not_product = {"architecture", "benchmarks", "execution", "local", "migrations", "mutation", "node", "sandbox"}
    existing = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")} - not_product
    assert existing == set(folders) - {folder for folder in folders if not (ROOT / "tests" / folder).exists()}
