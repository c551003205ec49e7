"""How the lines of a graph file are split, and which of their fields hold what.

Lists of edges do not say how they are to be read. One rule is found for a whole file: its comments,
the separator under which all lines have the same fields, whether the first line is a header, and
which columns hold the two nodes and the weight. Where two rules fit, or none does, the file is
refused, and the error names the option that decides.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise, takewhile
from typing import Any, TypeAlias

from mesa_llm_norms.errors import shown
from mesa_llm_norms.networks.validation import UnreadableError, check_untimed, option_remedy

Options: TypeAlias = Mapping[str, Any]
"""Options of graph files by name, checked."""

SEPARATORS = {"tab": "\t", "semicolon": ";", "bar": "|", "comma": ",", "space": " "}
"""The separators that are known, in the order in which they are preferred."""

WEIGHTS = ("weight", "weights", "edgeweight", "value", "values", "count", "counts")
"""What a column or attribute that holds weights may be called, the most telling name first."""

NONE = "none"
"""The value of ``weight`` and ``comments`` for a file in which there are none."""

BLANK = ("", "NA", "na", "NaN", "nan", "null", "None")
"""What stands for a missing number."""

WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")

QUOTED = 40
"""How many characters of a line or field an error shows."""

SAMPLE = 1_000
"""By how many lines the rule of a file is found."""

_HEAD = 200_000
"""In how many characters they are looked for."""

_EARLIEST = 1e8
"""Whole numbers from here up in every line are taken for times, in seconds or smaller units."""

_ATTRIBUTES = re.compile(r"[\s,;]\{.*\}\s*$")
_ATTRIBUTE_WEIGHT = re.compile(r"""['"]weight['"]\s*:\s*([^\s,}]+)""")
_TOKEN = re.compile(r'"([^"]*)"(?=\s|$)|(\([^()]*\)|\S+)')

_EXCEL = re.compile(r"""["']?sep=.?[,;|\s"']*""", re.IGNORECASE)
"""The line that names the separator for Excel, which pads it with separators when saving."""

_PAIRS = re.findall(
    r"(\w+)/(\w+)",
    "source/target source/destination source/dest source/sink from/to ego/alter src/dst src/dest "
    "src/tgt src/target u/v i/j sender/receiver sender/recipient start/end tail/head head/tail "
    "follower/followee follower/followed citing/cited caller/callee parent/child "
    "origin/destination subject/object node/neighbor node/neighbour initiator/partner",
)
"""What the columns of the two nodes are often called."""

_ENDINGS = re.findall(
    r"(\w*)/(\w+)",
    "1/2 0/1 a/b x/y i/j u/v s/t /1 /2 /b /co one/two from/to in/out first/second left/right "
    "source/target",
)
"""What tells the names of the two columns apart where the rest of them is the same."""

_FIRST_TWO = "to read two fields only; names with spaces need commas, and three nodes are no edge"

_FILLERS = re.compile(r"node|vertex|name|label|user|person|actor|id$|^id")
_COLUMN_WORD = re.compile(
    r"(?:^|[^a-z])(?:ids?|nodes?|vertex|users?|persons?|people|actors?|names?|labels?|members?|"
    r"students?|friends?|authors?|agents?|individuals?|animals?|species|proteins?|genes?|words?|"
    r"country|city|stations?|accounts?|pages?|employees?|managers?|teachers?|colleagues?|"
    r"neighbou?rs?|partners?|keys?|columns?)(?:$|[^a-z])"
)
_NODE_TABLE = ("id", "node", "nodes", "name", "label", "key", "vertex", "nodeid")


