"""Local simulations of the vendors: strict, with a seed, and with a ledger of the accepted messages.

For `nudge dev` and the tests; independent of the product.
"""

from sandbox.app import build
from sandbox.config import EngagementRates, SandboxConfig

__all__ = ["EngagementRates", "SandboxConfig", "build"]
