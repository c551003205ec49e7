"""The documentation is run, not believed.

Every page is one test: its Python blocks are executed in order in one namespace, and the commands
in its console blocks run in between, all in one temporary folder with warnings as errors. Pages
mark what is not Python as ``text``, ``sh``, ``console``, ``json`` or ``toml``. A TOML block that
begins with ``# grid.toml`` is written to that file. In a console block the lines
that begin with ``$ mesa-llm-norms`` are run and must succeed; one that needs the recordings of the
study, which are not shipped, ends in ``# needs the study's data``.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from typer.testing import CliRunner

from mesa_llm_norms import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMMAND = "mesa-llm-norms"
NEEDS_DATA = "# needs the study's data"
LANGUAGES = {"python", "text", "sh", "console", "json", "toml"}


class Block(NamedTuple):
    """A fenced block: the words after its fence, its text, and the line its text begins on."""

    info: str
    text: str
    line: int


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def pages() -> list[Path]:
    """Return the pages whose code is run."""
    models = sorted((ROOT / "models").glob("**/README.md"))
    return [ROOT / "README.md", *sorted(DOCS.glob("**/*.md")), *models]


def linked_pages() -> list[Path]:
    """Return the pages whose links are checked: those whose code is run, and the others on top."""
    return sorted({*pages(), *ROOT.glob("*.md")})


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", paths, ids=[name_of(page) for page in paths])


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page in order, also those indented in a list."""
    found = []
    fence = re.compile(r"(?P<indent> *)(?P<ticks>```+|~~~+) *(?P<info>.*)")
    opened: re.Match[str] | None = None
    lines: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        match = fence.fullmatch(line.rstrip())
        if opened is None:
            if match:
                opened, lines, start = match, [], number + 1
        elif match and not match["info"] and match["ticks"].startswith(opened["ticks"]):
            found.append(Block(opened["info"].strip(), "\n".join(lines) + "\n", start))
            opened = None
        else:
            lines.append(line.removeprefix(opened["indent"]))
    assert opened is None, f"the block before line {start} is never closed"
    return found


def prose(text: str) -> str:
    """Return a page without its fenced blocks and its inline code."""
    lines = text.splitlines()
    for block in blocks(text):
        for number in range(block.line - 2, block.line + block.text.count("\n")):
            lines[number] = ""
    return re.sub(r"`[^`\n]*`", "", "\n".join(lines))


def commands(block: Block) -> Iterator[str]:
    """Yield the commands typed in a console block, a line that ends in a backslash continued."""
    typed = re.sub(r"\\\n", " ", block.text)
    for line in typed.splitlines():
        if line.startswith("$ "):
            yield line[2:].strip()


def arguments(command: str) -> list[str] | None:
    """Return what a command passes to the program, or None for a command that is another's."""
    words = shlex.split(command, comments=True)
    if words[:3] == ["python", "-m", "mesa_llm_norms"]:
        return words[3:]
    return words[1:] if words[:1] == [COMMAND] else None


def run_command(command: str, page: Path) -> None:
    """Run one command of a page in this process; it must succeed."""
    passed = arguments(command)
    if passed is None or command.endswith(NEEDS_DATA):
        return
    assert not {"|", ">", "&&", ";"} & set(passed), (
        f"{name_of(page)}: plain commands only: {command}"
    )
    result = CliRunner().invoke(cli.app, passed, prog_name=COMMAND)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, f"{name_of(page)}: {command}\n{result.output}"


def run_python(block: Block, page: Path, namespace: dict[str, Any]) -> None:
    """Run one block of a page; a traceback names the page and its line."""
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    exec(code, namespace)


# The pages


