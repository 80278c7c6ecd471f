// The demo's page: asks for the state whenever something changed, draws it, and sends what a person does.
import { h, ownSite } from "./dom.js";
import { knowNames } from "./blocks.js";
import { issueList, issueView } from "./jira.js";
import { messageView, modalView } from "./slack.js";
import { Wire } from "./wire.js";

const $ = (id) => document.getElementById(id);
const COMMANDS = [["help", "what there is"], ["stats", "the figures"], ["pending", "drafts that wait"], ["why ", "KEY: what happened to an issue"],
  ["draft ", "KEY: ask for a draft"], ["mode", "simulation or production"], ["mode simulation", "nothing is posted"],
  ["mode production", "Approve posts"], ["standup", "what moved"], ["pause 30m", "drafting waits"], ["resume", "go on"], ["health", "is all well"]];
const kept = (name, fallback) => sessionStorage.getItem(name) || fallback;

let fixed;
let state;
let issueKey = kept("issue", "ECD-142");
let user;
let channel;
let seen = null;
let reading = false;
let again = false;
const fresh = new Set();
const warnings = new Map();
const readUpTo = {};
const wire = new Wire($("exchanges"), $("filters"));

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function tell(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const said = await answer.json();
    if (said.error || said.refused) toast(said.error || said.refused);
    return said;
  } catch {
    toast("The demo has ended. Start it again: python -m bot demo");
    return {};
  }
}

function toast(text) {
  const node = h("p", { class: "toast" }, text);
  $("toasts").append(node);
  setTimeout(() => node.remove(), 6000);
}

// Between press and release nothing is drawn: a button that is replaced, or moves, under the mouse is never clicked, and
// one that is replaced under the space bar neither.
let pressed = false;
let later = [];
function whenReleased(work) {
  if (pressed) later.push(work);
  else work();
}

function release() {
  if (!pressed) return;
  pressed = false;
  const due = later;
  later = [];
  setTimeout(() => due.forEach((work) => work()), 0); // after the click, which comes right after the release
}

function holdStill() {
  window.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.target instanceof Element && event.target.closest("button, a, summary, label")) pressed = true;
  }, true);
  window.addEventListener("keydown", (event) => {
    if (event.key === " " && event.target instanceof Element && event.target.closest("button, summary")) pressed = true;
  }, true);
  for (const end of ["pointerup", "pointercancel", "keyup"]) window.addEventListener(end, release, true);
  window.addEventListener("blur", release); // of the window itself: an element's does not come up to here
}

async function refresh() {
  if (reading) { again = true; return; }
  reading = true;
  try {
    state = await ask(`/api/state?user=${encodeURIComponent(user)}&channel=${encodeURIComponent(channel)}`);
    whenReleased(draw);
  } catch {
    $("pulse").textContent = "not connected";
    $("pulse").className = "pulse off";
  }
  reading = false;
  if (again) { again = false; refresh(); }
}

// Only what changed is drawn again, so that focus, scroll positions and what is typed stay where they are.
const drawn = new Map();
function redraw(node, key, make) {
  if (drawn.get(node) === key) return false;
  drawn.set(node, key);
  const active = document.activeElement;
  const mark = node.contains(active) ? active.dataset?.key || active.dataset?.action : null;
  node.replaceChildren(...make());
  if (mark) node.querySelector(`[data-key="${CSS.escape(mark)}"], [data-action="${CSS.escape(mark)}"]`)?.focus();
  return true;
}

function draw() {
  const ok = state.running && state.connected;
  $("pulse").textContent = ok ? "running" : state.running ? "connecting" : "stopped";
  $("pulse").className = `pulse ${ok ? "on" : "off"}`;
  drawJira();
  drawSlack();
  drawModal();
}

