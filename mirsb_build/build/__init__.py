"""A build: the method, what it is opened with, how its shards are run, and what would run next."""
