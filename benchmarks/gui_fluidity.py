"""How long the window does not answer in each step of what users do.

Run it where a display is, or under Xvfb:

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/gui_fluidity.py

It walks the stories of ``tests/test_stories.py`` in windows of two sizes. A timer asks to be called
every 10 ms in the GUI thread; the longest gap between its calls in a step is printed, with what
the GUI thread was doing then, and the longest that this thread computed in one gap ("own"), which
tells more where the machine has other work. torch is imported before; with ``--embedded``, the
bundle of the package is used in place of a small one, and torch is imported when napari needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--embedded", action="store_true", help="with the bundle of the package")
    parser.add_argument("--only", default="", help="stories whose names hold this, as pytest's -k")
    options = parser.parse_args()
    stories = [str(ROOT / "tests" / "test_stories.py"), "-q", "-p", "no:cacheprovider"]
    chosen = ["-k", options.only] if options.only else []
    with TemporaryDirectory() as folder:
        steps = Path(folder) / "steps.jsonl"
        given = {"NAPARI_RLS_STEPS": str(steps)}
        if options.embedded:
            given["NAPARI_RLS_EMBEDDED"] = "1"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *stories, *chosen],
            cwd=ROOT,
            env=os.environ | given,
            check=False,
        )
        lines = steps.read_text().splitlines() if steps.exists() else []
    print(f"{'window':>10}  {'seconds':>8}  {'block':>6}  {'own':>6}  step")
    for line in lines:
        step = json.loads(line)
        print(
            f"{step['window']:>10}  {step['seconds']:8.2f}  {step['longest_block']:6.2f}  "
            f"{step['of_its_own']:6.2f}  "
            f"{step['name']}" + (f"   [{step['during']}]" if step["during"] else "")
        )
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
