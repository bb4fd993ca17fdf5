"""Run nbval as pytest's only plugin: python tests/nbval_run.py --nbval notebook.ipynb …

It starts in half the time without what it has no use for: other plugins, and the grammar of addresses that jsonschema reads in.
And jupyter_client chooses a kernel's ports and lets them go, so another kernel may have them first: such a kernel dies before it
comes up, and is started once more.
"""

import os
import sys

sys.modules["rfc3987_syntax"] = None
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

import nbval.kernel  # noqa: E402
import pytest  # noqa: E402

start = nbval.kernel.start_new_kernel


def start_or_start_again(*args, **how):
    try:
        return start(*args, **how)
    except RuntimeError:
        return start(*args, **how)


nbval.kernel.start_new_kernel = start_or_start_again
sys.exit(pytest.main(["-p", "nbval.plugin", *sys.argv[1:]]))
