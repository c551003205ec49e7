"""Graph files that say what each thing in them is: GraphML, GEXF, GML, JSON, Pajek and others.

Only the ids of nodes, the two ends of edges, their direction and their weight are read. Whatever
else is in a file cannot make it unreadable.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from mesa_llm_norms.errors import shortened, some
from mesa_llm_norms.networks.columns import Options, weight_name
from mesa_llm_norms.networks.listing import Listing, choose, direction
from mesa_llm_norms.networks.validation import EdgeTable, UnreadableError, option_remedy

# GraphML and GEXF


def read_graphml(text: str, options: Options) -> EdgeTable:
    """Read GraphML of any namespace or none."""
    return _xml(_GraphML(), "graphml", text, options)


def read_gexf(text: str, options: Options) -> EdgeTable:
    """Read GEXF of any version."""
    return _xml(_GEXF(), "gexf", text, options)


def _xml(target: _XML, root: str, text: str, options: Options) -> EdgeTable:
    """Return what a target found in a text that declares nothing which could be expanded."""
    text = re.sub(r"<!DOCTYPE\s[^\[\]<>]*>", "", text, count=1, flags=re.IGNORECASE)
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        problem = "it declares a document type or entities, which is refused"
        raise UnreadableError(problem, "Remove them.")
    # Without a declaration of its own the parser reads the very text that was searched.
    text = re.sub(r"\A\s*<\?xml\b[^>]*>", "", text).strip()
    parser = ElementTree.XMLParser(target=target)
    try:
        parser.feed(text)
        parser.close()
    except ElementTree.ParseError as error:
        raise UnreadableError(f"it is not well-formed XML: {error}") from error
    if target.root != root:
        raise UnreadableError(f"its outermost element is <{target.root}>, not <{root}>")
    if not target.graphs:
        raise UnreadableError("there is no <graph> in it")
    if target.timed and options.get("times") != "ignore":
        raise UnreadableError(
            f"{target.timed} have lifetimes, and not all exist at the same time",
            option_remedy("times=ignore", what="to have all of them from start to end"),
        )
    found: Listing = choose(target.graphs, options)
    return found.table(options)


class _XML:
    """What both formats have in common: the events of a parser that are about graphs."""

    def __init__(self) -> None:
        self.root = ""
        self.graphs: list[Listing] = []
        self.timed = ""
        self.names: dict[str, str] = {}
        """Names of attributes by their ids."""
        self.defaults: dict[str, str] = {}
        self._open: list[str] = []
        self._inside = 0
        """How many <graph> are open."""
        self._default = "undirected"
        self._edge: dict[str, str] = {}
        self._attributes: dict[str, str] = {}
        self._text: list[str] | None = None

    def start(self, tag: str, attrs: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        attrs = {key.rpartition("}")[2]: value for key, value in attrs.items()}
        self.root = self.root or name
        self._open.append(name)
        self._text = None
        if name == "graph":
            self._inside += 1
            if self._inside == 1:
                self.graphs.append(Listing())
                said = attrs.get("edgedefault") or attrs.get("defaultedgetype")
                self.graphs[-1].says = said is not None
                self._default = said if said in ("directed", "mutual") else "undirected"
        elif name == "edge" and self._inside:
            self._edge, self._attributes = attrs, {}
        self.opened(name, attrs)

    def end(self, _tag: str) -> None:
        name = self._open.pop()
        text = "".join(self._text or ()).strip()
        self._text = None
        if name == "graph":
            self._inside -= 1
        self.closed(name, text)
        if name == "edge" and self._inside:
            edge, found = self._edge, self.graphs[-1]
            found.add_edge(
                edge.get("source"), edge.get("target"), self.kind(edge), self._attributes
            )

    def data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def close(self) -> None:
        pass

    def opened(self, name: str, attrs: dict[str, str]) -> None:
        raise NotImplementedError

    def closed(self, name: str, text: str) -> None:
        raise NotImplementedError

    def kind(self, edge: dict[str, str]) -> str:
        raise NotImplementedError


class _GraphML(_XML):
    """Attributes are declared as <key>, and given as <data> in nodes and edges."""

    def __init__(self) -> None:
        super().__init__()
        self._key = ""
        self._node: str | None = None

    def opened(self, name: str, attrs: dict[str, str]) -> None:
        """Read what begins here."""
        if name == "key":
            self._key = attrs.get("id", "")
            self.names[self._key] = attrs.get("attr.name") or attrs.get("yfiles.type") or self._key
            if attrs.get("for") == "node":
                self._key = ""
        elif name == "node" and self._inside:
            self._node = attrs.get("id")
            self.graphs[-1].add_node(self._node)
        elif name == "hyperedge" and self._inside:
            raise UnreadableError(
                "it has hyperedges, which join more than two nodes", "Remove them."
            )
        elif name == "data":
            self._key = attrs.get("key", "")
            self._text = []
        elif name in ("default", "NodeLabel"):
            self._text = []

    def closed(self, name: str, text: str) -> None:
        """Take what a <data> said about the edge, or the label of the node, it is in."""
        parent = self._open[-1] if self._open else ""
        if name == "default" and parent == "key" and self._key:
            self.defaults[self.names[self._key]] = text
        elif name == "data" and parent == "edge":
            self._attributes[self.names.get(self._key, self._key)] = text
        elif name == "data" and parent == "node" and self._node is not None and text:
            said = self.names.get(self._key, self._key).lower()
            if said == "label" or (said == "name" and self._node not in self.graphs[-1].labels):
                self.graphs[-1].labels[self._node] = text
        elif name == "NodeLabel" and self._node is not None and text:
            self.graphs[-1].labels.setdefault(self._node, text)

    def kind(self, edge: dict[str, str]) -> str:
        """Return the direction of an edge, whose attributes are then complete."""
        self._attributes = {**self.defaults, **self._attributes}
        said = edge.get("directed", "").strip().lower()
        self.graphs[-1].says |= bool(said)
        return direction(said in ("true", "1")) if said else self._default


class _GEXF(_XML):
    """Attributes are declared as <attribute>, and given as <attvalue>; the weight is XML's own."""

    _TIMES = ("start", "end", "startopen", "endopen", "timestamp", "timestamps", "spells")

    def __init__(self) -> None:
        super().__init__()
        self._nodes: list[dict[str, str]] = []

    def opened(self, name: str, attrs: dict[str, str]) -> None:
        """Read what begins here."""
        if name == "node" and self._inside:
            self._nodes.append(attrs)
        elif name == "attribute":
            self.names[attrs.get("id", "")] = attrs.get("title", "")
        elif name == "edge" and self._inside and "weight" in attrs:
            self._attributes["weight"] = attrs["weight"]
        elif name == "attvalue" and "edge" in self._open:
            said = attrs.get("for") or attrs.get("id") or ""
            said = self.names.get(said) or said
            self._attributes.setdefault(said, attrs.get("value", ""))
            if weight_name([said], {}) and any(key in attrs for key in self._TIMES):
                self.timed = self.timed or "weights"
        if name in ("edge", "node") and any(key in attrs for key in self._TIMES):
            self.timed = self.timed or f"{name}s"
        elif name == "spell" and self._inside:
            self.timed = self.timed or ("edges" if "edge" in self._open else "nodes")

    def closed(self, name: str, _text: str) -> None:
        """Add a node once those inside it are added."""
        if name == "node" and self._inside:
            attrs = self._nodes.pop()
            self.graphs[-1].add_node(attrs.get("id"), attrs.get("label"))

    def kind(self, edge: dict[str, str]) -> str:
        """Return the direction of an edge."""
        self.graphs[-1].says |= "type" in edge
        said = edge.get("type", self._default).strip().lower()
        return said if said in ("directed", "mutual", "undirected") else self._default


