// Starts the page: reads the address, asks the reconciler, and draws what has changed.
//
// A small answer, /api/state, is asked for every two seconds. Its revision changes with every other
// answer, and only then is the view read again.

import { AnswerError, get } from "./api.js";
import { hide, show } from "./details.js";
import { h, refreshAges, replace, WORDS } from "./dom.js";
import { graph } from "./graph.js";
import { emptiness, live, notices, replica, summary } from "./header.js";
import { copyTable, events, PAGE, syncs } from "./lists.js";
import { current, go, intercept } from "./route.js";

const POLL_MILLISECONDS = 2_000;
const LONGEST_POLL_MILLISECONDS = 15_000;
const AGES_MILLISECONDS = 5_000;
const LATE_MILLISECONDS = 300; // until "Loading…" replaces another view
const LONG_MILLISECONDS = 3_000; // until it replaces the same view, of another page or filter
const TYPING_MILLISECONDS = 200;
const VIEWS = { syncs: "Syncs", graph: "Graph", copies: "Copies", events: "Events" };
const SORTS = { "": "Worst state first", name: "By name", written: "By last write" };

const at = Object.fromEntries(
  [
    "replica",
    "live",
    "notices",
    "summary",
    "views",
    "text",
    "selects",
    "content",
    "details",
    "theme",
  ].map((id) => [id, document.getElementById(id)]),
);
let state = null; // the last answer of /api/state
let drawn = ""; // the revision that the view shows
let drawnView = "";
let failures = 0; // polls in a row without an answer
let lostSince = null;
let turn = 0; // the newest route; answers to older ones are dropped

// Read the state again and again, and the view if the revision has changed.
async function poll() {
  if (!document.hidden) {
    try {
      state = await get("/api/state");
      failures = 0;
      lostSince = null;
      drawTop();
      if (drawn !== state.revision) await drawView();
    } catch {
      failures += 1; // one failure is often a connection that was closed while idle
      if (failures > 1) lostSince ??= new Date();
      drawTop();
    }
  }
  setTimeout(
    poll,
    Math.min(POLL_MILLISECONDS * 2 ** Math.max(0, failures - 1), LONGEST_POLL_MILLISECONDS),
  );
}

function drawTop() {
  live(at.live, !lostSince && state !== null);
  if (state === null) {
    if (lostSince) notices(at.notices, null, lostSince);
    return;
  }
  const route = current();
  replica(at.replica, state);
  notices(at.notices, state, lostSince);
  summary(at.summary, state, route);
  drawTools(route);
}

function drawTools(route) {
  replace(
    at.views,
    Object.entries(VIEWS).map(([view, title]) =>
      h(
        "a",
        {
          href: link(view),
          "aria-current": route.view === view && "page",
          "data-key": `view ${view}`,
        },
        title,
      ),
    ),
  );
  if (document.activeElement !== at.text) at.text.value = route.q;
  const choices = [];
  if (route.view === "copies")
    choices.push(select("State", "state", route, { "": "Every state", ...WORDS }));
  if (route.view === "syncs" || route.view === "graph") {
    const reasons = Object.entries(state.reasons).map(([reason, number]) => [
      reason,
      `${reason} (${number})`,
    ]);
    choices.push(
      select("Reason", "reason", route, { "": "Every reason", ...Object.fromEntries(reasons) }),
    );
  }
  if (route.view === "syncs") choices.push(select("Order", "sort", route, SORTS));
  if (!at.selects.contains(document.activeElement)) replace(at.selects, choices);
}

function link(view) {
  const route = new URLSearchParams();
  const { q, sync } = current();
  for (const [key, value] of Object.entries({ view: view === "syncs" ? "" : view, q, sync }))
    if (value) route.set(key, value);
  return `/?${route}`;
}

function select(label, key, route, choices) {
  const options = { ...choices };
  if (!(route[key] in options)) options[route[key]] = route[key];
  return h(
    "select",
    {
      "aria-label": label,
      "data-key": `select ${key}`,
      onchange: (event) => go({ [key]: event.target.value, offset: "" }),
    },
    Object.entries(options).map(([value, text]) =>
      h("option", { value, selected: route[key] === value }, text),
    ),
  );
}

