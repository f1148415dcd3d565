// The top of the page: the replica, whether the page is live, notices, and the counts.

import { badge, command, count, grouped, h, icon, replace, WORDS } from "./dom.js";
import { address } from "./route.js";

const ROLES = { leading: "Leader", standby: "Standby", starting: "Starting" };
// A working watch gets a bookmark each minute, and a frozen one is replaced after 90 s.
const LONG_SILENCE_SECONDS = 180;
const COUNTED = ["failed", "progressing", "suspended", "synced"];

// Show which replica this is.
export function replica(element, state) {
  const { role, leader } = state.replica;
  replace(
    element,
    h("span", { class: `role ${role}` }, ROLES[role] ?? role),
    role === "leading" && leader && h("span", { class: "quiet" }, leader),
  );
}

// Show whether the page receives changes.
export function live(element, reachable) {
  element.className = `live ${reachable ? "" : "lost"}`;
  const text = reachable ? "Live" : "Not connected";
  if (element.textContent !== text) element.textContent = text;
}

// Show what the reader must know about what the page shows.
export function notices(element, state, unreachableSince) {
  const found = unreachableSince ? [unreachable(unreachableSince)] : about(state);
  const text = found.map((each) => each.textContent).join("\n");
  if (element.dataset.text === text) return; // a screen reader would read it again
  element.dataset.text = text;
  replace(element, found);
}

function unreachable(since) {
  return notice(
    "failed",
    "failed",
    "The reconciler does not answer.",
    `The page shows what it received before ${since.toLocaleTimeString()}, and tries again. ` +
      "Has kubectl port-forward ended?",
    command("kubectl -n configmapsync-system port-forward deploy/configmapsync-reconciler 8082"),
  );
}

function about(state) {
  const { role, leader, leaseProblem, watches } = state.replica;
  const found = [];
  const waiting = watches.filter((each) => !each.synced);
  if (role === "starting") {
    found.push(
      notice(
        "progressing",
        "progressing",
        "The reconciler is starting.",
        `It waits for the list of ${waiting.map(waitingFor).join(", ")}.`,
      ),
    );
  }
  if (role === "standby") {
    found.push(
      notice(
        "",
        "note",
        "This replica is on standby.",
        `${leader ? `${leader} reconciles.` : "No replica holds the Lease."} ` +
          "Syncs and copies are live here too; only the leader has events.",
        leader && command(`kubectl -n configmapsync-system port-forward pod/${leader} 8082`),
      ),
    );
  }
  if (leaseProblem)
    found.push(notice("failed", "warning", "The Lease cannot be read or written.", leaseProblem));
  for (const watch of watches) {
    if (watch.synced && watch.problem) {
      found.push(
        notice(
          "failed",
          "warning",
          `The watch of ${watch.name} fails, so the page may be out of date.`,
          watch.problem,
        ),
      );
    } else if (watch.synced && watch.silentSeconds > LONG_SILENCE_SECONDS) {
      const minutes = Math.floor(watch.silentSeconds / 60); // changes rarely: it is read aloud
      found.push(
        notice(
          "",
          "note",
          `The watch of ${watch.name} is silent.`,
          `The API server was last heard ${count(minutes, "minute")} ago.`,
        ),
      );
    }
  }
  return found;
}

function waitingFor(watch) {
  return watch.problem ? `${watch.name} (${watch.problem})` : watch.name;
}

function notice(state, name, title, text, extra) {
  return h(
    "div",
    { class: state ? `notice ${state}` : "notice" },
    icon(name),
    h("div", {}, h("p", {}, h("b", {}, title), " ", text), extra),
  );
}

// Show the number of syncs by state. Each is a link that filters by it.
export function summary(element, state, route) {
  const view = route.view === "graph" ? "graph" : "syncs";
  const starting = state.replica.role === "starting"; // nothing is counted yet
  const figure = (number) => h("span", { class: "figure" }, starting ? "–" : grouped(number));
  const link = (name, number, label) =>
    h(
      "a",
      {
        class: `tile ${name || "all"} ${number ? "" : "none"}`,
        href: address({ view, state: name, offset: "", reason: "", focus: "" }),
        "aria-current": route.state === name && route.view === view && "true",
        "data-key": `state ${name}`,
      },
      figure(number),
      label,
    );
  replace(
    element,
    link("", state.syncs, h("span", { class: "label" }, "All syncs")),
    COUNTED.map((name) => link(name, state.states[name] ?? 0, badge(name, WORDS[name]))),
    h(
      "a",
      {
        class: `tile ${state.copies ? "" : "none"}`,
        href: address({ view: "copies", state: "", offset: "", reason: "", focus: "" }),
        "data-key": "copies",
        "aria-current": route.view === "copies" && "true",
      },
      figure(state.copies),
      h("span", { class: "label" }, state.copies === 1 ? "Copy" : "Copies"),
    ),
  );
  document.title = state.states.failed ? `(${state.states.failed}) ConfigMapSync` : "ConfigMapSync";
}

// Return what stands in place of an empty list.
export function emptiness(route, state) {
  if (state.replica.role === "starting") {
    return [
      h("p", { class: "title" }, "Not complete yet."),
      h("p", { class: "quiet" }, "Syncs and copies appear when the lists are complete."),
    ];
  }
  const filtered = route.q || route.state || route.reason;
  const what = { syncs: "sync", graph: "sync", copies: "copy", events: "event" }[route.view];
  if (filtered) {
    return [
      h("p", { class: "title" }, `No ${what} matches the filter.`),
      h(
        "p",
        {},
        h(
          "a",
          { href: address({ q: "", state: "", reason: "", offset: "", focus: "" }) },
          "Remove the filter",
        ),
      ),
    ];
  }
  if (route.view === "events") {
    return [
      h("p", { class: "title" }, "No events yet."),
      h(
        "p",
        { class: "quiet" },
        state.replica.role === "standby"
          ? "Only the leader emits events."
          : "The page lists the events since this replica started.",
      ),
    ];
  }
  return [
    h("p", { class: "title" }, "There is no ConfigMapSync yet."),
    h("p", { class: "quiet" }, "Create one, and it appears here."),
    command("kubectl apply -k config/samples"),
  ];
}
