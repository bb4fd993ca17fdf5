"""The two things that the lab does from a shell: say what this machine allows, and record chapters."""

import sys

USAGE = """python -m labs doctor              what this machine allows, why not more, how to get it
python -m labs record [CHAPTER …]  run notebooks on the tap link and save them with their recordings; default: all"""


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
        case ["help" | "-h" | "--help"]:
            print(USAGE)
            return 0
    print(USAGE, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
