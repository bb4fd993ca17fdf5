"""What the lab does from a shell: say what this machine allows, begin and record chapters, write the course's address."""

import sys
from pathlib import Path

USAGE = """python -m labs doctor              what this machine allows, why not more, how to get it
python -m labs new CHAPTER         begin a chapter: its notebook, grader and wrong answers, as stubs
python -m labs record [CHAPTER …]  run notebooks on the tap link and save them with their recordings; default: all
python -m labs lists               write the lists of chapters in README.md and chapter 00 anew; new, record and publish do it too
python -m labs publish OWNER/REPO  write the public address of the course into notebooks, README.md and pyproject.toml
python -m labs publish --check     fail if they, or the lists of chapters, do not agree"""


def main(arguments: list[str], root: Path | None = None) -> int:
    """Returns the exit status: 0, 1 for what failed or does not agree, 2 for words that it does not know."""
    match arguments:
        case ["doctor"]:
            from labs.network.doctor import doctor

            print(doctor())
            return 0
        case ["new", slug]:
            from labs.lessons.new import new

            try:
                told = new(slug, root)
            except (ValueError, FileExistsError) as problem:
                print(problem)
                return 2
            print("\n".join(map(str, told)))
            print(f"fill them in, then: python -m labs record {slug}; make test CHAPTER={slug[:2]}")
            return 0
        case ["record", *chapters]:
            from labs.lessons import record
            from labs.lessons.chapter import CHAPTERS

            by_number = {slug[:2]: slug for slug in CHAPTERS}
            return record.main([by_number.get(chapter, chapter) for chapter in chapters]) or _lists()
        case ["lists"]:
            return _lists()
        case ["publish", "--check"]:
            from labs.lessons import lists, publish

            for path in (old := lists.stale(root)):
                print(f"{path.name}: the list of chapters is not that of notebooks/; to mend it: python -m labs lists")
            return publish.main(["--check"]) or int(bool(old))
        case ["publish", *words]:
            from labs.lessons import publish

            return publish.main(words) or _lists()
        case ["help" | "-h" | "--help"]:
            print(USAGE)
            return 0
    print(USAGE, file=sys.stderr)
    return 2


def _lists():
    from labs.lessons import lists

    for path in lists.update():
        print(f"{path.name}: the list of chapters is written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
