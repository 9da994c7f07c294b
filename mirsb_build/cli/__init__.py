"""The command line, `mirsb`. Commands import what they need when they run, so that `--help` answers at once."""