# GML

_GML_TOKEN = re.compile(
    r"""(?:^[ \t]*\#.*$ | "(?P<text>[^"]*)" | (?P<mark>[][]) | (?P<word>[^][\s"]+) | (?P<bad>"))""",
    re.MULTILINE | re.VERBOSE,
)
_ENTITY = re.compile(r"&(?:[0-9A-Za-z]+|#[0-9]+|#x[0-9A-Fa-f]+);")


def read_gml(text: str, options: Options) -> EdgeTable:
    """Read GML; nodes go by ``label`` if all have one of their own, else by ``id``."""
    graphs: list[tuple[Listing, dict[str, Any]]] = []
    path: list[str] = []
    item: dict[str, Any] = {}
    key = ""
    for value, opens, closes in _gml_tokens(text):
        if closes:
            if not path or key:
                raise UnreadableError("it is not GML: a bracket closes what is not open")
            closed = path.pop()
            if path == ["graph"] and closed in ("node", "edge"):
                _add_gml(graphs[-1][0], closed, item)
        elif opens:
            if not key:
                raise UnreadableError("it is not GML: a bracket has no name")
            path.append(key)
            if path == ["graph"]:
                graphs.append((Listing(), {}))
            elif len(path) == 2:
                item = {}
            key = ""
        elif not key:
            key = str(value)
        else:
            if path == ["graph"]:
                graphs[-1][1][key] = value
            elif len(path) == 2:
                item[key] = value
            key = ""
    if path or key or not graphs:
        raise UnreadableError(
            "it is not complete: a bracket is not closed" if path or key else "no graph is in it"
        )
    found: Listing
    found, about = choose(graphs, options)
    found.says = "directed" in about
    found.kinds = [direction(about.get("directed") in (1, "1", "true"))] * len(found.ends)
    unique = len(set(map(_typed, found.labels.values()))) == len(found.index)
    if options.get("nodes") == "label" or (unique and options.get("nodes") != "id"):
        return found.table({**options, "nodes": "label"})
    if found.labels:
        found.ignored["label"] = None
    return found.table(options)


