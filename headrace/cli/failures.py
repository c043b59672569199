"""An error -> what a person reads (what happened, where, the cure) and the exit code. No key is repeated."""

from __future__ import annotations

import errno
import os
import tempfile
import traceback

import typer

from headrace.errors import LEAKED, HeadraceError, InputError, RecipeError, StoreError, without_keys

STOPPED = 130
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_PLAIN = {
    errno.ENOENT: ("there is no such file or folder.", "Check the path."),
    errno.EACCES: ("the file or folder is not yours to use.", "Give yourself the right, or choose another."),
    errno.EPERM: ("the file or folder is not yours to use.", "Give yourself the right, or choose another."),
    errno.EROFS: ("the disk may only be read.", "Choose a folder where you may write."),
    errno.EISDIR: ("a folder stands where a file is needed.", "Name a file."),
    errno.ENOTDIR: ("a file stands where a folder is needed.", "Name a folder."),
    errno.EEXIST: ("it is there already.", "Choose another name."),
    errno.EADDRINUSE: ("the port is in use.", "End what uses it, or serve with another --port."),
    errno.EMFILE: ("too many files are open.", "Raise the limit with: ulimit -n 4096"),
    **dict.fromkeys(_FULL, ("no space is left.", "Free some space and run it again.")),
}


def code_of(error: BaseException) -> int:
    """The exit code of an error."""
    if isinstance(error, HeadraceError | typer.TyperException):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return STOPPED
    return StoreError.exit_code if isinstance(error, OSError) and error.errno in _FULL else 1


def said(error: BaseException) -> str:
    """The message of an error, of several lines; for an unexpected one a file keeps the traceback."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "Stopped. Nothing acknowledged is lost; run it again to continue."
    if isinstance(error, RecipeError):
        text = _recipe(error)
    elif isinstance(error, HeadraceError):
        text = _lines(error.what, _place(error), error.cure)
    elif isinstance(error, typer.TyperException):
        text = _usage(error)
    elif isinstance(error, OSError):
        text = _system(error)
    elif isinstance(error, MemoryError):
        text = _lines("the machine's memory is used up.", "", "End other programs, or collect in parts.")
    else:
        text = _unexpected(error)
    hidden = without_keys(text)
    return hidden if hidden == text else f"{hidden}\n{LEAKED}"


def trace(error: BaseException) -> str:
    """The traceback of an error, keys hidden."""
    return without_keys("".join(traceback.format_exception(error)))


def _lines(what: str, where: str, cure: str) -> str:
    parts = (("Error:", what), ("Where:", where), ("Cure: ", cure))
    return "\n".join(f"{name} {text}" for name, text in parts if text)


def _place(error: HeadraceError) -> str:
    field = f"field {error.field!r}" if isinstance(error, InputError) and error.field else ""
    return ", ".join(part for part in (error.where, field) if part)


def _recipe(error: RecipeError) -> str:
    noun = "mistake" if len(error.mistakes) == 1 else "mistakes"
    head = f"Error: {len(error.mistakes)} {noun} in {error.where}:"
    cure = [error.cure] if error.cure else []
    return "\n".join([head, *(f"  {mistake}" for mistake in error.mistakes), *cure])


def _usage(error: typer.TyperException) -> str:
    """Nothing where the message is a help text, which has been shown."""
    message = error.format_message()
    if not message.strip():
        return ""
    ctx = getattr(error, "ctx", None)
    cure = f"See: {ctx.command_path} --help" if ctx is not None else ""
    return _lines(f"{message[:1].lower()}{message[1:]}", "", cure)


def _system(error: OSError) -> str:
    what, cure = _PLAIN.get(error.errno or 0, (f"{error.strerror or error}.", "Run: headrace doctor"))
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return _lines(what, " -> ".join(names), cure)


def _unexpected(error: BaseException) -> str:
    what = f"something went wrong that should not: {type(error).__name__}: {error}"
    kept = f"The details are in {_kept(error)}; with --debug they are shown. Please report them."
    return f"{_lines(what, '', '')}\n{kept}"


def _kept(error: BaseException) -> str:
    """Write the traceback to a file that only this user may read."""
    try:
        handle, path = tempfile.mkstemp(prefix="headrace-error-", suffix=".txt", text=True)
    except OSError:
        return "no file, since none could be written"
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as out:
        out.write(trace(error))
    return path
