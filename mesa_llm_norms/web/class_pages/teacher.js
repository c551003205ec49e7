"use strict";
// The teacher's page: asks twice a second how the class stands, and draws that.
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const NETWORKS = {
  "everybody with everybody": (n) => `complete(n=${n})`,
  "a ring, four neighbors each": (n) => `ring(n=${n}, k=4)`,
  "a small world": (n) => `watts_strogatz(n=${n}, k=4, p=0.1)`,
};
const LOST = "No connection to the server.";
const REFUSED = "The server does not know this page any more: open the link that it printed last.";
let state = null, network = {places: [], edges: []}, key = null, drawn = "";

function put(id, text) { if ($(id).textContent !== text) $(id).textContent = text; }

function make(tag, attributes, parent) {
  const one = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  if (parent) parent.append(one);
  return one;
}

function item(text, ...children) {
  const one = document.createElement("li");
  one.append(text, ...children);
  return one;
}

async function ask(what, options) {
  const answer = await fetch(`/class/${what}`, options);
  if (!answer.ok && answer.status !== 400) throw answer;  // 400 comes with the problem in words
  return answer.json();
}

function lost(problem) { put("trouble", problem.status === 403 ? REFUSED : LOST); }

async function tell(what, message = {}) {
  try {
    const given = await ask(what, {method: "POST", body: JSON.stringify(message)});
    put("trouble", given.problem || "");
    if (!given.problem) { state = given; await draw(); }
  } catch (problem) { lost(problem); }
}

async function look() {
  try {
    state = await ask("state");
    if ([LOST, REFUSED].includes($("trouble").textContent)) put("trouble", "");
    await draw();
  } catch (problem) { lost(problem); }
  setTimeout(look, 500);
}

function drawLobby() {
  const s = state;
  $("open").disabled = s.open;
  $("lock").disabled = !s.open;
  $("join").hidden = !s.open;
  if (s.open && !$("qr").src) $("qr").src = "/class/qr.svg";
  put("link", s.link);
  put("code", s.code);
  put("reached", s.reached ? "A phone has reached this computer." : "No phone has reached this computer yet.");
  put("count", `${s.students.length} ${s.students.length === 1 ? "student" : "students"}`);
  const text = JSON.stringify([s.students, !s.game]);
  if ($("students").dataset.key === text) return;
  $("students").dataset.key = text;
  $("students").replaceChildren(...s.students.map((student) => {
    const status = document.createElement("span"), kick = document.createElement("button");
    status.textContent = student.status === "playing" || (student.status === "voter" && !s.game) ? "" : student.status;
    status.className = "soft";
    kick.textContent = "✕";
    kick.setAttribute("aria-label", `Remove ${student.label}`);
    kick.title = kick.getAttribute("aria-label");
    kick.onclick = () => { if (confirm(`Remove ${student.label} from the class?`)) tell("kick", {student: student.n}); };
    const one = item(student.label, status, kick);
    one.style.setProperty("--own", student.color);
    return one;
  }));
}

function drawVote() {
  const vote = state.vote;
  $("close").disabled = !vote || !vote.open;
  put("question", vote ? vote.question : "");
  const text = JSON.stringify(vote);
  if ($("bars").dataset.key === text) return;
  $("bars").dataset.key = text;
  if (!vote) return;
  if (vote.open) {
    $("bars").replaceChildren(item(`${vote.given} of ${state.students.length} have answered. The answers show once the vote is closed.`));
    return;
  }
  const most = Math.max(1, ...vote.counts);
  $("bars").replaceChildren(...vote.answers.map((answer, i) => {
    const bar = document.createElement("i"), name = document.createElement("span"), count = document.createElement("b");
    bar.style.transform = `scaleX(${vote.counts[i] / most})`;
    name.textContent = answer;
    count.textContent = vote.counts[i];
    return item("", name, bar, count);
  }));
}

function drawNetwork(game) {
  const svg = $("network");
  svg.replaceChildren();
  const at = network.places.map(([x, y]) => [8 + 84 * x, 8 + 84 * y]);
  const crowded = network.edges.length > 1000 ? 0.15 : 0.5;
  for (const [a, b] of network.edges)
    make("line", {x1: at[a][0], y1: at[a][1], x2: at[b][0], y2: at[b][1], stroke: "var(--line)", "stroke-width": 0.2, opacity: crowded}, svg);
  const people = new Set($("rings").checked ? game.people : []);
  const size = Math.min(4, 90 / at.length);
  at.forEach(([x, y], i) => {
    const name = game.held[i];
    if (people.has(i)) make("circle", {cx: x, cy: y, r: size + 1.2, fill: "none", stroke: "var(--ink)", "stroke-width": 0.7}, svg);
    make("circle", {cx: x, cy: y, r: size, fill: name < 0 ? "#b8b8b8" : game.colors[name], stroke: "#fff", "stroke-width": 0.3}, svg);
    if (name >= 0 && size >= 2) {
      const label = make("text", {x, y: y + size * 0.4, "text-anchor": "middle", "font-size": size * 1.1}, svg);
      label.style.fill = ink(game.colors[name]);
      label.textContent = game.names[name].slice(0, 2);
    }
  });
}