def _typed(label: Any) -> tuple[type, Any]:
    return type(label), label


def _gml_tokens(text: str) -> Iterator[tuple[Any, bool, bool]]:
    """Yield each value, and whether it is an opening or a closing bracket."""
    for found in _GML_TOKEN.finditer(text):
        kind = found.lastgroup
        if kind == "text":
            joined = re.sub(r"\s*\n\s*", " ", found["text"])
            yield _ENTITY.sub(lambda it: html.unescape(it[0]), joined), False, False
        elif kind == "mark":
            yield None, found["mark"] == "[", found["mark"] == "]"
        elif kind == "word":
            word = found["word"]
            yield int(word) if re.fullmatch(r"[+-]?\d{1,18}", word) else word, False, False
        elif kind == "bad":
            raise UnreadableError("it is not complete: a quotation mark is not closed")


def _add_gml(found: Listing, kind: str, item: dict[str, Any]) -> None:
    if kind == "node":
        found.add_node(item.get("id"), item.get("label"))
    else:
        rest = {key: it for key, it in item.items() if key not in ("source", "target", "id")}
        found.add_edge(item.get("source"), item.get("target"), "", rest)


# JSON

_ENDS = (("source", "target"), ("from", "to"), ("start", "end"), ("u", "v"))
_IDS = ("id", "key", "name", "label")
_KNOWN_JSON = (
    'Write node-link JSON, such as json.dump(nx.node_link_data(graph, edges="edges"), file); '
    "Cytoscape's and graphology's JSON, adjacency lists and lists of edges are read too."
)


def read_json(text: str, options: Options) -> EdgeTable:
    """Read JSON: node-link, Cytoscape, graphology, adjacency, or a list of edges."""
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UnreadableError(f"it is not JSON: {error}") from error
    inner = data.get("graph") if isinstance(data, dict) else None
    if isinstance(inner, dict) and ("edges" in inner or "links" in inner):
        data = inner
    if isinstance(data, list):
        grouped = any(isinstance(it, dict) and "data" in it for it in data)
        return _cytoscape(data, {}, options) if grouped else _listed_edges(data, options)
    if not isinstance(data, dict):
        raise UnreadableError("it is neither an object nor a list", _KNOWN_JSON)
    if "elements" in data:
        return _cytoscape(data["elements"], data, options)
    if "adjacency" in data:
        return _adjacency(data, options)
    keys = [key for key in ("edges", "links") if key in data]
    if len(keys) == 2:
        raise UnreadableError('it has both "edges" and "links"', 'Keep either "edges" or "links".')
    if keys:
        nodes: Any = data.get("nodes")
        edges: Any = data[keys[0]]
        if nodes is None and isinstance(edges, list):
            return _listed_edges(edges, options, _said(data, options))
        if isinstance(nodes, dict):
            nodes = [
                {"id": key, **(it if isinstance(it, dict) else {})} for key, it in nodes.items()
            ]
        for name, value in (("nodes", nodes), (keys[0], edges)):
            if not isinstance(value, list):
                raise UnreadableError(
                    f'"nodes" and "{keys[0]}" must be lists, and "{name}" is '
                    f"a {type(value).__name__}",
                    _KNOWN_JSON,
                )
        return _node_link(nodes, edges, _said(data, options), options)
    if "nodes" in data:
        raise UnreadableError('it has "nodes", but no "edges" or "links"', _KNOWN_JSON)
    if data and all(isinstance(it, (list, dict)) for it in data.values()):
        return _neighbors(data, options)
    raise UnreadableError(
        f'it has neither "nodes" with "edges" or "links", nor "elements" or "adjacency"; it has '
        f"{some(list(data))}",
        _KNOWN_JSON,
    )


