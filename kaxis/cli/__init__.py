"""The command line: one small module a verb. Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from kaxis.cli import across, analyze, audit, cube, data, diagnose, factorial, figure, locality, planning, run, status
from kaxis.errors import KaxisError

__all__ = ["across", "app", "factorial", "locality", "main", "planning"]

app = App(
    name="kaxis",
    help="How does the difference between two learning algorithms move with the number of classes K?\n\n"
    "Example: kaxis run digits --K 3 5 10 --steps 1000 && kaxis analyze paired --baseline bp_deepsup",
    version_flags=["--version"],
    default_parameter=Parameter(negative="", consume_multiple=True),
    suppress_keyboard_interrupt=False,
)
for command in (run.run, status.status, cube.cube, diagnose.diagnose):
    app.command(command)
for group in (analyze.app, figure.app, audit.app, data.app):
    app.command(group)


def main(tokens: Sequence[str] | None = None) -> None:
    """Entry point: exit 0 all done, 1 some work failed, 2 wrong usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if tokens is None else tokens)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    if not debug:
        warnings.formatwarning = lambda message, *_: f"kaxis: warning: {message}\n"
    sys.exit(_exit_code(arguments, debug))


def _exit_code(arguments: list[str], debug: bool) -> int:
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return _say("interrupted; finished cells are kept, the same command goes on", 130)
    except BrokenPipeError:  # `kaxis ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except CycloptsError as error:
        return _say(f"{error} (--help lists what there is)", 2)
    except KaxisError as error:
        if debug:
            traceback.print_exc()
        return _say(str(error), error.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _say(f"{type(error).__name__}: {error} (a fault of kaxis; --debug shows where)", 1)


def _say(message: str, code: int) -> int:
    print("kaxis: " + " ".join(message.split()), file=sys.stderr)
    return code