function drawJira() {
  const ids = new Set(state.issues.flatMap((i) => i.comments.map((c) => c.id)));
  for (const id of ids) if (seen && !seen.has(id)) fresh.add(id);
  seen = ids;
  const issue = state.issues.find((i) => i.key === issueKey) || state.issues[0];
  issueKey = issue.key;
  redraw($("issues"), JSON.stringify([issueKey, state.issues.map((i) => [i.key, i.status, i.summary, i.assignee])]),
    () => issueList(state.issues, issueKey, choose));
  const before = drawn.get("issue-count");
  if (redraw($("issue"), JSON.stringify(issue), () => issueView(issue, fixed.statuses, fresh, move))) {
    if (before !== undefined && before !== `${issue.key}:${issue.comments.length}` && before?.startsWith(`${issue.key}:`))
      $("issue").scrollTo({ top: $("issue").scrollHeight, behavior: "smooth" });
    else if (!before?.startsWith(`${issue.key}:`)) $("issue").scrollTop = 0;
  }
  drawn.set("issue-count", `${issue.key}:${issue.comments.length}`);
  $("internal-label").hidden = !issue.service_desk;
}

function choose(key, comment) {
  if (!state.issues.some((i) => i.key === key)) return;
  issueKey = key;
  sessionStorage.setItem("issue", key);
  draw();
  if (comment) document.getElementById(`comment-${comment}`)?.scrollIntoView({ block: "center", behavior: "smooth" });
}

function drawSlack() {
  if (readUpTo[channel] === undefined) for (const c of fixed.channels) readUpTo[c.id] = state.unread[c.id];
  readUpTo[channel] = state.unread[channel];
  redraw($("channels"), JSON.stringify([channel, fixed.channels.map((c) => state.unread[c.id] > readUpTo[c.id])]), () =>
    fixed.channels.map((c) => h("button", { type: "button", role: "tab", "aria-selected": c.id === channel ? "true" : "false", "data-key": c.id,
      class: state.unread[c.id] > readUpTo[c.id] ? "unread" : "", onclick: () => { channel = c.id; refresh(); } },
    h("span", { class: "hash", "aria-hidden": "true" }, c.private ? "🔒" : "#"), c.name)));
  const box = $("messages");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 120;
  const before = drawn.get("count");
  const changed = redraw(box, JSON.stringify([channel, user, state.messages, [...warnings]]), () =>
    state.messages.length ? state.messages.map((m) => messageView(m, click, warnings.get(m.ts))) : [empty()]);
  const count = `${channel}:${state.messages.length}`;
  if (changed && (before !== count || atEnd)) showLast(box);
  drawn.set("count", count);
}

// A new card is shown from its first line, not from its buttons, unless all of it fits.
function showLast(box) {
  const last = box.lastElementChild;
  box.scrollTop = last && last.offsetHeight > box.clientHeight ? last.offsetTop - box.offsetTop : box.scrollHeight;
}

function empty() {
  return h("div", { class: "empty" }, h("strong", {}, "Nothing here yet"),
    h("p", {}, channel === fixed.channels[0].id
      ? "Write a comment on the left, or take a ready-made one. If it deserves an answer, a draft appears here."
      : "Reports appear here. Try /pmagent standup share"));
}

async function click(message, element, node) {
  if (element.confirm && !window.confirm(element.confirm.text.text)) return;
  node.classList.add("busy");
  const { ts, version } = message;
  const said = await tell("/api/click", { user, channel, ts, version, action_id: element.action_id, private: message.private });
  node.classList.remove("busy");
  if (said.warning) warnings.set(message.ts, said.warning);
  else warnings.delete(message.ts);
  refresh();
}

function drawModal() {
  const dialog = $("modal");
  if (!state.modal) {
    if (dialog.open) dialog.close();
    dialog.dataset.hash = "";
    return;
  }
  const typed = dialog.dataset.hash === state.modal.view.hash ? dialog.querySelector("textarea")?.value : undefined;
  if (dialog.dataset.hash !== state.modal.view.hash || dialog.dataset.errors !== JSON.stringify(state.modal.errors)) {
    dialog.dataset.errors = JSON.stringify(state.modal.errors);
    modalView(dialog, state.modal, typed, submit, dismiss);
  }
  if (!dialog.open) {
    dialog.showModal();
    dialog.querySelector("textarea")?.focus();
  }
}

async function submit(text) {
  const said = await tell("/api/submit", { user, text });
  if (said.warning) toast(said.warning);
  refresh();
}

async function dismiss() {
  $("modal").close();
  await tell("/api/dismiss", { user });
  refresh();
}

async function move(key, status) {
  await tell("/api/move", { key, status });
}

