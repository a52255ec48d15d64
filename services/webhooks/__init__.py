"""What mail providers report: stored as it comes, applied to deliveries, suppressions and histories later."""
