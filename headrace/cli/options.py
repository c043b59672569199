"""Arguments and options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli import complete

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]
Task = Annotated[
    str | None,
    typer.Option("--task", "-t", autocompletion=complete.tasks, help="The task; the only one if left out."),
]
Channel = Annotated[
    str | None,
    typer.Option(
        "--channel", "-c", autocompletion=complete.channels, help="The channel; the only one if left out."
    ),
]
OnlyTask = Annotated[
    str | None, typer.Option("--task", "-t", autocompletion=complete.tasks, help="Only this task.")
]
OnlyChannel = Annotated[
    str | None, typer.Option("--channel", "-c", autocompletion=complete.channels, help="Only this channel.")
]
OnlyChannels = Annotated[
    list[str] | None,
    typer.Option("--channel", "-c", autocompletion=complete.channels, help="Only this channel; repeatable."),
]
TaskArgument = Annotated[
    str | None, typer.Argument(autocompletion=complete.tasks, help="The task; the only one if left out.")
]
ChannelArgument = Annotated[str, typer.Argument(autocompletion=complete.channels, help="The channel.")]
AdapterArgument = Annotated[
    str | None, typer.Argument(help="An adapter's id, adp_...; the newest one if left out.")
]
