"""Local stand-ins of the vendors: strict, seedable, and with a ledger of what they accepted.

Simulated for `nudge dev` and the tests; knows nothing of the product's rooms.
"""

from sandbox.app import build
from sandbox.config import EngagementRates, SandboxConfig

__all__ = ["EngagementRates", "SandboxConfig", "build"]
