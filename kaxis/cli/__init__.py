"""The command line: one small module a verb. Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence

from cyclopts import App, CycloptsError, Parameter

from kaxis.cli import analyze, audit, cube, data, diagnose, figure, learners, page, run, status, store
from kaxis.errors import KaxisError, visible
from kaxis.registry import Registry, modules
from kaxis.train import ranks

__all__ = ["app", "main"]

app = App(
    name="kaxis",
    help="How does the difference between two learning algorithms move with the number of classes K?\n\n"
    "Example: kaxis run digits --K 3 5 10 --steps 1000 && kaxis analyze paired --baseline bp_deepsup",
    version_flags=["--version"],
    default_parameter=Parameter(negative="", consume_multiple=True),
    suppress_keyboard_interrupt=False,
)
for command in (run.run, status.status, cube.cube, diagnose.diagnose, page.report, learners.learners):
    app.command(command)
for group in (analyze.app, figure.app, audit.app, data.app, store.app):
    app.command(group)
list(modules(__name__))  # a verb of a group is a file that adds it there


OWN = {name: frozenset(group) for name, group in (("analyze", analyze.app), ("figure", figure.app))}
INSTALLED = {"analyze": (analyze.app, "kaxis.analyses"), "figure": (figure.app, "kaxis.figures")}
"""Verbs of installed packages: the groups of their entry points."""


def main(tokens: Sequence[str] | None = None) -> None:
    """Entry point: exit 0 all done, 1 some work failed, 2 wrong usage, 130 interrupted."""
    _standard_streams()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it keeps its cache is no news of ours
    arguments = list(sys.argv[1:] if tokens is None else tokens)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    if not debug:
        warnings.formatwarning = lambda message, *_: f"kaxis: warning: {visible(str(message))}\n"
    with _interrupted_by_signals():
        code = _exit_code(arguments, debug)
    sys.exit(code)


def _standard_streams() -> None:
    """Give a program that was started with a closed output somewhere to write to, before a file of ours takes that
    place.

    Letters that the terminal's encoding lacks are spelt out.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            while os.open(os.devnull, os.O_RDWR) < number:
                pass
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """SIGTERM, SIGHUP and SIGUSR1 end a run as Ctrl-C does: what is finished is kept and said. One that nohup has
    turned off stays so.
    """

    def interrupt(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
        raise KeyboardInterrupt

    changed = []
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1"):
        number = getattr(signal, name, None)
        with contextlib.suppress(ValueError):  # not in the main thread
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, interrupt)
                changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _add_installed(arguments: list[str]) -> None:
    """Verbs of installed packages beside those of the package; one is imported when it is asked for, or listed by
    ``--help``.
    """
    group, group_name = INSTALLED.get(arguments[0] if arguments else "", (None, ""))
    if group is None:
        return
    found: Registry[Callable[..., int]] = Registry(f"{arguments[0]} verb", group_name)
    for name in found:
        if name in OWN[arguments[0]]:
            warnings.warn(
                f"{arguments[0]} {name}: an installed package's is passed over, kaxis has its own", stacklevel=2
            )
        elif name not in group and (arguments[1:2] == [name] or arguments[1:2] in ([], ["--help"], ["-h"])):
            group.command(found[name], name=name)


def _exit_code(arguments: list[str], debug: bool) -> int:
    try:
        _add_installed(arguments)
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt as stop:
        kept = str(stop) or "finished cells are kept"
        return _say(f"interrupted; {kept}, the same command goes on", 130)
    except BrokenPipeError:  # `kaxis ... | head`
        _drain()
        return 0
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich's way to say so
            _drain()
            return 0
        raise
    except CycloptsError as error:
        return _say(f"{error} (--help lists what there is)", 2)
    except KaxisError as error:
        if debug:
            traceback.print_exc()
        return _say(str(error), error.exit_code)
    except OSError as error:  # a full disk, a closed output
        if debug:
            traceback.print_exc()
        _drain()
        return _say(f"{error.filename or 'output'}: {error.strerror or error}", 1)
    except MemoryError:
        return _say("not enough memory for this; ask for less at once", 1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _say(f"{type(error).__name__}: {error} (a fault of kaxis; --debug shows where)", 1)


def _drain() -> None:
    """Send what is still to be written to stdout nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str, code: int) -> int:
    if ranks.rank():
        message = f"rank {ranks.rank()}: {message}"
    with contextlib.suppress(OSError):
        print("kaxis: " + visible(" ".join(message.split())), file=sys.stderr, flush=True)
    return code
