"""Run a chapter many times while the machine is busy, and compare each run with the saved outputs, as the tests do.

    python tests/under_load.py --chapter 24 --times 25 --kernels 4 --busy 1 --link tap

`kernels` run it side by side, beside `busy` programs that only compute, until it has run `times` times at least; what is under
way then counts, too, so that the last runs have as much company as the first.  Exit status 0: every run passed.
"""

import argparse
import collections
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from notebooks import NOTEBOOKS, code_cells, difference, load, run


def once(path, link):
    """How it ended and the first cells that differ; nothing if all is as saved.  With pictures, as learners run it."""
    notebook = load(path)
    for cell in code_cells(notebook):
        cell.outputs = []
    ended = ""
    try:
        run(notebook, path.parent, link, pictures=True)
    except Exception as error:  # the kernel died, a cell raised or took too long: the outputs say where
        ended = f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}\n"
    return ended + difference(code_cells(notebook), code_cells(load(path)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chapter", required=True, help="how the notebook's name begins: 24")
    parser.add_argument("--times", type=int, default=25)
    parser.add_argument("--kernels", type=int, default=4)
    parser.add_argument("--busy", type=int, default=1, help="programs that only compute")
    parser.add_argument("--link", default="tap")
    how = parser.parse_args()
    (path,) = [path for path in NOTEBOOKS if path.stem.startswith(how.chapter)]
    results, took = [], []

    def loop():
        while len(results) < how.times:
            began = time.monotonic()
            results.append(once(path, how.link))
            took.append(time.monotonic() - began)

    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(how.busy)]
    try:
        threads = [threading.Thread(target=loop) for _ in range(how.kernels)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for program in busy:
            program.kill()
            program.wait()
    failures = collections.Counter(filter(None, results))
    for what, count in failures.most_common():
        print(f"{count} × {what}")
    print(
        f"{path.stem} on {how.link}, {how.kernels} kernels, {how.busy} busy: {len(results) - failures.total()} of {len(results)} "
        f"passed, {min(took):.0f} to {max(took):.0f} s each"
    )
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
