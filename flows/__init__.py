"""Prefect flows; their logic is in mirsb_build."""