class Lines:
    """A text as lines of fields, after the blank ones and the ``comments`` that it begins with.

    ``first`` is the line after these, empty if there is none. ``marks`` begin a comment.
    """

    def __init__(self, text: str, options: Options) -> None:
        self.text: str = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
        given = options.get("comments", "#%")
        self.marks = "" if given == NONE else given
        self.comments: list[str] = []
        self.first: str = ""
        for line in io.StringIO(self.text):
            content = line.strip()
            if content and content[0] not in self.marks and not _EXCEL.fullmatch(content):
                self.first = line
                break
            self.comments.append(line)
        self._start = sum(map(len, self.comments))
        end = self.text.find("\n", self._start + _HEAD)
        self._head = self.text[self._start :] if end < 0 else self.text[self._start : end + 1]

    @property
    def rest(self) -> str:
        """What comes after the first line."""
        return self.text[self._start + len(self.first) :]

    def count(self, most: int) -> int:
        """Return how many lines are not blank, after the comments; -1 if certainly above most."""
        if self.text.count("\n") > 2 * most + 1_000 + len(self.comments):
            return -1
        return sum(1 for line in io.StringIO(self.text[self._start :]) if line.strip())

    def rows(self, separator: str, attributes: bool = False) -> Iterator[list[str]]:
        """Yield the fields of every line; quoted ones may hold separators and go over lines."""
        lines = io.StringIO(self.text)
        lines.seek(self._start)
        return split(lines, separator, self.marks, attributes, simple=not self._special)

    def sample(self, separator: str, attributes: bool = False) -> list[list[str]]:
        """Return the first rows that are neither blank nor begin like a comment, unless all do."""
        rows = []
        try:
            for row in split(io.StringIO(self._head), separator, self.marks, attributes):
                if any(row):
                    rows.append(row)
                if len(rows) == SAMPLE:
                    break
        except csv.Error:
            if len(self._head) + self._start == len(self.text):
                return []
        return [row for row in rows if not self.is_comment(row)] or rows

    def is_comment(self, row: Sequence[str]) -> bool:
        """Return whether a row begins with one of the marks of comments."""
        return bool(row and row[0]) and row[0][0] in self.marks

    def number(self, rule: Rule, at: int, *, sampled: bool = False) -> int:
        """Return the line on which row ``at``, from 0, ends; among those of ``sample`` or all."""
        taken = len(self.comments)

        def counted() -> Iterator[str]:
            nonlocal taken
            for line in io.StringIO(self.text[self._start :]):
                taken += 1
                yield line

        rows = split(counted(), rule.separator, self.marks, rule.attributes)
        if sampled:
            rows = (row for row in rows if any(row) and not self.is_comment(row))
        with suppress(csv.Error):
            next(islice(rows, at, None), None)
        return taken

    @property
    def attributes(self) -> bool:
        """Whether lines end in attributes in braces, as networkx writes them."""
        return bool(_ATTRIBUTES.search(self.first))

    @cached_property
    def _special(self) -> bool:
        return any(mark in self.text for mark in '"(#')


@dataclass
class Rule:
    """How the lines of a file are read."""

    separator: str
    width: int
    header: list[str] | None = None
    first: int = 0  # the rows before the first edge: one if there is a header
    source: int = 0
    target: int = 1
    weight: int | None = None
    kind: int | None = None
    attributes: bool = False
    notes: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def weight_name(names: Iterable[str], options: Options) -> str | None:
    """Return which of some names of columns or attributes is the weight, None if none is."""
    given = options.get("weight")
    if given == NONE:
        return None
    names = list(names)
    if given is not None:
        exact = [name for name in names if name == str(given)]
        return next(iter(exact or [it for it in names if it.lower() == str(given).lower()]), None)
    found = {plain(name): name for name in reversed(names)}
    return next((found[name] for name in WEIGHTS if name in found), None)


# Lines and fields


def split(
    lines: Iterable[str], separator: str, marks: str, attributes: bool, *, simple: bool = False
) -> Iterator[list[str]]:
    """Yield the fields of every line; ``simple`` if there are no quotes, brackets or comments."""
    if attributes:
        for line in lines:
            content, _, written = line.partition("{")
            row = next(split([content.rstrip(" ,;\t\n")], separator, marks, False), [])
            weight = _ATTRIBUTE_WEIGHT.search(written)
            yield [*row, weight[1] if weight else ""] if row else row
    elif separator != "space":
        mark = SEPARATORS[separator]
        for row in csv.reader(lines, delimiter=mark, skipinitialspace=True, strict=True):
            yield [name.strip() for name in row] if row != [""] else []
    elif simple:
        yield from map(str.split, lines)
    else:
        for line in lines:
            fields = [it[2] if it[1] is None else it[1] for it in _TOKEN.finditer(line)]
            if "#" in line and "#" in marks and fields and fields[0][:1] != "#":
                end = next((at for at, it in enumerate(fields) if at and it[:1] == "#"), None)
                fields = fields[:end]
            yield fields


