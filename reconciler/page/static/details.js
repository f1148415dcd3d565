// The panel with one sync: what is wrong and what to do, its destinations, spec and events.

import { AnswerError, get } from "./api.js";
import { age, badge, command, count, h, icon, replace, WORDS } from "./dom.js";
import { copies, marks } from "./lists.js";
import { address, go } from "./route.js";

const FIRST = 50; // destinations shown at first; a button shows as many more
const MOST = 200; // the most that one answer has
const EVENTS = 10;
const TYPING_MILLISECONDS = 200;

let typing = 0;
let shown = { key: "", limit: FIRST, filter: "" };

// Show a sync in the panel, or what is wrong with the address. Rejects if there is no answer.
export async function show(panel, name) {
  if (name !== shown.key) shown = { key: name, limit: FIRST, filter: "" };
  const path = `/api/syncs/${name.split("/").map(encodeURIComponent).join("/")}`;
  try {
    const [details, destinations, events] = await Promise.all([
      get(path),
      get(`${path}/destinations`, { limit: String(shown.limit), q: shown.filter }),
      get("/api/events", { q: name, limit: String(EVENTS) }),
    ]);
    if (name === shown.key) render(panel, name, details, destinations, events);
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error;
    replace(panel, heading(name, null), h("p", { class: "empty" }, `${error.message}.`));
  }
  panel.hidden = false;
}

// Close the panel.
export function hide(panel) {
  panel.hidden = true;
  panel.replaceChildren();
  shown = { key: "", limit: FIRST, filter: "" };
}

function render(panel, name, details, destinations, events) {
  replace(
    panel,
    heading(name, details.sync),
    message(details),
    details.errors.length > 0 &&
      section(
        "Errors of the spec",
        h(
          "ul",
          { class: "errors" },
          details.errors.map((each) => h("li", {}, each)),
        ),
      ),
    details.explanations.map(explanation),
    section(`Destinations`, destinationList(panel, name, destinations), copies(details.sync)),
    section(
      "Spec",
      h(
        "dl",
        { class: "facts" },
        details.facts.flatMap((fact) => [
          h("dt", {}, fact.label),
          h("dd", { class: "name" }, fact.value),
        ]),
      ),
    ),
    section("Conditions", conditions(details.conditions)),
    section("Last events", eventList(events)),
  );
}

function heading(name, sync) {
  return h(
    "header",
    {},
    h(
      "div",
      { class: "row" },
      sync ? badge(sync.state) : h("span", {}),
      h("span", { class: "grow" }),
      sync &&
        h(
          "a",
          {
            class: "button",
            "data-key": "focus",
            href: address({ view: "graph", focus: name, offset: "" }),
          },
          "Show in graph",
        ),
      h(
        "button",
        {
          type: "button",
          class: "close",
          "data-key": "close",
          "aria-label": "Close the details",
          onclick: () => go({ sync: "" }),
        },
        "✕",
      ),
    ),
    h("h2", { tabindex: "-1", "data-key": "heading" }, name),
    sync &&
      h(
        "p",
        { class: "quiet" },
        "created ",
        age(sync.created),
        ", last write ",
        age(sync.written),
        sync.deleting && ", being deleted",
      ),
  );
}

function message(details) {
  const { sync } = details;
  if (!sync.message) return null;
  return h(
    "div",
    { class: `callout ${sync.state}` },
    icon(sync.state),
    h("p", {}, h("b", {}, sync.reason), " ", sync.message),
  );
}

function explanation(each) {
  return h(
    "section",
    { class: "explanation" },
    h("h3", {}, `What to do about ${each.reason || "this"}`),
    h("p", {}, each.cause),
    each.cure && h("p", {}, each.cure),
    each.commands.map(command),
  );
}

function section(title, content, aside) {
  return h(
    "section",
    {},
    h("div", { class: "row" }, h("h3", {}, title), h("span", { class: "grow" }), aside),
    content,
  );
}

function destinationList(panel, name, page) {
  const again = (change) => {
    if (name !== shown.key) return; // closed in the meantime
    Object.assign(shown, change);
    show(panel, name).catch(() => {});
  };
  const later = (change) => {
    clearTimeout(typing);
    typing = setTimeout(again, TYPING_MILLISECONDS, change);
  };
  const searchable = page.total > 10 || shown.filter;
  return [
    searchable &&
      h("input", {
        type: "search",
        placeholder: "Filter namespaces",
        value: shown.filter,
        "aria-label": "Filter the destinations",
        "data-key": "filter destinations",
        maxlength: "63",
        oninput: (event) => later({ filter: event.target.value, limit: FIRST }),
      }),
    h(
      "ul",
      { class: "destinations" },
      page.rows.map((row) =>
        h(
          "li",
          {},
          icon(row.state),
          h("span", { class: "visually-hidden" }, `${WORDS[row.state]}: `),
          h(
            "span",
            {},
            h("span", { class: "name" }, row.namespace),
            marks(row),
            row.message &&
              h(
                "span",
                { class: "small quiet why" },
                row.reason && h("b", {}, row.reason, " "),
                row.message,
              ),
          ),
        ),
      ),
    ),
    page.total === 0 &&
      h(
        "p",
        { class: "quiet" },
        shown.filter ? "No destination matches." : "No namespace is selected.",
      ),
    page.rows.length < page.total &&
      h(
        "p",
        { class: "row" },
        h("span", { class: "quiet" }, `${page.rows.length} of ${count(page.total, "destination")}`),
        shown.limit < MOST
          ? h(
              "button",
              {
                type: "button",
                class: "button",
                "data-key": "more",
                onclick: () => again({ limit: Math.min(MOST, shown.limit * 2) }),
              },
              "Show more",
            )
          : h(
              "a",
              {
                class: "button",
                "data-key": "all",
                href: address({ view: "copies", q: name, offset: "", state: "", reason: "" }),
              },
              "Show as copies",
            ),
      ),
  ];
}

function conditions(list) {
  if (!list.length) return h("p", { class: "quiet" }, "The reconciler has not reported yet.");
  return h(
    "ul",
    { class: "conditions" },
    list.map((each) =>
      h(
        "li",
        {},
        h("span", { class: "name" }, each.type),
        h("b", {}, each.status),
        h("span", {}, each.reason),
        h("span", { class: "quiet" }, "since ", age(each.since)),
      ),
    ),
  );
}

function eventList(page) {
  if (!page.total) return h("p", { class: "quiet" }, "None since this replica started.");
  return h(
    "ul",
    { class: "events" },
    page.rows.map((row) =>
      h(
        "li",
        {},
        icon(row.type === "Warning" ? "warning" : "note"),
        h(
          "span",
          {},
          h("b", {}, row.reason),
          ` ${row.message} `,
          h(
            "span",
            { class: "quiet small" },
            age(row.last),
            row.count > 1 && ` · ${row.count} times`,
          ),
        ),
      ),
    ),
  );
}
