"""The flow `build-mirsb` as `prefect deploy` finds it; the chain of seven stages that it runs is in its method."""

from mirsb_build.build.method import seven_stages
from mirsb_build.flow import build_mirsb

__all__ = ["build_mirsb", "seven_stages"]