def plain(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return re.sub(r"[\W_]+", "", name).lower()


def is_number(text: str) -> bool:
    """Return whether a field is a number, or stands for a missing one."""
    if text in BLANK:
        return True
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


# Finding the rule


def find_rule(lines: Lines, options: Options) -> Rule | None:
    """Return the one rule that fits the file, None if its lines have different fields."""
    if not lines.first:
        glued = any(re.match(r"\s*[#%]\w", line) for line in lines.comments)
        remedy = option_remedy("comments=none", what="if lines with a mark in front are edges")
        raise UnreadableError("there is no line with an edge", remedy if glued else "")
    attributes = lines.attributes
    wanted = [options["separator"]] if "separator" in options else list(SEPARATORS)
    fitting: dict[str, tuple[Rule, list[list[str]]]] = {}
    problems: list[UnreadableError] = []
    for separator in wanted:
        rows = lines.sample(separator, attributes)
        widths = {len(row) for row in rows[1:]} or {len(row) for row in rows}
        if not rows or max(widths) < 2 + attributes or (len(widths) > 1 and len(wanted) > 1):
            continue
        if not _may_lead(rows[0], max(widths)) or (separator == "space" and _glued(rows)):
            continue
        try:
            rule = Rule(separator, len(rows[-1]), attributes=attributes)
            if _find_columns(rule, rows, lines, options):
                fitting[separator] = rule, rows[rule.first :]
        except UnreadableError as error:
            problems.append(error)
    if not fitting:
        if problems:
            raise problems[0]
        return None
    chosen = _choose(fitting)
    _check_leading(chosen, lines.comments)
    return chosen


def _may_lead(first: list[str], width: int) -> bool:
    """Return whether the first row may be an edge or a header, or numbers of nodes and edges."""
    return len(first) in (width, max(width - 1, 2)) or all(map(WHOLE.fullmatch, first[:3]))


def _glued(rows: list[list[str]]) -> bool:
    """Return whether another separator is stuck to a node in a row split at spaces."""
    return any(name[-1:] in (",", ";", "|") for row in rows for name in row[:2])


def _choose(fitting: Mapping[str, tuple[Rule, list[list[str]]]]) -> Rule:
    """Return the most plausible of the rules that fit; refuse if two are."""
    ids = {
        separator: [row[at] for row in rows for at in (rule.source, rule.target) if at < len(row)]
        for separator, (rule, rows) in fitting.items()
    }
    first = next(iter(ids))
    whole = [it for it in ids if all(map(WHOLE.fullmatch, ids[it]))]
    if "space" in whole and first not in whole:
        return fitting["space"][0]
    rivals = [it for it in ids if it not in ("tab", "space", first)]
    decimal = first == "semicolon" and not any("," in it for it in ids[first])
    if first != "tab" and rivals and not (decimal and rivals == ["comma"]):
        raise UnreadableError(
            f"its fields may be separated by {first}s or by {rivals[0]}s",
            option_remedy(f"separator={first}", f"separator={rivals[0]}"),
        )
    return fitting[first][0]


def _check_leading(rule: Rule, comments: list[str]) -> None:
    """Refuse a leading line like ``#python,#ai``, which may be an edge."""
    for number, line in enumerate(comments, 1):
        if not re.match(r"\s*[#%]\S", line) or rule.separator == "space":
            continue
        row = next(split([line], rule.separator, "", False), [])
        if len(row) == rule.width and any(it[:1] in ("#", "%") for it in row[1:]):
            raise UnreadableError(
                f"line {number} ({shown(line.strip(), QUOTED)}) may be a comment or an edge",
                option_remedy("comments=none", "comments=#"),
            )


def _find_columns(rule: Rule, rows: list[list[str]], lines: Lines, options: Options) -> bool:
    """Find what the columns hold, and if there is a header; False if the first row does not fit."""
    first, rest = rows[0], rows[1:]
    if _is_count_line(rule, first, rest, lines, options):
        rule.first = 1
        rule.notes.append(
            f"the first line, {' '.join(first)}, is taken for numbers of nodes and edges"
        )
        rule.width = len(rest[0])
        _number_columns(rule, rest, lines, options)
    elif not rule.attributes and _is_header(first, rest, lines, options):
        rule.first = 1
        if rest and len(first) == len(rest[0]) - 1:
            first = ["", *first]
        rule.header = first
        _name_columns(rule, first, rest, options)
    elif len(first) == rule.width:
        _number_columns(rule, rows, lines, options)
    else:
        return False
    return True


def _is_count_line(
    rule: Rule, first: list[str], rest: list[list[str]], lines: Lines, options: Options
) -> bool:
    """Return whether the first row is the numbers of nodes and edges; refuse if it may be."""
    width = len(rest[0]) if rest else 0
    if options.get("header") is False or not 1 <= len(first) <= min(3, width + 1):
        return False
    if not all(re.fullmatch(r"[1-9]\d{0,8}", it) for it in first):
        return False
    if options.get("header"):
        return True
    nodes, edges = int(first[0]), int(first[-1])
    exact = lines.count(edges + 1) == edges + 1
    if not exact and len(rest) == SAMPLE - 1:
        return False
    ids = {name for row in rest for name in row[:2]}
    if exact and len(rest) == SAMPLE - 1:
        rows = islice(lines.rows(rule.separator, rule.attributes), 1, None)
        ids = {name for row in rows for name in row[:2]}
    if not all(re.fullmatch(r"\d{1,9}", it) for it in ids):
        return False
    highest = max(map(int, ids))
    fits = max(len(ids), highest) <= nodes
    if not fits or len(first) == 1 or len(first) < width:
        return fits
    if len(first) == 3:
        return exact and first[0] == first[1]
    if exact and first[1] not in ids:
        return True
    near = nodes in (len(ids), highest, highest + 1) and nodes < edges
    if exact or (near and not ids & set(first)):
        raise UnreadableError(
            f"its first line, {' '.join(first)}, may be the numbers of nodes and edges, or an edge",
            option_remedy("header=true", "header=false"),
        )
    return False


def _is_header(first: list[str], rest: list[list[str]], lines: Lines, options: Options) -> bool:
    """Return whether the first row names columns; refuse if that is uncertain."""
    if "header" in options:
        return bool(options["header"])
    names = [plain(name) for name in first]
    known = any(set(words) <= set(names) and len(words[0]) > 2 for words in _PAIRS)
    if not rest:
        return known
    if len(first) < len(rest[0]):  # R names the rows, and not their column
        if any(is_number(name) or any(name in row for row in rest) for name in first):
            return False
        if len({row[0] for row in rest}) < len(rest):
            raise _unsure(first, lines)
    if len(first) < len(rest[0]) or (not first[0] and any(first)):
        return True
    if all(map(WHOLE.fullmatch, first[:2])):
        return False
    ids = {name for row in rest for name in row[:2]}
    numeric = any(
        not is_number(name) and all(is_number(row[at]) for row in rest if at < len(row))
        for at, name in enumerate(first)
        if at >= 2
    )
    if numeric or all(map(WHOLE.fullmatch, ids)):
        return True
    if any(_occurs(name, lines.rest) for name in first[:2]):
        if known:
            raise _unsure(first, lines)
        return False
    if _pair(names) is not None or _speaks_of_columns(first, ids):
        return True
    if len(first) > 3:
        return False
    raise _unsure(first, lines)


def _unsure(first: list[str], lines: Lines) -> UnreadableError:
    return UnreadableError(
        f"line {len(lines.comments) + 1} ({shown(', '.join(first), QUOTED)}) may be a header or "
        "the first edge",
        option_remedy("header=true", "header=false"),
    )


def _occurs(name: str, text: str) -> bool:
    around = r"[\w.'-]"
    return bool(re.search(rf"(?<!{around}){re.escape(name)}(?!{around})", text)) if name else False


def _speaks_of_columns(first: list[str], ids: set[str]) -> bool:
    """Return whether names that occur nowhere else are of another kind than all node ids."""
    spaced = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in first[:2]]
    if all(map(_COLUMN_WORD.search, spaced)):
        return True
    shapes = {_shape(name) for name in ids}
    return len(ids) > 2 and len(shapes) == 1 and not shapes & {_shape(it) for it in first[:2]}