def _said(data: Mapping[str, Any], options: Options) -> bool | None:
    """Return whether a graph says that it is directed; None if edges say so one by one."""
    settings = data.get("options")
    if isinstance(settings, dict) and "type" in settings:
        return {"directed": True, "undirected": False}.get(str(settings["type"]))
    for name in ("directed", "multigraph"):
        if data.get(name, False) not in (True, False):
            raise UnreadableError(
                f'"{name}" is {_json_text(data[name])}', f'"{name}" must be true or false.'
            )
    return bool(data.get("directed", options.get("directed", False)))


def _json_text(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False), 60)


def _id(value: Any) -> Any:
    """Return an id as something hashable: a list as a tuple, the object of a node as its id."""
    if isinstance(value, dict):
        value = next((value[key] for key in _IDS if key in value), None)
    if isinstance(value, list):
        return tuple(map(_id, value))
    if value is None or isinstance(value, (bool, dict)):
        raise UnreadableError(f"{_json_text(value)} is not the id of a node", _KNOWN_JSON)
    return value


def _edge(item: Any, at: int) -> tuple[Any, Any, dict[str, Any]]:
    """Return the two ends of an edge and what else is said about it."""
    if isinstance(item, dict):
        parts = [item.get(key) for key in ("data", "attributes")]
        merged = {**item, **{k: v for it in parts if isinstance(it, dict) for k, v in it.items()}}
        for source, target in _ENDS:
            if source in merged and target in merged:
                known = (source, target, "data", "attributes", "key", "id")
                rest = {key: it for key, it in merged.items() if key not in known}
                return _id(merged[source]), _id(merged[target]), rest
    elif isinstance(item, list) and len(item) in (2, 3):
        rest = item[2] if len(item) == 3 else {}
        return _id(item[0]), _id(item[1]), rest if isinstance(rest, dict) else {"weight": rest}
    raise UnreadableError(
        f"edge {at + 1} is {_json_text(item)}",
        'An edge needs a "source" and a "target", or is a list of two nodes.',
    )


def _edgedirection(said: bool | None, attributes: dict[str, Any]) -> str:
    if "undirected" in attributes or isinstance(attributes.get("directed"), bool):
        undirected = attributes.pop("undirected", None)
        directed = attributes.pop("directed", None)
        return direction(bool(directed) if undirected is None else not undirected)
    return direction(True if said is None else said)


def _add_edges(
    found: Listing, edges: Sequence[tuple[Any, Any, dict[str, Any]]], said: bool | None
) -> None:
    for source, target, attributes in edges:
        kind = _edgedirection(said, attributes)
        plain = {name: it for name, it in attributes.items() if not isinstance(it, (dict, list))}
        found.add_edge(source, target, kind, plain)


def _node_link(
    nodes: list[Any], items: list[Any], said: bool | None, options: Options
) -> EdgeTable:
    edges = [_edge(item, at) for at, item in enumerate(items)]
    ends = {end for edge in edges for end in edge[:2]}
    ids, names = _node_ids(nodes, ends)
    found = Listing()
    for node, it in zip(ids, nodes, strict=True):
        found.add_node(node, names.get(node))
        if isinstance(it, dict) and isinstance(it.get("pos"), list):
            found.positions[node] = it["pos"]
    if not ends <= found.index.keys():
        by_text = {str(node): node for node in ids}
        if len(by_text) == len(ids) and all(str(end) in by_text for end in ends):
            edges = [(by_text[str(u)], by_text[str(v)], rest) for u, v, rest in edges]
    _add_edges(found, edges, said)
    return found.table(options, whole=False)


def _node_ids(nodes: list[Any], ends: set[Any]) -> tuple[list[Any], dict[Any, Any]]:
    """Return the id of every node, and the names of those that have a name beside it."""
    if not all(isinstance(node, dict) for node in nodes):
        return [_id(node) for node in nodes], {}
    inner = [
        {**node, **node["attributes"]} if isinstance(node.get("attributes"), dict) else node
        for node in nodes
    ]
    keys = [key for key in _IDS if nodes and all(key in node for node in inner)]
    ids = list(range(len(nodes)))
    for key in keys:
        found = [_id(node[key]) for node in inner]
        texts = {str(it) for it in found}
        if key == "id" or (len(texts) == len(found) and all(str(end) in texts for end in ends)):
            ids = found
            break
    else:
        if not ends <= set(ids):
            held = some(sorted({key for node in nodes for key in node}))
            raise UnreadableError(
                f"edges lead to nodes that are not listed: {some(sorted(ends - set(ids), key=str))}"
                f"; nodes have {held}",
                'Give every node an "id" (did you mean "key" or "name"?), and use it in the edges.',
            )
    names = {
        node: next(
            (it[key] for key in ("label", "name", "title") if isinstance(it.get(key), str)), None
        )
        for node, it in zip(ids, inner, strict=True)
    }
    return ids, {node: name for node, name in names.items() if name is not None}


