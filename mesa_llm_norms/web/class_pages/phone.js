"use strict";
// The phone shows what the server says of it, and sends back numbers: which name, which answer.
const $ = (id) => document.getElementById(id);
const BEAT = 3000, RETRY = 1000;
const TITLES = {
  lobby: "You are in. Wait for the teacher to start.",
  waiting: "You play from the next interaction on.",
  alone: "You meet nobody in this round.",
  answered: "Wait for the others …",
  showing: "The round is over.",
  paused: "The game is paused.",
  over: "The game is over.",
  voter: "All places are taken: you can vote.",
  idle: "A mind is playing for you.",
};
let state = {}, socket = null, ends = 0, gone = false, polling = 0;
// The answer that the server has not confirmed, how many events came, and whether its state is being fetched.
let chosen = null, events = 0, fetching = false, again = 0;

function put(id, text) { if ($(id).textContent !== text) $(id).textContent = text; }

function button(text, pressed, disabled, click) {
  const one = document.createElement("button");
  one.textContent = text;
  one.setAttribute("aria-pressed", pressed);
  one.disabled = disabled;
  one.onclick = click;
  return one;
}

function say(path, message) {
  if (socket && socket.readyState === 1) { socket.send(JSON.stringify({do: path, ...message})); return; }
  fetch("/seat/" + path, {method: "POST", body: JSON.stringify(message)})
    .then((answer) => fetchLater(answer.ok ? 0 : RETRY), () => { trouble(); fetchLater(RETRY); });
}

// An answer that was lost with a connection is given again once the server says that it has none.
function settle(whole) {
  if (!chosen) return;
  if (state.i !== chosen.interaction || state.mine !== null) chosen = null;
  else if (whole && state.phase === "asking") say("choice", chosen);
}

function title() {
  const s = state;
  if (s.phase === "showing" && s.last.length) {
    const [own, other, payoff, chose] = s.last[0];
    return `${chose ? "You said" : "The mind in your place said"} ${s.names[own]}, the other said ${s.names[other]}: ${payoff > 0 ? "+" : ""}${payoff}`;
  }
  if (s.phase === "asking") return "Which name do you say?";
  if (s.phase === "over" && s.points) return `The game is over. You have ${s.points} points.`;
  return TITLES[s.phase] || "";
}

function drawNames() {
  const s = state, shown = s.phase === "asking" || s.phase === "answered";
  const key = JSON.stringify([s.phase, s.i, s.mine, s.order, s.names]);
  if ($("names").dataset.key === key) return;
  $("names").dataset.key = key;
  const buttons = shown ? s.order.map((name) => button(s.names[name], s.mine === name, s.mine !== null,
    () => { for (const it of $("names").children) it.disabled = true; chosen = {interaction: s.i, name}; say("choice", chosen); })) : [];
  if (s.phase === "idle") {
    buttons.push(button("Tap to play on", true, false, () => say("wake", {})));
    buttons[0].className = "all";
  }
  $("names").replaceChildren(...buttons);
}

function drawVote() {
  const vote = state.vote;
  // What was voted on is out of the way of a game.
  $("vote").hidden = !vote || !(vote.open || ["lobby", "over", "voter"].includes(state.phase));
  if (!vote || $("vote").dataset.key === JSON.stringify(vote)) return;
  $("vote").dataset.key = JSON.stringify(vote);
  put("question", vote.question);
  const most = vote.counts ? Math.max(1, ...vote.counts) : 1;
  $("answers").replaceChildren(...vote.answers.map((text, answer) => {
    const count = vote.counts ? ` (${vote.counts[answer]})` : "";
    const one = button(text + count, vote.mine === answer, !vote.open, () => say("vote", {vote: vote.n, answer}));
    if (vote.counts) {
      const bar = document.createElement("i");
      bar.style.transform = `scaleX(${vote.counts[answer] / most})`;
      one.append(bar);
    }
    return one;
  }));
  put("after", vote.open ? (vote.mine === null ? "Choose one." : "You may still change your answer.") : "Voting is closed.");
}

function draw() {
  const s = state;
  document.documentElement.style.setProperty("--own", s.color);
  put("who", s.who);
  put("points", s.rounds ? `Round ${s.round} of ${s.rounds}, ${s.points} points` : "");
  put("what", title());
  drawNames();
  drawVote();
  $("past-title").hidden = !s.last.length;
  $("past").replaceChildren(...s.last.map(([own, other, payoff, chose]) => {
    const line = document.createElement("li");
    line.textContent = `${chose ? "you" : "a mind for you"}: ${s.names[own]}, the other: ${s.names[other]}, ${payoff > 0 ? "+" : ""}${payoff}`;
    return line;
  }));
}

function merge(message) {
  if (message.get) { fetchState(); return; }
  Object.assign(state, message);
  if ("ms" in message) ends = message.ms === null ? 0 : performance.now() + message.ms;
  trouble("");
  draw();
  settle("who" in message);  // which is in nothing but the whole state
}

function trouble(text) { put("trouble", text === "" ? "" : gone || "No connection. Trying again …"); }

function leave(text) { gone = text; clearInterval(polling); trouble(text); $("names").replaceChildren(); put("what", ""); }

function fetchLater(wait) { clearTimeout(again); again = setTimeout(fetchState, wait); }

async function fetchState() {
  if (fetching || gone) return;
  fetching = true;
  const before = events;
  try {
    const answer = await fetch("/seat/state", {signal: AbortSignal.timeout?.(10 * RETRY)});
    if (answer.status === 403) leave("You are not in this class any more.");
    else if (!answer.ok) throw new Error(answer.status);
    else {
      const given = await answer.json();
      if (events === before) merge(given);
      else fetchLater(0);  // an event is newer than this
    }
  } catch { trouble(); fetchLater(RETRY); }
  fetching = false;
}

function connect() {
  if (gone) return;
  const here = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/seat`);
  let opened = false;
  socket = here;
  here.onopen = () => { opened = true; clearInterval(polling); polling = 0; };
  here.onmessage = (event) => { events++; merge(JSON.parse(event.data)); };
  here.onclose = (event) => {
    if (here !== socket) return;
    if (event.code === 4001) leave("This page is open in another tab. Reload to play here.");
    else if (event.code === 4003) leave("The teacher has removed you from the class.");
    else {
      trouble();
      // Where websockets do not get through, what happens is asked for once a second.
      if (!opened) { fetchState(); if (!polling) polling = setInterval(fetchState, RETRY); }
      setTimeout(connect, RETRY);
    }
  };
}

setInterval(() => { if (socket && socket.readyState === 1) socket.send("{}"); }, BEAT);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !gone) fetchState(); });
(function count() {
  const left = ends ? Math.max(0, ends - performance.now()) / 1000 / (state.seconds || 1) : 0;
  $("bar").firstElementChild.style.transform = `scaleX(${Math.min(1, left)})`;
  requestAnimationFrame(count);
})();
connect();
