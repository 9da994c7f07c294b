"""Measurements of mirsb-build: run by `make bench`, kept with date and machine in `benchmarks/results/`."""