// Read and draw the view and the details of the present route.
async function drawView() {
  const mine = (turn += 1);
  const route = current();
  const revision = state.revision;
  if (state.replica.role === "starting") {
    replace(at.content, h("div", { class: "empty" }, emptiness(route, state)));
    return;
  }
  const late = setTimeout(
    () => replace(at.content, h("p", { class: "empty quiet" }, "Loading…")),
    route.view === drawnView ? LONG_MILLISECONDS : LATE_MILLISECONDS,
  );
  try {
    const answer = await answerOf(route);
    if (mine !== turn) return;
    clearTimeout(late);
    drawnView = route.view;
    replace(at.content, contentOf(route, answer));
    if (route.sync) await show(at.details, route.sync);
    drawn = revision;
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error;
    if (mine === turn) replace(at.content, h("p", { class: "empty" }, `${error.message}.`));
  } finally {
    clearTimeout(late);
  }
}

function answerOf(route) {
  const { q, state: only, reason, sort, offset, focus } = route;
  if (route.view === "graph")
    return get("/api/graph", focus ? { sync: focus } : { q, state: only, reason });
  const parameters = { q, offset, limit: String(PAGE) };
  if (route.view === "copies") Object.assign(parameters, { state: only });
  if (route.view === "syncs") Object.assign(parameters, { state: only, reason, sort });
  return get(`/api/${route.view}`, parameters);
}

function contentOf(route, answer) {
  const empty = route.view === "graph" ? answer.syncs.length === 0 : answer.total === 0;
  if (empty) return h("div", { class: "empty" }, emptiness(route, state));
  return { syncs, graph, copies: copyTable, events }[route.view](answer, route);
}

// Follow the address: draw at once, and move the focus to the details that were opened.
async function follow() {
  if (state === null) return;
  const { sync } = current();
  const before = at.details.dataset.sync ?? "";
  at.details.dataset.sync = sync;
  if (!sync) hide(at.details);
  document.body.classList.toggle("with-details", Boolean(sync));
  drawTop();
  await drawView().catch(() => {});
  if (sync && sync !== before) at.details.querySelector("h2")?.focus({ preventScroll: true });
  if (!sync && before) at.content.querySelector(`[data-key="${CSS.escape(before)}"]`)?.focus();
}

function keys(event) {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape" && current().sync) go({ sync: "" });
  else if (event.key === "/" && !typing) {
    event.preventDefault();
    at.text.focus();
  } else if (
    (event.key === "ArrowDown" || event.key === "ArrowUp") &&
    !event.target.matches("select")
  ) {
    const rows = [...at.content.querySelectorAll("[data-row]")];
    const step = event.key === "ArrowDown" ? 1 : -1;
    const index = rows.indexOf(document.activeElement);
    if (index < 0 && event.target !== at.text && event.target !== document.body) return;
    event.preventDefault();
    rows[Math.min(rows.length - 1, Math.max(0, index + step))]?.focus();
  }
}

// Filter a moment after the last key. A link that is followed before that takes the text along.
function filterWhileTyping() {
  let typing = 0;
  at.text.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      typing = 0;
      go({ q: at.text.value.trim(), offset: "", focus: "" }, { silent: true });
    }, TYPING_MILLISECONDS);
  });
  intercept((parameters) => {
    if (!typing) return;
    clearTimeout(typing);
    typing = 0;
    parameters.set("q", at.text.value.trim());
    parameters.delete("offset");
  });
}

function start() {
  at.theme.value = document.documentElement.dataset.theme ?? "";
  at.theme.addEventListener("change", () => {
    if (at.theme.value) document.documentElement.dataset.theme = at.theme.value;
    else delete document.documentElement.dataset.theme;
    localStorage.setItem("theme", at.theme.value);
  });
  addEventListener("route", follow);
  addEventListener("keydown", keys);
  filterWhileTyping();
  setInterval(refreshAges, AGES_MILLISECONDS);
  at.text.value = current().q;
  document.body.classList.toggle("with-details", Boolean(current().sync));
  at.details.dataset.sync = current().sync;
  poll();
}

start();
