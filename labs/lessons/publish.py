"""`python -m labs publish OWNER/REPO`: write the course's public address wherever a learner needs it, and nowhere else.

    pyproject.toml   [project.urls]: the one place that keeps the address; everything else is made from it
    README.md        between <!-- address --> and <!-- /address -->: badges and the commands that need an address
    notebooks        badges under the title; a set-up cell that fetches labs where only the notebook was opened

Doing it twice changes nothing; doing it with another address replaces the former one.  Until it has been done, nothing names an
address and the set-up cell says what to do instead.  `python -m labs publish --check` fails where something is out of step.
"""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

from labs.lessons import store

__all__ = ["address", "main", "setup", "stamped"]

REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[\w.-]{1,100}")  # as GitHub allows them
URLS = re.compile(r'\[project\.urls\]\nRepository = "https://github\.com/([^"]*)"\n\n')
MARKED = re.compile(r"(<!-- address -->\n).*?(<!-- /address -->\n)", re.S)
BADGES = re.compile(r"\n\n\[!\[Open in Colab\][^\n]*")
COLAB = "https://colab.research.google.com"
BINDER = "https://mybinder.org"

SETUP = """try:
    import labs
except ModuleNotFoundError:
    {otherwise}
labs.chapter("{slug}")"""
NO_ADDRESS = 'raise SystemExit("labs is not installed here. In a checkout of the course: make lab") from None'
FETCH = '%pip install -q "git+https://github.com/{repository}"\n    import labs'

README = """{badges}

```
git clone https://github.com/{repository}
cd {folder}
make lab
```

`pip install "git+https://github.com/{repository}"` brings the package alone; that is what the notebooks do on Colab.
"""


def main(arguments: list[str], root: str | Path | None = None, say: Callable[[str], None] = print) -> int:
    """The command.  Returns the exit status: 0, 1 if something is out of step, 2 for words that it does not know."""
    root = Path(root or store.PACKAGE.parent)
    if not (root / "notebooks").is_dir():
        say("there are no notebooks beside labs: run this in a checkout of the course")
        return 1
    if arguments == ["--check"]:
        repository = address(root)
        wrong = [path for path, text in stamped(root, repository).items() if path.read_text(encoding="utf-8") != text]
        for path in wrong:
            say(f"{path.relative_to(root)} does not agree with pyproject.toml: {repository or 'no address'}")
        if wrong:
            say(f"to mend it: python -m labs publish {repository or 'OWNER/REPO'}")
        return 1 if wrong else 0
    if len(arguments) != 1 or not REPOSITORY.fullmatch(arguments[0]):
        say(f"expected OWNER/REPO as on GitHub, or --check; got {' '.join(arguments) or 'nothing'}")
        return 2
    changed = 0
    for path, text in stamped(root, arguments[0]).items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            say(f"{path.relative_to(root)}: written")
            changed += 1
    say(f"the address is https://github.com/{arguments[0]}; files changed: {changed}")
    return 0


def address(root: str | Path | None = None) -> str:
    """OWNER/REPO as pyproject.toml has it, or "" while the course has no public address."""
    text = (Path(root or store.PACKAGE.parent) / "pyproject.toml").read_text(encoding="utf-8")
    url = tomllib.loads(text)["project"].get("urls", {}).get("Repository", "")
    return url.removeprefix("https://github.com/")


def setup(slug: str, repository: str) -> str:
    """The source of a chapter's set-up cell."""
    otherwise = FETCH.format(repository=repository) if repository else NO_ADDRESS
    return SETUP.format(slug=slug, otherwise=otherwise)


def stamped(root: Path, repository: str) -> dict[Path, str]:
    """{path: its text with the address}, of every file that carries it.  repository: "OWNER/REPO", or "" for none."""
    found = {root / "pyproject.toml": _project, root / "README.md": _readme}
    found |= dict.fromkeys(sorted((root / "notebooks").glob("[0-9]*.ipynb")), _notebook)
    return {path: stamp(path, path.read_text(encoding="utf-8"), repository) for path, stamp in found.items()}


def _project(path, text, repository):
    text = URLS.sub("", text)
    if not repository:
        return text
    place = "[project.optional-dependencies]\n"
    if text.count(place) != 1:
        raise ValueError(f"expected one table {place.strip()} in {path.name}, before which the address belongs")
    return text.replace(place, f'[project.urls]\nRepository = "https://github.com/{repository}"\n\n{place}')


def _readme(path, text, repository):
    if not MARKED.search(text):
        raise ValueError(f"expected <!-- address --> and <!-- /address --> in {path.name}, each on a line of its own")
    folder = repository.partition("/")[2]
    filled = README.format(badges=badges("00-start-here", repository), repository=repository, folder=folder)
    return MARKED.sub(lambda found: found[1] + (filled if repository else "") + found[2], text)


def _notebook(path, text, repository):
    notebook = json.loads(text)
    title, first = notebook["cells"][0], next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    words = BADGES.sub("", "".join(title["source"]))
    if repository:
        heading, _, rest = words.partition("\n\n")
        words = f"{heading}\n\n{badges(path.stem, repository)}\n\n{rest}"
    title["source"] = words.splitlines(keepends=True)
    first["source"] = setup(path.stem, repository).splitlines(keepends=True)
    return store.as_text(notebook)


def badges(slug: str, repository: str) -> str:
    """Two pictures that open a chapter in Colab and on Binder, as Markdown."""
    colab = f"{COLAB}/github/{repository}/blob/main/notebooks/{slug}.ipynb"
    binder = f"{BINDER}/v2/gh/{repository}/main?urlpath=lab/tree/notebooks/{slug}.ipynb"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({colab}) [![Open on Binder]({BINDER}/badge_logo.svg)]({binder})"
