"""The command `testtime`: a thin shell over the API, one file a command, each loaded when it is called.

An error the user can mend is one line on stderr. Exit codes: 0 done, 2 bad input, 3 stopped early with
usable output, 130 interrupted. Files are written before anything is printed, so a closed pipe loses nothing.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from types import FrameType, TracebackType
from typing import Annotated, TypeAlias

from cyclopts import App, CycloptsError, Group, MissingArgumentError, Parameter, Token, UnknownOptionError

from testtime.cli.steps import Steps
from testtime.core.errors import BadInput, TesttimeError, unknown_name
from testtime.core.progress import watched
from testtime.core.secret import struck

COMMANDS = {
    "demo": ("testtime.cli.demo:demo", "The main job on the embedded model: no key, no network, no GPU."),
    "init": ("testtime.cli.init:init", "Copy experiments and personas to start from into a folder."),
    "run": ("testtime.cli.run:run", "Draw a pool from a model, and score every policy on it."),
    "guide": ("testtime.cli.guide:guide", "Let a small model write, and ask a large one now and then."),
    "stats": ("testtime.cli.stats:stats", "Statistics of the base's states where the oracle was asked."),
    "replay": ("testtime.cli.replay:replay", "Score policies on answers already drawn."),
    "analyze": (
        "testtime.cli.analyze:analyze",
        "Outcome files to one table, its frontier, and what each setting saves.",
    ),
    "plot": ("testtime.cli.plot:plot", "Draw accuracy against tokens, dollars, seconds, … from a table."),
    "inspect": ("testtime.cli.inspect:inspect", "Say what is in a pool."),
    "show": ("testtime.cli.problem:show", "Show one problem: what was asked, and who answered what."),
    "runs": ("testtime.cli.runs:runs", "List the runs of a folder: what each was, what came out, what it cost."),
    "note": ("testtime.cli.note:note", "Add a line to a run's notes."),
    "pack": ("testtime.cli.pack:pack", "Pack a run as one file to hand on, with its texts or without."),
    "report": ("testtime.cli.report:report", "Write one page about runs: answer, figures, tables, candidates."),
    "compare": ("testtime.cli.compare:compare", "Say what changes from one pool to another, paired over problems."),
    "emergence": (
        "testtime.cli.emergence:emergence",
        "Say whether accuracy jumps as thinking grows, and whether certainty does.",
    ),
    "recommend": (
        "testtime.cli.recommend:recommend",
        "Say which model, policy and setting to deploy under a budget.",
    ),
    "plan": ("testtime.cli.plan:plan", "Say how many questions and draws settle a comparison."),
    "forecast": ("testtime.cli.forecast:forecast", "Forecast maj@k and pass@k beyond the draws of a pool."),
    "policies": ("testtime.cli.policies:policies", "What a policy does by itself; fit one to a pool, or design one."),
    "boundary": ("testtime.cli.boundary:boundary", "Print where a stopping rule of counts stops."),
    "submit": ("testtime.cli.submit:submit", "Draw pools on a cluster, in parts that are merged at the end."),
    "merge": ("testtime.cli.merge:merge", "Make one run of its shards."),
    "serve": ("testtime.cli.serve:serve", "Serve a model on the OpenAI wire."),
    "verify": ("testtime.cli.verify:verify", "Judge candidates again, without drawing anything."),
    "audit": ("testtime.cli.audit:audit", "Label a sample of verdicts by hand: how often are they wrong?"),
    "calibrate": (
        "testtime.cli.calibrate:calibrate",
        "Say whether a model declines what has no answer, and nothing else.",
    ),
    "list": ("testtime.cli.lists:list_", "Print the models, policies, tasks, … that there are."),
    "doctor": ("testtime.cli.doctor:doctor", "Check packages, keys and servers, and what fits the GPU."),
    "export": ("testtime.cli.export:export", "Make training data of a pool: verified answers, pairs, or labels."),
    "import": ("testtime.cli.imports:import_", "Make a pool of a recorded file."),
}
"""Command → where its function is, and its sentence."""
GROUPS = {
    "Run": ("demo", "init", "run", "guide", "import", "submit", "merge", "verify"),
    "Look": ("report", "inspect", "show", "runs", "note", "emergence", "stats"),
    "Compare": ("replay", "analyze", "plot", "compare"),
    "Decide": ("recommend", "plan", "forecast", "policies", "boundary", "audit", "calibrate"),
    "Machinery": ("list", "doctor", "serve", "pack", "export"),
}
"""Heading of the help → its commands, in the order they are come to; each command stands under one."""


Json: TypeAlias = Annotated[
    bool, Parameter(name="json", show_default=False, help="Print the numbers as JSON, unrounded, and nothing else.")
]
"""The flag of every command that prints numbers."""


def _whole(kind: object, tokens: Sequence[Token]) -> int:
    """A whole number as it was typed. Raises BadInput for 1.5, which cyclopts would round."""
    return whole(tokens[0].value, tokens[0].keyword)


def whole(text: str, where: str | None = None) -> int:
    """A whole number. Raises BadInput for anything else.

    >>> whole("-3")
    -3
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise BadInput(f"{text!r} is no whole number", where=where)
    return int(text)


