"""What every program needs: optional packages, registries, concurrency, progress."""
