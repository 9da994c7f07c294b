"""Builds: put together, run shard by shard, planned and looked over."""
