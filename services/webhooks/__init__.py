"""Events from mail providers' webhooks: stored on receipt, applied later to deliveries and suppressions."""
