"""The first turn of the flywheel, as a user would do it by hand: the public API, and questions over HTTP."""

from __future__ import annotations

import itertools
import json
import os
import platform
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from headrace.data.progress import Progress
from headrace.demo import banking, helpdesk, recipe, reviews
from headrace.demo.figures import Stopwatch, turn_figures
from headrace.demo.lesson import Lesson, teach
from headrace.demo.questions import Material
from headrace.demo.server import serving
from headrace.demo.visitor import Visitor, asking_all_through
from headrace.errors import Conflict, InputError
from headrace.project import Project
from headrace.records import utc_now
from headrace.reports.figures import DemoFigures, TurnFigures
from headrace.reports.grids import channels_grid, decisions_grid, example_grid, memory_grid
from headrace.reports.page import demo_page
from headrace.reports.tables import rich_table

REPORT = "report.html"


@dataclass(frozen=True)
class Part:
    """One channel of the demo: its task, language, rows and live questions."""

    task: str
    language: str
    material: Material
    fixed_split: bool


def run(
    folder: Path,
    *,
    quick: bool = False,
    data: str | None = None,
    seed: int = 7,
    console: Console | None = None,
    progress: Progress | None = None,
) -> DemoFigures:
    """Build the project in `folder` and turn its flywheel twice; returns what was printed.

    A run that was interrupted is continued. Raises InputError for an unknown `data`.
    """
    began, out = time.perf_counter(), console or Console()
    parts = _parts(quick=quick, data=data)
    out.rule(f"1. A project with {len(parts)} channels: {folder}", align="left")
    project = _project(folder, parts, seed=seed, quick=quick, progress=progress)
    out.rule("2. Collect and clean", align="left")
    project.collect()
    project.clean()
    out.rule("3. Train, judge, release", align="left")
    first = _turn(project, progress)
    _say(out, first)
    out.rule("4. Serve, ask over the wire, correct what is wrong", align="left")
    with ExitStack() as stack:
        url = stack.enter_context(serving(project.folder))
        keys = {channel: project.new_key(channel)[1] for channel in parts}
        visitors = {c: stack.enter_context(Visitor(url, keys[c], part.task)) for c, part in parts.items()}
        lessons = _lessons(parts, visitors, progress)
        example = random.Random(seed).choice([e for lesson in lessons for e in lesson.examples])
        out.print(rich_table(memory_grid([lesson.figures for lesson in lessons])))
        out.print(rich_table(example_grid(example)))
        out.rule("5. Turn again with the feedback, while a client keeps asking", align="left")
        second = _turn_under_load(project, url, keys, parts, progress)
    _say(out, second)
    spoilt = _spoilt(project, seed)
    out.print(f"A third challenger, its labels shuffled on purpose. {spoilt}")
    figures = DemoFigures(
        project=project.recipe.name,
        seed=seed,
        at=utc_now(),
        seconds=time.perf_counter() - began,
        turns=(first, second),
        memory=tuple(lesson.figures for lesson in lessons),
        example=example,
        spoilt=spoilt,
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        command="headrace demo" + (" --quick" if quick else "") + (f" --data {data}" if data else ""),
    )
    _finish(out, project, figures)
    return figures


def _parts(*, quick: bool, data: str | None) -> dict[str, Part]:
    if data not in (None, "banking77"):
        raise InputError(f"there is no demo data {data!r}.", field="data", cure="Write --data banking77.")
    shop = reviews.material(size=1500 if quick else 6000, live=60 if quick else 200)
    parts = {"shop-zh": Part("sentiment", "zh", shop, fixed_split=False)}
    if data == "banking77":
        return parts | {"bank-en": Part("intent", "en", banking.material(live=200), fixed_split=True)}
    desks = {name: helpdesk.material(name) for name in ("helpdesk-en", "community-en")}
    return parts | {name: Part("intent", "en", found, fixed_split=True) for name, found in desks.items()}


def _project(
    folder: Path, parts: Mapping[str, Part], *, seed: int, quick: bool, progress: Progress | None
) -> Project:
    """The project, new or as an interrupted run left it; its data files are written anew."""
    channels = {name: (part.task, part.language, part.fixed_split) for name, part in parts.items()}
    wanted, path = recipe.text(channels, seed=seed, quick=quick), folder / "headrace.yaml"
    if not path.exists():
        Project.init(folder, recipe=wanted).close()
    elif path.read_text(encoding="utf-8") != wanted:
        raise Conflict(
            f"the project in {folder} is another one.",
            cure="Name an empty folder: headrace demo --folder DIR",
        )
    (folder / "data").mkdir(exist_ok=True)
    for name, part in parts.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part.material.rows)
        (folder / "data" / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return Project(folder, progress=progress)


def _turn(project: Project, progress: Progress | None) -> TurnFigures:
    watch, started = Stopwatch(progress), utc_now()
    project.flywheel.progress = watch
    turn = project.turn()
    return turn_figures(turn, project.status(), watch, started=started)


def _turn_under_load(
    project: Project,
    url: str,
    keys: Mapping[str, str],
    parts: Mapping[str, Part],
    progress: Progress | None,
) -> TurnFigures:
    """A turn while a client asks ten times a second, through the swap of the release and a second beyond."""
    asking = next(iter(parts))
    texts = [question.text for question in parts[asking].material.live]
    with asking_all_through(url, keys[asking], parts[asking].task, texts) as tally:
        figures = _turn(project, progress)
        time.sleep(1.0)
    return replace(figures, requests=tally.requests, failures=tally.failures)


def _lessons(
    parts: Mapping[str, Part], visitors: Mapping[str, Visitor], progress: Progress | None
) -> list[Lesson]:
    lessons = []
    for channel, part in parts.items():
        others = [name for name, other in parts.items() if other.task == part.task and name != channel]
        asked = itertools.count(1)

        def tick(channel: str = channel, asked: Iterator[int] = asked) -> None:
            if progress:
                progress(f"asking {channel}", next(asked), 0)

        other = others[0] if others else None
        lessons.append(teach(channel, part.material.live, visitors, other=other, tick=tick))
    return lessons


def _spoilt(project: Project, seed: int) -> str:
    """Train on shuffled labels and try to release it: the gate's sentence."""
    task = list(project.recipe.tasks)[-1]
    channels = project.recipe.channels_of(task)
    examples = project.store.examples.of(task, channels, ["train", "validation"])
    labels = [example.label for example in examples]
    random.Random(seed).shuffle(labels)
    shuffled = [replace(example, label=label) for example, label in zip(examples, labels, strict=True)]
    adapter = project.train(task, examples=shuffled)
    return project.release(adapter)[0].message


def _say(out: Console, turn: TurnFigures) -> None:
    out.print(rich_table(channels_grid(turn.channels)))
    out.print(rich_table(decisions_grid(turn.channels)))
    if turn.requests:
        out.print(f"Requests all through the turn: {turn.requests}; failures: {turn.failures}.")


def _finish(out: Console, project: Project, figures: DemoFigures) -> None:
    page = project.folder / REPORT
    page.write_text(demo_page(figures), encoding="utf-8")
    out.rule(f"6. The report, {figures.seconds:.0f} seconds after the start", align="left")
    out.print(f"All of it as a page with plots: {page}")
    out.print(f"Look around: headrace --project {project.folder} status")
    project.close()