def _shape(name: str) -> str:
    """Return what kinds of characters a name is made of, in order."""
    kinds = re.sub(r"[a-zà-ÿ]+", "a", re.sub(r"\d+", "0", name))
    return re.sub(r"[A-ZÀ-Þ]+", "A", kinds)


def _pair(names: Sequence[str]) -> tuple[int, int] | None:
    """Return which two of the plain names of columns speak of the two ends of an edge."""
    stripped = [_FILLERS.sub("", name) or name for name in names]
    for source, target in _PAIRS:
        for known in (names, stripped):
            if known.count(source) == known.count(target) == 1:
                return known.index(source), known.index(target)
    for at, (one, other) in enumerate(pairwise(names)):
        start = _common_start(one, other)
        end = _common_start(one[len(start) :][::-1], other[len(start) :][::-1])[::-1]
        parts = tuple(it[len(start) : len(it) - len(end)] for it in (one, other))
        if (start or end) and parts in _ENDINGS:
            return at, at + 1
    return None


def _common_start(one: str, other: str) -> str:
    same = (a == b for a, b in zip(one, other, strict=False))
    return one[: sum(1 for _ in takewhile(bool, same))]


def _name_columns(rule: Rule, header: list[str], rest: list[list[str]], options: Options) -> None:
    """Find the columns of a file with a header."""
    if rest and len(header) != len(rest[0]):
        raise UnreadableError(
            f"the header names {len(header)} columns, and the lines have {len(rest[0])} fields",
            "Name every column, or remove the header.",
        )
    names = [plain(name) for name in header]
    pair = _pair(names)
    if "source" in options or "target" in options:
        pair = (_column(options, "source", header), _column(options, "target", header))
    if options.get("weight", NONE) != NONE:
        rule.weight = _column(options, "weight", header)
    if pair is None:
        pair = _unnamed_pair(names, header, rest, rule.weight)
    rule.source, rule.target = pair
    if "weight" not in options:
        others = {name: at for at, name in enumerate(header) if at not in pair}
        name = weight_name(others, options)
        rule.weight = None if name is None else others[name]
    if "type" in names:
        at = names.index("type")
        said = {row[at].lower() for row in rest if at < len(row)}
        rule.kind = at if said <= {"directed", "undirected", "mutual"} else None
    read = {*pair, rule.weight, rule.kind}
    rule.ignored = [name for at, name in enumerate(header) if at not in read and name]
    if rest and rule.weight is None and options.get("weight") != NONE:
        numeric = [
            name
            for at, name in enumerate(header)
            if name in rule.ignored
            and names[at] not in ("id", "timeset")
            and all(is_number(row[at]) for row in rest)
            and any(row[at] for row in rest)
        ]
        if numeric:
            note = f"the column {numeric[0]!r} is not read as a weight (weight={numeric[0]} does)"
            rule.notes.append(note)


