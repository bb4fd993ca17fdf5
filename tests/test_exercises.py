"""Every exercise: the stub says what is missing, the solution is right, and a wrong answer hears what is wrong with it."""

from conftest import not_run

from notebooks import check_exercises, each_notebook, home_of_exercises, programs_of


@each_notebook
def test_exercises(path):
    from labs.lessons.installed import find

    if missing := [name for name in programs_of(path) if not find(name)[0]]:
        not_run(f"exercises of {path.stem}", f"{', '.join(missing)} is not installed")
    assert check_exercises(path, home_of_exercises()) >= 3, "a chapter has at least three exercises"