Whole: TypeAlias = Annotated[int, Parameter(converter=_whole)]
"""The type of every flag that is a whole number."""
EPILOGUE = (
    "All commands take --debug (the traceback of an error); where numbers are printed, --json. "
    "Exit codes: 0 done, 2 bad input, 3 stopped early with usable output, 130 interrupted."
)


def _version() -> str:
    from importlib.metadata import version

    return version("testtime")


def app() -> App:
    """The command line, with no command loaded yet."""
    shell = App(
        name="testtime",
        help="A laboratory for test-time compute: sample once, replay everything.",
        help_epilogue=EPILOGUE,
        version=_version,
        default_parameter=Parameter(
            consume_multiple=True, negative_iterable=(), negative_bool=(), name_transform=lambda name: name.strip("_")
        ),
        suppress_keyboard_interrupt=False,
        result_action="return_none",
    )
    shell["--help"].group = shell["--version"].group = Group("Flags", sort_key=len(GROUPS))
    for at, (heading, names) in enumerate(GROUPS.items()):
        group = Group(heading, sort_key=at)
        for rank, name in enumerate(names):
            place, sentence = COMMANDS[name]
            shell.command(place, name=name, help=sentence, group=group, sort_key=rank)
    return shell


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in tokens
    sys.excepthook = _traceback
    _heed_signals()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        dispatch([token for token in tokens if token != "--debug"])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit complains
    except KeyboardInterrupt:
        print("testtime: interrupted", file=sys.stderr)  # noqa: T201
        return 130
    except TesttimeError as error:
        if debug:
            raise
        print(f"testtime: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except OSError as error:  # the machine's limits: files, room, rights
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(struck(f"testtime: {where}{error.strerror or error}"), file=sys.stderr)  # noqa: T201
        return BadInput.exit_code
    return 0


STOPS = ("SIGTERM", "SIGUSR1", "SIGUSR2")
"""What schedulers say before they kill."""


def _heed_signals() -> None:
    """What schedulers say is Ctrl-C: what is there is written. A shell keeps Ctrl-C from what it starts with `&`."""
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # kept from it still; asyncio heeds a default one
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in STOPS:
        if signal.getsignal(number := getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Once: a second one would break into the writing of what is there."""
    for name in STOPS:
        signal.signal(getattr(signal, name), _passed_over)
    stops = signal.getsignal(signal.SIGINT)
    if callable(stops):
        stops(signal.SIGINT, frame)


def _passed_over(number: int, frame: FrameType | None) -> None:
    """A second signal. With SIG_IGN in its place, two at once would be a traceback, and children would keep it."""


def _traceback(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """A traceback without secrets: a library's error, on which ours was raised, may quote one."""
    sys.stderr.write(struck("".join(traceback.format_exception(kind, error, at))))


def dispatch(argv: Sequence[str]) -> None:
    """Runs one command line. Raises BadInput for a line that cannot be read."""
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise unknown_name("command", argv[0], COMMANDS)
    if _plain(argv):
        return app()(argv)  # type: ignore[no-any-return]
    line = argv
    if any(token.startswith("--") and token != "--json" for token in argv):
        from testtime.spec import canonical_flags  # only now: where no flag has other names, nothing waits for pydantic

        line = canonical_flags(argv)
    try:
        with watched(Steps()) if sys.stderr.isatty() else nullcontext():
            app()(line, exit_on_error=False, print_error=False)
    except UnknownOptionError as error:
        from testtime.spec import accepted

        typed = str(error.token.keyword or error.token.value).lstrip("-").partition("=")[0]
        flags = (name[2:] for argument in error.argument_collection for name in argument.names if name[:2] == "--")
        known = {other for name in flags for other in (name, *accepted(name))}
        look = f"testtime {argv[0]} --help lists them"
        raise unknown_name("flag", _as_typed(typed, argv).replace("-", "_"), known, look=look) from None
    except MissingArgumentError as error:
        raise _missing(str(error.keyword or (error.argument and error.argument.name)), argv) from None
    except CycloptsError as error:
        raise BadInput(" ".join(str(error).split()).rstrip("."), mend="see --help") from None


def _missing(name: str, argv: Sequence[str]) -> BadInput:
    """The error for a command without a word that it needs, or with a flag that has no value."""
    from testtime.spec import canonical_flags

    what = f"{name} has no value" if name in canonical_flags(argv) else f"{argv[0]} needs {name}"
    return BadInput(what, mend=f"see testtime {argv[0]} --help")


def _as_typed(key: str, argv: Sequence[str]) -> str:
    """The spelling under which a canonical key stands on the command line."""
    from testtime.spec import canonical

    words = [token[2:].partition("=")[0] for token in argv if token.startswith("--")]
    return next((word for word in words if canonical(word) == key), key)


def _plain(argv: Sequence[str]) -> bool:
    """Only asks for the help or the version."""
    return all(token in ("--help", "-h", "--version") for token in argv)


__all__ = ["COMMANDS", "GROUPS", "Json", "Whole", "app", "dispatch", "main", "whole"]