@each(pages())
def test_the_code_of_the_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("documentation_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    try:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.info == "python":
                run_python(block, page, module.__dict__)
            elif block.info == "console":
                for command in commands(block):
                    run_command(command, page)
            elif block.info == "json":
                json.loads(block.text)
            elif block.info == "toml":
                tomllib.loads(block.text)
                if named := re.match(r"# ([\w-]+\.toml)\n", block.text):
                    Path(named[1]).write_text(block.text, encoding="utf-8")
    finally:
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")


@each(linked_pages())
def test_every_block_of_the_page_says_what_it_is(page: Path) -> None:
    found = blocks(page.read_text(encoding="utf-8"))
    wrong = [
        f"line {block.line - 1}: {block.info!r}" for block in found if block.info not in LANGUAGES
    ]
    assert not wrong, f"{name_of(page)}: use one of {sorted(LANGUAGES)}: {wrong}"


@each(linked_pages())
def test_every_make_target_the_page_tells_of_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    told = set(re.findall(r"(?:^|`|\$ )make ([a-z][a-z0-9-]*)", text, re.MULTILINE))
    assert told <= targets


@each(linked_pages())
def test_the_page_is_finished(page: Path) -> None:
    text = prose(page.read_text(encoding="utf-8"))
    assert not re.findall(r"\b(?:TODO|TBD|FIXME|XXX)\b.*", text)


# Links


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures of a page that stay in the repository."""
    text = prose(text)
    inline = re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)", text)
    reference = re.findall(r"^ {0,3}\[[^\]^][^\]]*\]:\s*<?(\S+?)>?(?:\s|$)", text, re.MULTILINE)
    pictures = re.findall(r"<(?:img|a)\b[^>]*?\b(?:src|href)=[\"']([^\"']+)", text)
    found = [*inline, *reference, *pictures]
    return [target for target in found if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    seen: dict[str, int] = {}
    found = set(re.findall(r"<a (?:id|name)=[\"']([^\"']+)", text))
    inside = {
        number
        for block in blocks(text)
        for number in range(block.line - 1, block.line + block.text.count("\n"))
    }
    for number, line in enumerate(text.splitlines(), 1):
        heading = re.match(r" {0,3}#{1,6} +(.*?)(?: +#+)?$", line)
        if heading is None or number in inside:
            continue
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen[anchor] = seen.get(anchor, -1) + 1
        found.add(f"{anchor}-{count}" if count else anchor)
    return found


def leads_somewhere(link: str, page: Path) -> bool:
    """Tell whether a link's file exists and, in another page or this one, its heading."""
    path, _, anchor = link.partition("#")
    start = ROOT if path.startswith("/") else page.parent
    target = start / path.lstrip("/") if path else page
    if not target.exists():
        return False
    if not anchor or target.suffix != ".md":
        return True
    return anchor in anchors(target.read_text(encoding="utf-8"))


@each(linked_pages())
def test_the_links_of_the_page_lead_somewhere(page: Path) -> None:
    found = links(page.read_text(encoding="utf-8"))
    broken = [link for link in found if not leads_somewhere(link, page)]
    assert not broken, f"{name_of(page)}: {broken}"


@each([page for page in pages() if DOCS in page.parents])
def test_the_page_can_be_found_from_the_front(page: Path) -> None:
    """The README or docs/README.md links to it, or to the folder it is in."""
    front = [path for path in (ROOT / "README.md", DOCS / "README.md") if path.exists()]
    reached = {
        (path.parent / link.partition("#")[0]).resolve()
        for path in front
        for link in links(path.read_text(encoding="utf-8"))
    }
    if page.parent != DOCS:
        assert {page, page.parent} & reached
    else:
        assert page in reached


def test_the_readme_says_early_how_to_run_and_how_to_test() -> None:
    first = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    assert "make run" in first
    assert "make test" in first


# The commands


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with the words that reach it."""
    inner = getattr(command, "commands", None)
    if not inner:
        yield path, command
        return
    for name, sub in sorted(inner.items()):
        if not sub.hidden:
            yield from walk(sub, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(cli.app)))
every_command = pytest.mark.parametrize(
    "path", sorted(COMMANDS), ids=[" ".join(path) or COMMAND for path in sorted(COMMANDS)]
)


@every_command
def test_the_help_of_the_command_has_examples_with_options_it_has(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    text = f"{command.help or ''}\n{command.epilog or ''}"
    assert "Example" in text
    start = " ".join([COMMAND, *path])
    examples = [line for line in text.splitlines() if start in line]
    assert examples, f"no line of the help begins with {start}"
    known = {option for parameter in command.params for option in parameter.opts}
    known |= {option for parameter in command.params for option in parameter.secondary_opts}
    used = {option for line in examples for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", line)}
    assert used <= known | {"--help"}


@every_command
def test_the_help_of_the_command_can_be_shown(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, [*path, "--help"], prog_name=COMMAND)
    assert result.exit_code == 0


@every_command
def test_the_command_is_in_the_documentation(path: tuple[str, ...]) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    assert re.search(r"\b" + re.escape(" ".join([COMMAND, *path])) + r"\b", text)


# The reader of pages itself


def test_blocks_are_found_with_their_lines_also_in_lists() -> None:
    text = "a\n```python\nx = 1\n```\n- b\n  ```console\n  $ ls \\\n    -a\n  ```\n"
    python, console = blocks(text)
    assert python == Block("python", "x = 1\n", 3)
    assert console.line == 7
    assert [command.split() for command in commands(console)] == [["ls", "-a"]]


def test_a_failing_block_names_the_page_and_its_line() -> None:
    (block,) = blocks("# Title\n\n```python\nx = 1\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        run_python(block, Path("page.md"), {})
    last = caught.traceback[-1]
    assert (str(last.path).endswith("page.md"), last.lineno + 1) == (True, 5)


def test_a_failing_command_fails_the_page() -> None:
    with pytest.raises(AssertionError, match="no-such-command"):
        run_command(f"{COMMAND} no-such-command", ROOT / "README.md")
    run_command(f"{COMMAND} no-such-command {NEEDS_DATA}", ROOT / "README.md")
    run_command("ls", ROOT / "README.md")


def test_links_and_anchors_are_found_outside_code_only() -> None:
    text = (
        "# The `game`, in short\n## Twice\n## Twice\n"
        "[a](docs/a.md#b) ![p](p.png 'title') `[c](d)` [web](https://x.y)\n\n"
        '[ref]: docs/r.md\n<img src="q.svg">\n```text\n# no heading\n[e](f)\n```\n'
    )
    assert links(text) == ["docs/a.md#b", "p.png", "docs/r.md", "q.svg"]
    assert anchors(text) == {"the-game-in-short", "twice", "twice-1"}
