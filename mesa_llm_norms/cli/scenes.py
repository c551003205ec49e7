"""``mesa-llm-norms scenes``: the scenes for a class, and their handouts to print."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.options import OUTPUT, option
from mesa_llm_norms.core.files import new_file
from mesa_llm_norms.core.limits import choose
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.web.languages import ENGLISH

if TYPE_CHECKING:
    from mesa_llm_norms.web.scenes import Scene

scenes: typer.Typer = typer.Typer(invoke_without_command=True)

Folder = Annotated[
    Path | None, option("The scenes", "Folder of additional scenes.", "--scenes", metavar="FOLDER")
]
Language = Annotated[str, option("The scenes", "Language: en or de.", "--language")]


def about(
    context: typer.Context,
    folder: Folder = None,
    language: Language = ENGLISH,
    as_json: options.AsJson = False,
) -> None:
    """List the scenes for a class; [b]handout[/b] writes pages of them to print.

    [b]Examples[/b]

    mesa-llm-norms scenes

    mesa-llm-norms scenes handout the-committed-few
    """
    if context.invoked_subcommand is not None:
        if as_json:
            raise SpecError("json", as_json, "handouts are pages", "Leave --json out.")
        handed = {"scenes_folder": folder, "language": language}
        context.default_map = {context.invoked_subcommand: handed}
        return
    from mesa_llm_norms.web.scenes import read_scenes

    known = read_scenes(folder, language)
    if as_json:
        output.print_json(
            [
                {"scene": key, "title": scene.title, "question": scene.question}
                for key, scene in known.items()
            ]
        )
        return
    rows = [(key, scene.question) for key, scene in known.items()]
    output.print_table(("scene", "question"), rows)


scenes.callback(help=options.help_of(about))(about)


def handout(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SCENE", help="Scenes, such as hubs.")
    ] = None,
    every: Annotated[bool, option("The scenes", "All scenes.", "--all")] = False,
    scenes_folder: Folder = None,
    language: Language = ENGLISH,
    out: Annotated[Path, option(OUTPUT, "Folder to write them to.", "--out", "-o")] = Path(
        "handouts"
    ),
    force: Annotated[bool, option(OUTPUT, "Overwrite files that exist.", "--force")] = False,
) -> None:
    """Write two pages for each scene, to print: SCENE.html and SCENE-teacher.html.

    The one for the class has the text, the networks, the question and room to write, and no answer.
    The one for the teacher has what comes true and how often, why, what people did, questions and
    notes. Each fits one sheet of A4; open it in a browser and print.

    [b]Examples[/b]

    mesa-llm-norms scenes handout the-committed-few

    mesa-llm-norms scenes handout --all --language de --out lesson
    """
    from mesa_llm_norms.web.scenes import read_scenes
    from mesa_llm_norms.web.scenes.handout import handout_files

    known = read_scenes(scenes_folder, language)
    if every == bool(names):
        problem = "--all and names of scenes exclude each other" if names else "no scene is given"
        remedy = f"Name some of {', '.join(known)}, or give --all."
        raise SpecError("scene", names, problem, remedy)
    wanted = [known[key] for key in choose("scene", names or list(known), tuple(known))]
    options.check_files((path for scene in wanted for path in handout_files(out, scene)), force)
    with output.progress("Drawing") as report:
        for done, scene in enumerate(wanted, 1):
            _write(scene, out, language)
            report(scene.title, done, len(wanted))
    output.say(f"Written to {out}: {len(wanted)} for the class, and as many for the teacher.")


def _write(scene: Scene, folder: Path, language: str) -> None:
    from mesa_llm_norms.web.languages import find_language
    from mesa_llm_norms.web.scenes.handout import handout_files, write_handouts

    with ExitStack() as stack:
        files = handout_files(folder, scene)
        for_class, for_teacher = (stack.enter_context(new_file(path)) for path in files)
        write_handouts(scene, for_class, for_teacher, find_language(language))


options.register(scenes, handout)