def _listed_edges(items: list[Any], options: Options, said: bool | None = None) -> EdgeTable:
    """Return the edges of a list without nodes; they have no direction unless that is said."""
    found = Listing()
    edges = [_edge(item, at) for at, item in enumerate(items)]
    for end in dict.fromkeys(end for edge in edges for end in edge[:2]):
        found.add_node(end)
    if not edges:
        raise UnreadableError("there is no edge in it", _KNOWN_JSON)
    _add_edges(found, edges, bool(options.get("directed", said)))
    return found.table(options, whole=False)


def _cytoscape(elements: Any, data: Mapping[str, Any], options: Options) -> EdgeTable:
    nodes: Any
    edges: Any
    if isinstance(elements, list):
        parts = [it.get("data") for it in elements if isinstance(it, dict)]
        edges = [it for it in parts if isinstance(it, dict) and "source" in it]
        nodes = [it for it in parts if isinstance(it, dict) and "source" not in it]
    elif isinstance(elements, dict):
        nodes, edges = (
            [it.get("data") if isinstance(it, dict) else it for it in elements.get(key) or []]
            for key in ("nodes", "edges")
        )
    else:
        raise UnreadableError(f'"elements" is {_json_text(elements)}', _KNOWN_JSON)
    found = Listing()
    for node in nodes:
        name = node.get("name", node.get("label")) if isinstance(node, dict) else None
        found.add_node(str(_id(node)), name)
    pairs = [_edge(edge, at) for at, edge in enumerate(edges)]
    _add_edges(found, [(str(u), str(v), rest) for u, v, rest in pairs], _said(data, options))
    return found.table(options)


def _adjacency(data: Mapping[str, Any], options: Options) -> EdgeTable:
    nodes, lists = data.get("nodes"), data["adjacency"]
    if not isinstance(nodes, list) or not isinstance(lists, list) or len(nodes) != len(lists):
        raise UnreadableError(
            '"nodes" and "adjacency" must be lists of the same length', _KNOWN_JSON
        )
    found, said = Listing(), _said(data, options)
    for node in nodes:
        found.add_node(_id(node))
    place = {node: at for at, node in enumerate(found.index)}
    edges = []
    for source, neighbors in zip(found.index, lists, strict=True):
        for it in neighbors:
            target = _id(it)
            if said or place[source] <= place.get(target, len(place)):
                rest = {key: value for key, value in it.items() if key not in ("id", "key")}
                edges.append((source, target, rest))
    _add_edges(found, edges, said)
    return found.table(options, whole=False)


def _neighbors(data: Mapping[str, Any], options: Options) -> EdgeTable:
    """Return the edges of an object of nodes and their neighbors."""
    edges: dict[tuple[Any, Any], dict[str, Any]] = {}
    for source, neighbors in data.items():
        for target in neighbors:
            said = neighbors[target] if isinstance(neighbors, dict) else {}
            if not isinstance(said, (dict, int, float)) or isinstance(said, bool):
                raise UnreadableError(f"{_json_text(said)} is not an edge", _KNOWN_JSON)
            edges[source, str(_id(target))] = said if isinstance(said, dict) else {"weight": said}
    symmetric = all(edges.get((v, u)) == said for (u, v), said in edges.items())
    if not symmetric and "directed" not in options:
        raise UnreadableError(
            "some nodes are neighbors of others that do not list them, so edges may or may not "
            "have a direction",
            option_remedy("directed=true", "directed=false"),
        )
    directed = options.get("directed", False)
    found = Listing()
    for node in dict.fromkeys((*data, *(v for _, v in edges))):
        found.add_node(node)
    kept: dict[Any, tuple[Any, Any, dict[str, Any]]] = {}
    for (u, v), said in edges.items():
        kept.setdefault((u, v) if directed else frozenset((u, v)), (u, v, said))
    _add_edges(found, list(kept.values()), directed)
    return found.table(options)
