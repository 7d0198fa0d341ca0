"""The sample data of the plugin, as File > Open Sample shows it.

    python recipes/samples.py

draws the cells anew and writes them into the package.
"""

from __future__ import annotations

from napari_rls.widgets.contributions.sample_cells import MADE
from napari_rls.widgets.contributions.sample_data import write_sample


def main() -> None:
    """Write the files."""
    for key, make in MADE.items():
        print(write_sample(key, make()))


if __name__ == "__main__":
    main()
