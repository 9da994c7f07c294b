"""Image backends, a module or package each."""
