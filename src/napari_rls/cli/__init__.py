"""The command line: napari-rls."""
