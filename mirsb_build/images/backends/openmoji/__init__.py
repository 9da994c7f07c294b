"""Pictures composed from OpenMoji drawings."""