def _unnamed_pair(
    names: list[str], header: list[str], rest: list[list[str]], weight: int | None
) -> tuple[int, int]:
    """Return the columns of the two nodes where their names do not say so."""
    start = 0 if names[0] else 1
    left = names[start:]
    if len(left) >= 2 and left[0] in _NODE_TABLE:
        raise UnreadableError(
            f"it is a table of nodes (its columns are {', '.join(header)})",
            "Give the table of edges. If two of the columns are the ends of an edge, "
            + option_remedy(f"source={header[start]}", what="and target= likewise", lower=True),
        )
    nodes = [at for at, name in enumerate(names) if at >= start and at != weight]
    if len(nodes) == 2 or (len(left) == 3 and left[2] in WEIGHTS):
        return nodes[0], nodes[1]
    if len(left) == 3:
        one, other, third = ({row[at] for row in rest} for at in range(start, start + 3))
        if one & other and not third & (one | other):
            return start, start + 1
    raise UnreadableError(
        f"which of its columns hold the nodes is unclear: {', '.join(header)}",
        option_remedy(f"source={header[start]}", what="and target= likewise"),
    )


def _column(options: Options, option: str, header: list[str] | None, width: int = 0) -> int:
    """Return the place of a column that is given by its name or its number, from 1."""
    value = options.get(option)
    count = width if header is None else len(header)
    if header is not None and value is not None:
        for known in (header, [name.lower() for name in header]):
            if str(value) in known or str(value).lower() in known:
                return known.index(str(value) if str(value) in known else str(value).lower())
    if isinstance(value, int) and 1 <= value <= count:
        return value - 1
    columns = ", ".join(header) if header is not None else f"1 to {count}, without names"
    raise UnreadableError(
        f"{option}={value} is not a column" if value is not None else f"{option} is not given",
        f"The columns are {columns}.",
    )


