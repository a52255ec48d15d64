"""The number of examples of a property: few in `make test`, many in `make differential` and `make faults`.

`pytest --hypothesis-profile=long` selects the long form. No test sets a number of examples in another way.
"""

from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings

QUICK, LONG = "quick", "long"
MAX_QUICK_EXAMPLES: Final = 50
LONG_EXAMPLES: Final = 1_000
# The time to draw examples depends on the machine, and examples share the servers on purpose.
SUPPRESSED: Final = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)


def register_profiles() -> None:
    """Register both profiles with Hypothesis, with the quick one as the default."""
    for name, number in ((QUICK, MAX_QUICK_EXAMPLES), (LONG, LONG_EXAMPLES)):
        settings.register_profile(name, max_examples=number, deadline=None, suppress_health_check=SUPPRESSED)
    settings.load_profile(QUICK)


def is_long() -> bool:
    """Whether this run uses the long form."""
    return settings.get_current_profile_name() == LONG


def examples(
    quick: int = MAX_QUICK_EXAMPLES, *, long: int = LONG_EXAMPLES, shrink: bool = True, steps: int = 50
) -> settings:
    """The settings of a property with its own numbers of examples.

    Args:
        quick: Examples in `make test`, where a property may take three seconds on a quiet core.
        long: Examples in the long form.
        shrink: Whether to search for a smaller failing example; useless where a seed determines the examples.
        steps: Maximum number of steps in an example of a state machine.

    Raises:
        ValueError: `quick` is too large for `make test`.
    """
    if quick > MAX_QUICK_EXAMPLES:
        raise ValueError(f"{quick} examples are too many for `make test`: give at most {MAX_QUICK_EXAMPLES}")
    phases = [phase for phase in Phase if shrink or phase not in {Phase.shrink, Phase.explain}]
    return settings(max_examples=long if is_long() else quick, phases=phases, stateful_step_count=steps)


def faults_only(*values: object) -> list[object]:
    """Parameter values that only `make faults` uses; a tuple is one value for each of several parameters."""
    marks = (pytest.mark.slow, pytest.mark.faults)
    return [pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=marks) for value in values]