function ink(color) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff";
}

function drawChart(game) {
  const svg = $("chart"), right = 190, left = 22, bottom = 104, top = 6;
  svg.replaceChildren();
  const x = (i) => left + (right - left) * (game.rounds > 1 ? i / (game.rounds - 1) : 0.5);
  const y = (share) => bottom - (bottom - top) * share;
  for (const share of [0, 0.5, 1]) {
    make("line", {x1: left, x2: right, y1: y(share), y2: y(share), stroke: "var(--shade)"}, svg);
    make("text", {x: left - 3, y: y(share) + 2.5, "text-anchor": "end", "font-size": 7}, svg).textContent = `${100 * share}%`;
  }
  for (const i of [0, game.rounds - 1])
    make("text", {x: x(i), y: bottom + 10, "text-anchor": "middle", "font-size": 7}, svg).textContent = i + 1;
  make("text", {x: (left + right) / 2, y: bottom + 10, "text-anchor": "middle", "font-size": 7}, svg).textContent = "round";
  const line = (points) => points.map(([i, share]) => `${x(i)},${y(share)}`).join(" ");
  const low = game.band.map(([share], i) => [i, share]), high = game.band.map(([, share], i) => [i, share]);
  make("polygon", {points: line([...high, ...low.reverse()]), fill: "var(--band)"}, svg);
  make("polyline", {points: line(game.success.map((share, i) => [i, share])), fill: "none", stroke: "var(--main)", "stroke-width": 2}, svg);
  game.success.forEach((share, i) => make("circle", {cx: x(i), cy: y(share), r: 2, fill: "var(--main)"}, svg));
}

async function drawGame() {
  const game = state.game, playing = game && game.phase !== "over";
  $("controls").hidden = $("pictures").hidden = $("bar").hidden = !game;
  $("setup").hidden = Boolean(playing);
  if (!game) return;
  $("pause").disabled = $("end").disabled = !playing;
  put("pause", game.phase === "paused" ? "Continue" : "Pause");
  const waiting = game.phase === "asking" && game.asked ? `, ${game.answered} of ${game.asked} have answered` : "";
  put("round", `${game.phase === "over" ? "Over after" : "Played"} ${game.round} of ${game.rounds} rounds${waiting}`);
  $("bar").firstElementChild.style.transform = `scaleX(${game.phase === "asking" ? Math.min(1, game.left / game.seconds) : 0})`;
  if (game.key !== key) {
    network = await ask("network");
    if (playing) $("voting").open = false;
    drawn = "";
    key = game.key;
  }
  const text = JSON.stringify([key, game.held, game.people, $("rings").checked, game.success, game.band]);
  if (text === drawn || !network.places.length) return;
  drawn = text;
  drawNetwork(game);
  drawChart(game);
  $("legend").replaceChildren(...game.names.map((name, i) => {
    const one = item(`${name}: ${game.held.filter((it) => it === i).length}`);
    one.style.setProperty("--own", game.colors[i]);
    return one;
  }));
}

async function draw() { drawLobby(); drawVote(); await drawGame(); }

for (const what of ["open", "lock", "close", "end"]) $(what).onclick = () => tell(what);
$("pause").onclick = () => tell(state.game.phase === "paused" ? "resume" : "pause");
$("ask").onclick = () => tell("ask", {scene: $("scene").value});
$("rings").onchange = draw;
$("setup").onsubmit = (event) => {
  event.preventDefault();
  const given = Object.fromEntries(new FormData(event.target));
  if (state.game && state.game.round && !confirm("A new game takes the place of the last. Have you exported it?")) return;
  tell("start", {
    graph: NETWORKS[given.graph](given.agents), names: given.names, mind: given.mind,
    rounds: Number(given.rounds), seconds: Number(given.seconds), seed: Number(given.seed),
  });
};
(async function begin() {
  let choices;
  try { choices = await ask("choices"); }
  catch (problem) { lost(problem); setTimeout(begin, 2000); return; }
  for (const scene of choices.scenes) $("scene").append(new Option(`${scene.title}: ${scene.question}`, scene.key));
  for (const mind of choices.minds) $("setup").elements.mind.append(new Option(mind, mind, false, mind === choices.mind));
  for (const name of Object.keys(NETWORKS)) $("setup").elements.graph.append(new Option(name, name));
  look();
})();
