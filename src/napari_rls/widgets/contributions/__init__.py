"""What the plugin adds to napari beside docks: readers, writers, sample data."""