async function became(promise, button) {
  button?.classList.add("busy");
  $("became").textContent = "Jira sends its webhook, PM Agent reads the issue and asks…";
  const said = await promise;
  $("became").textContent = said.became || "";
  button?.classList.remove("busy");
}

function suggest() {
  const text = $("line").value;
  const box = $("suggest");
  const rest = text.startsWith("/pmagent") ? text.slice(8).trimStart() : "";
  const found = text.startsWith("/") && "/pmagent ".startsWith(text.slice(0, 9)) ? COMMANDS.filter(([c]) => c.startsWith(rest) && c.trim() !== rest) : [];
  box.hidden = found.length === 0;
  box.replaceChildren(...found.slice(0, 6).map(([c, what]) => h("li", { role: "option", "aria-selected": "false", tabindex: "-1",
    onmousedown: (event) => { event.preventDefault(); $("line").value = `/pmagent ${c}`; $("line").focus(); suggest(); } },
  h("strong", {}, `/pmagent ${c}`), h("span", { class: "quiet" }, what))));
}

function listen() {
  const stream = new EventSource("/api/stream");
  stream.onmessage = (event) => {
    const item = JSON.parse(event.data);
    if (item.exchange) whenReleased(() => wire.add(item.exchange));
    if (item.changed) refresh();
  };
  stream.onopen = () => whenReleased(() => { wire.clear(); refresh(); });
}

async function begin() {
  fixed = await ask("/api/fixed");
  knowNames(fixed.names);
  ownSite(fixed.site, choose);
  const who = fixed.model === "stand-in"
    ? "the replies are written by a small rule-based stand-in, not Claude." : `the replies are written by Claude (${fixed.model}), which is the one thing asked outside.`;
  $("honest").textContent = `Stand-ins: ${fixed.model === "stand-in" ? "nothing leaves this machine" : "Slack, Jira and Bitbucket are played on this machine"}; ${who}`;
  user = kept("user", fixed.players[0].id);
  channel = fixed.channels[0].id;
  $("player").replaceChildren(...fixed.players.map((p) => h("option", { value: p.id, selected: p.id === user }, `${p.name} · ${p.role}`)));
  $("author").replaceChildren(...fixed.authors.map((a) => h("option", { value: a.handle, selected: a.handle === "ben" }, a.name + (a.kind === "customer" ? " (customer)" : ""))));
  $("situations").replaceChildren(h("span", { class: "quiet" }, "Try"), ...fixed.situations.map((s) =>
    h("button", { type: "button", class: "chip", title: `${s.issue}: ${s.text}\n\nWhat to see: ${s.watch}`, "data-situation": s.id,
      onclick: (event) => { choose(s.issue); became(tell("/api/situation", { id: s.id }), event.currentTarget); } }, s.label)));

  $("player").addEventListener("change", (event) => { user = event.target.value; sessionStorage.setItem("user", user); refresh(); });
  $("comment").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("words").value;
    if (!text.trim()) return $("words").focus();
    $("words").value = "";
    became(tell("/api/comment", { key: issueKey, author: $("author").value, text, public: !($("internal").checked && !$("internal-label").hidden) }), $("send"));
  });
  $("words").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) $("comment").requestSubmit();
  });
  $("line").addEventListener("input", suggest);
  $("line").addEventListener("focus", suggest);
  $("line").addEventListener("blur", () => { $("suggest").hidden = true; });
  $("line").addEventListener("keydown", (event) => {
    if (event.key === "Tab" && !$("suggest").hidden && !event.shiftKey) {
      event.preventDefault();
      $("line").value = $("suggest").querySelector("strong").textContent;
      suggest();
    }
  });
  $("compose").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = $("line").value.trim();
    if (!text) return;
    $("line").value = "";
    $("suggest").hidden = true;
    const said = await tell("/api/command", { user, channel, text });
    if (said.warning) toast(`${text}: ${said.warning}`);
    refresh();
  });
  $("modal").addEventListener("cancel", (event) => { event.preventDefault(); dismiss(); });
  $("fold").addEventListener("click", () => {
    const open = $("wire").classList.toggle("folded");
    $("fold").setAttribute("aria-expanded", String(!open));
    $("fold").textContent = open ? "▸" : "▾";
  });
  holdStill();
  listen();
}

begin();
