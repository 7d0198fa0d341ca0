"""The napari plugin: everything that touches napari, magicgui or Qt."""