def _number_columns(rule: Rule, rows: list[list[str]], lines: Lines, options: Options) -> None:
    """Find the columns of a file without a header."""
    empty = [at for at in range(rule.width) if not any(row[at] for row in rows if at < len(row))]
    used = [at for at in range(rule.width) if at not in empty or rule.attributes]
    konect = any(re.match(r"%\s*(sym|asym|bip)\b", line) for line in lines.comments[:1])
    if "source" in options or "target" in options:
        rule.source = _column(options, "source", None, rule.width)
        rule.target = _column(options, "target", None, rule.width)
    elif len(used) < 2:
        raise UnreadableError("its lines are not two nodes, or two nodes and a weight")
    else:
        rule.source, rule.target = used[:2]
    others = [at for at in used if at not in (rule.source, rule.target)]
    if not {"source", "target", "weight"} & options.keys() and not konect:
        check_untimed(rows)
    if rule.attributes:
        rule.weight = None if options.get("weight") == NONE else rule.width - 1
        if rule.width > 3:
            raise UnreadableError("its lines are not two nodes and their attributes")
        return
    if "weight" in options:
        if options["weight"] != NONE:
            rule.weight = _column(options, "weight", None, rule.width)
        rule.ignored = [f"column {at + 1}" for at in others if at != rule.weight]
        return
    if len(others) > 1 and not konect:
        raise UnreadableError(
            f"its lines have {len(used)} fields, such as {shown(' '.join(rows[0]), QUOTED)}, and "
            "no header says which are the nodes and which is the weight",
            option_remedy("weight=3", "weight=none", what=_FIRST_TWO),
        )
    if not others:
        return
    at = rule.weight = others[0]
    rule.ignored = [f"column {other + 1} (times)" for other in others[1:]]
    texts = [row[at] for row in rows if at < len(row)]
    for place, text in enumerate(texts):
        if not is_number(text):
            raise UnreadableError(
                f"line {lines.number(rule, rule.first + place, sampled=True)} has the weight "
                f"{shown(text, QUOTED)}, not a number",
                option_remedy("weight=none", what=_FIRST_TWO),
            )
    late = all(re.fullmatch(r"\d+(\.0*)?", it) and float(it) >= _EARLIEST for it in texts)
    if late and not konect:
        raise UnreadableError(
            f"the third field of its lines, such as {texts[0]}, may be a time or a weight",
            option_remedy("weight=none", "weight=3", what="(or format=contacts with time=3)"),
        )
