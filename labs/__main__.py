"""What the lab does from a shell: say what this machine allows, record chapters, write the course's address."""

import sys

USAGE = """python -m labs doctor              what this machine allows, why not more, how to get it
python -m labs record [CHAPTER …]  run notebooks on the tap link and save them with their recordings; default: all
python -m labs publish OWNER/REPO  write the public address of the course into notebooks, README.md and pyproject.toml
python -m labs publish --check     fail if they do not agree"""


def main(arguments):
    """Returns the exit status: 0, 1 for a recording that failed, 2 for words that it does not know."""
    match arguments:
        case ["doctor"]:
            from labs.network.doctor import doctor

            print(doctor())
            return 0
        case ["record", *chapters]:
            from labs.lessons import record

            return record.main(chapters)
        case ["publish", *words]:
            from labs.lessons import publish

            return publish.main(words)
        case ["help" | "-h" | "--help"]:
            print(USAGE)
            return 0
    print(USAGE, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
